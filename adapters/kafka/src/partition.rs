//! Which partition a key goes to: the same as a Java producer's choice.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;

/// The partition of a key, of so many.
pub(crate) fn partition_of(key: &[u8], partitions: i32) -> i32 {
    // The sign bit is cut off, as the Java client does.
    (murmur2(key) & i32::MAX) % partitions.max(1)
}

/// MurmurHash2 with the Java client's seed; its words are little-endian.
fn murmur2(data: &[u8]) -> i32 {
    let (words, rest) = data.as_chunks::<4>();
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(M) ^ mixed.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    (hash ^ hash >> 15).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_where_a_java_producer_puts_it() {
        let vectors = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("abc", 479_470_107),
            ("a-little-bit-long-string", -985_981_536),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
            assert_eq!(partition_of(key.as_bytes(), 3), (hash & i32::MAX) % 3, "{key}");
        }
        assert_eq!(partition_of(b"anything", 1), 0);
    }
}

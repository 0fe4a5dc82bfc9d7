//! The `-wal` beside the file: whether it is damaged in a way that no crash leaves behind.
//!
//! SQLite takes a log up to its first broken frame, and forgets the rest without a word: that is right after a crash, whose
//! last steps may be torn, and loses what was acknowledged where a synced part is broken. The two are told apart by what
//! comes behind: a step that waits for the disk writes the page of the table `log`, and nothing is written after it before
//! it is on the disk. So a broken frame with such a step behind it, and another frame behind that step, is damage.
//!
//! The format is that of <https://www.sqlite.org/fileformat2.html#walformat>.

use crate::place::beside;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: u64 = 32;
const FRAME: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// Whether the log holds anything, while the file is gone or empty: SQLite would throw the log away. A new file is never
/// empty once it has a log.
pub(crate) fn is_orphan(file: &Path) -> bool {
    let length = |path: &Path| path.metadata().map_or(0, |meta| meta.len());
    // In this order, since another process may be making both.
    length(&beside(file, "-wal")) > HEADER && length(file) == 0
}

/// What is broken; nothing may be written to the log meanwhile. `mark` is the page of the table `log`, where the file has
/// it already.
pub(crate) fn damage(path: &Path, mark: Option<u32>) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let mut bytes = BufReader::with_capacity(1 << 18, file);
    let Some(mut log) = Log::start(&mut bytes, mark)? else {
        // The header is on the disk before any frame is written.
        return Ok((length > HEADER + FRAME as u64).then(|| broken_at(0, length)));
    };
    let (mut at, mut broken) = (HEADER, None);
    while log.read(&mut bytes)? {
        match (log.is_linked(), broken) {
            (true, Some(broken)) if log.synced => return Ok(Some(broken_at(broken, length))),
            (false, None) => broken = Some(at),
            _ => {}
        }
        log.pass();
        at += log.frame.len() as u64;
    }
    Ok(None)
}

fn broken_at(byte: u64, length: u64) -> String {
    format!("its -wal is broken at byte {byte} of {length}; with the -wal moved away it is whole, but older")
}

/// A walk along a log.
struct Log {
    salts: [u8; 8],
    big_endian: bool,
    mark: Option<u32>,
    /// The frame that the walk has come to.
    frame: Vec<u8>,
    /// The checksum that the frame before it holds, from which its own goes on.
    before: Sum,
    /// Whether a frame of the same step is the mark's page.
    marked: bool,
    /// Whether the frame before it ended a step that was on the disk when this frame was written.
    synced: bool,
}

type Sum = (u32, u32);

impl Log {
    /// At the first frame; `None` where the header is not valid.
    fn start(bytes: &mut impl Read, mark: Option<u32>) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER as usize];
        if !fill(bytes, &mut header)? {
            return Ok(None);
        }
        let (magic, page) = (word(&header, 0), word(&header, 8));
        let big_endian = magic & 1 == 1;
        let before = sum((0, 0), &header[..24], big_endian);
        let valid = magic & !1 == MAGIC && page.is_power_of_two() && (512..=65536).contains(&page);
        if !valid || before != stored(&header, 24) {
            return Ok(None);
        }
        let (mut salts, frame) = ([0; 8], vec![0; FRAME + page as usize]);
        salts.copy_from_slice(&header[16..24]);
        Ok(Some(Self { salts, big_endian, mark, frame, before, marked: false, synced: false }))
    }

    /// Reads the next frame; false at the end.
    fn read(&mut self, bytes: &mut impl Read) -> io::Result<bool> {
        fill(bytes, &mut self.frame)
    }

    /// Whether the frame was written behind the one before it.
    fn is_linked(&self) -> bool {
        let sum_of = |before, part| sum(before, part, self.big_endian);
        let own = sum_of(sum_of(self.before, &self.frame[..8]), &self.frame[FRAME..]);
        self.is_ours() && word(&self.frame, 0) != 0 && own == stored(&self.frame, 16)
    }

    /// Whether the frame is of this log, and not what another left behind it.
    fn is_ours(&self) -> bool {
        self.frame[8..16] == self.salts
    }

    /// Goes on behind the frame.
    fn pass(&mut self) {
        let (page, ends_step) = (word(&self.frame, 0), word(&self.frame, 4) != 0);
        let marked = self.is_ours() && (self.marked || self.mark.is_none_or(|mark| mark == page));
        self.synced = marked && ends_step;
        self.marked = marked && !ends_step;
        self.before = stored(&self.frame, 16);
    }
}

/// SQLite's checksum of some words, going on from another.
fn sum(from: Sum, bytes: &[u8], big_endian: bool) -> Sum {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    bytes.chunks_exact(8).fold(from, |(one, two), pair| {
        let one = one.wrapping_add(word(pair)).wrapping_add(two);
        (one, two.wrapping_add(word(&pair[4..])).wrapping_add(one))
    })
}

/// A checksum as a header holds it.
fn stored(header: &[u8], at: usize) -> Sum {
    (word(header, at), word(header, at + 4))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads so many bytes; false where there are fewer.
fn fill(bytes: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match bytes.read_exact(into) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

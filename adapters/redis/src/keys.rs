//! The names of all keys and channels, and the partition that each belongs to.
//!
//! Everything of one partition lies in one slot (`{pN}`), so that a script may touch all of it. An owner's home is the
//! partition of its hash; a session opened by an owner lies in that owner's home and stays there, and the last digit of its
//! id tells where that is.

use crate::config::MOST_PARTITIONS;
use chatcore::id::SessionId;
use chatcore::owner::Owner;
use uuid::Uuid;

/// Names keys and channels.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
    partitions: u8,
}

/// One of the slots over which everything is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition(pub(crate) u8);

impl Keys {
    pub(crate) fn new(prefix: String, partitions: u8) -> Self {
        Self { prefix, partitions: partitions.clamp(1, MOST_PARTITIONS) }
    }

    /// All partitions, in order.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.partitions).map(Partition)
    }

    /// How many partitions there are.
    pub(crate) fn count(&self) -> u8 {
        self.partitions
    }

    /// Where an owner's new sessions and quota are.
    pub(crate) fn home(&self, owner: &Owner) -> Partition {
        Partition((spread(owner.to_string().as_bytes()) % u64::from(self.partitions)) as u8)
    }

    /// Where a session is.
    pub(crate) fn of_session(&self, session: &SessionId) -> Partition {
        Partition((session.as_uuid().as_u128() & 0xf) as u8 % self.partitions)
    }

    /// A session's id out of a random one: it tells the partition.
    pub(crate) fn session_id(&self, random: Uuid, partition: Partition) -> SessionId {
        SessionId::from(Uuid::from_u128(random.as_u128() & !0xf | u128::from(partition.0)))
    }

    /// What the keys of a partition begin with.
    pub(crate) fn slot(&self, partition: Partition) -> String {
        format!("{}{{p{}}}:", self.prefix, partition.0)
    }

    /// A key of one kind that belongs to a session.
    pub(crate) fn session(&self, kind: char, session: &SessionId) -> String {
        format!("{}{{p{}}}:{kind}:{session}", self.prefix, self.of_session(session).0)
    }

    /// The stream of a partition's events.
    pub(crate) fn outbox(&self, partition: Partition) -> String {
        format!("{}{{p{}}}:ox", self.prefix, partition.0)
    }

    /// Which relay has a partition's outbox.
    pub(crate) fn lease(&self, partition: Partition) -> String {
        format!("{}ol", self.slot(partition))
    }

    /// The channel on which is told that a relay has given back what it had.
    pub(crate) fn left_channel(&self) -> String {
        self.plain("wake:left")
    }

    /// A key or channel outside of all partitions. Whoever needs several in one script puts a slot into the name.
    pub(crate) fn plain(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The channel on which is told that a partition's outbox is no longer empty, where it is a queue, or that it has more,
    /// where it is a log. Each partition has its own, so that who is woken need not look into the others.
    pub(crate) fn wake_channel(&self, partition: Partition) -> String {
        format!("{}wake:{}", self.prefix, partition.0)
    }

    /// The channel on which followers of a session are told to look.
    pub(crate) fn session_channel(&self, session: &SessionId) -> String {
        format!("{}n:{session}", self.prefix)
    }
}

/// FNV-1a with a last stir, since the low bits pick the partition. It decides where data lies: it may never change.
fn spread(bytes: &[u8]) -> u64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let stirred = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    stirred ^ (stirred >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(text: &str) -> Owner {
        text.parse().unwrap()
    }

    #[test]
    fn data_is_found_where_it_was_written_by_earlier_builds() {
        let keys = Keys::new("c:".into(), 16);
        assert_eq!(keys.home(&owner("user:ann")).0, HOME_OF_ANN);
        let id = keys.session_id(Uuid::from_u128(u128::MAX), keys.home(&owner("user:ann")));
        assert_eq!(keys.of_session(&id), keys.home(&owner("user:ann")));
        assert_eq!(keys.session('s', &id), format!("c:{{p{HOME_OF_ANN}}}:s:{id}"));
    }

    const HOME_OF_ANN: u8 = 8;

    #[test]
    fn owners_are_spread_evenly() {
        let keys = Keys::new("c:".into(), 16);
        let mut count = [0_u32; 16];
        (0..16_000).for_each(|number| count[usize::from(keys.home(&owner(&format!("user:{number}"))).0)] += 1);
        assert!(count.iter().all(|owners| (850..1150).contains(owners)), "{count:?}");
    }
}

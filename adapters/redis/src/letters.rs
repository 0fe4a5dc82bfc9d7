//! The `DeadLetters`: what a group or the relay has parked, in one stream of each partition.
//!
//! A letter's entry holds first its group (`g`, empty for the relay) and the reason (`r`), then the record as it was. Ids are
//! times in microseconds, so that the letters of all partitions sort by age.

use crate::Redis;
use crate::bus::Group;
use crate::event::Entry;
use crate::keys::{Keys, Partition};
use crate::value::Read;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{DeadLetter, DeadLetterId, DeadLetters, DeadLettersPage, Replay};
use deadpool_redis::redis::cmd;
use futures_util::future::try_join_all;

/// The group that the relay's letters are stored under; no consumers have it.
pub(crate) const RELAY: &str = "";

/// How many records a script works on at most, since nobody else is served meanwhile.
pub(crate) const MOST_AT_ONCE: usize = 200;

#[async_trait]
impl DeadLetters for Redis {
    async fn list(&self, page: &DeadLettersPage) -> Result<Vec<DeadLetter>, BackendError> {
        let after = page.after.as_ref().and_then(Place::parse);
        let parts = self.inner.keys.partitions().map(|partition| self.letters_of(partition, after, page.limit));
        let mut letters: Vec<DeadLetter> = try_join_all(parts).await?.into_iter().flatten().collect();
        letters.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        letters.truncate(page.limit);
        Ok(letters)
    }

    async fn replay(&self, id: &DeadLetterId) -> Result<Replay, BackendError> {
        let Some(place) = Place::parse(id).filter(|place| self.inner.keys.has(place.partition)) else {
            return Ok(Replay::NotFound);
        };
        let id = format!("{}-{}", place.micros, place.number);
        let mut range = cmd("XRANGE");
        range.arg(self.inner.keys.letters(place.partition)).arg(&id).arg(&id);
        let found = Entry::read_all(self.inner.client.command(&range).await?)?;
        let Some(letter) = found.into_iter().next().map(Letter::read) else { return Ok(Replay::NotFound) };
        let call = Group::new(self.clone(), &letter.group).replay(place.partition, &id);
        // One that was there a moment ago and is not any more was given back: by this call, whose answer was lost, or by another.
        self.inner.client.call(&call).await?;
        Ok(Replay::Queued)
    }
}

impl Redis {
    /// The letters of a partition behind a place.
    async fn letters_of(&self, partition: Partition, after: Option<Place>, limit: usize) -> Read<Vec<DeadLetter>> {
        let start = after.map_or_else(|| "-".to_owned(), |after| after.start(partition));
        let mut range = cmd("XRANGE");
        range
            .arg(self.inner.keys.letters(partition))
            .arg(start)
            .arg("+")
            .arg("COUNT")
            .arg(u32::try_from(limit).unwrap_or(u32::MAX));
        let found = Entry::read_all(self.inner.client.command(&range).await?)?;
        Ok(found.into_iter().filter_map(|entry| Letter::read(entry).shown(partition)).collect())
    }
}

impl Keys {
    /// The stream of a partition's dead letters.
    pub(crate) fn letters(&self, partition: Partition) -> String {
        format!("{}dl", self.slot(partition))
    }

    /// A partition by its number, if there is such a one.
    pub(crate) fn partition(&self, number: &str) -> Option<Partition> {
        number.parse().ok().map(Partition).filter(|partition| self.has(*partition))
    }

    /// Whether there is such a partition.
    pub(crate) fn has(&self, partition: Partition) -> bool {
        self.partitions().any(|other| other == partition)
    }
}

/// Where a letter is: what its id says. The order of these is that of the letters.
#[derive(Debug, Clone, Copy)]
struct Place {
    micros: u64,
    number: u64,
    partition: Partition,
}

impl Place {
    fn parse(id: &DeadLetterId) -> Option<Self> {
        let mut parts = id.0.splitn(3, '-');
        let (micros, number, partition) = (parts.next()?, parts.next()?, parts.next()?);
        let partition = Partition(partition.parse().ok()?);
        Some(Self { micros: micros.parse().ok()?, number: number.parse().ok()?, partition })
    }

    /// Parts have a fixed length, so that ids sort as their numbers do.
    fn id(self) -> DeadLetterId {
        DeadLetterId(format!("{:017}-{:010}-{:02}", self.micros, self.number, self.partition.0))
    }

    /// Where a partition's letters behind this one begin, as XRANGE says it.
    fn start(self, partition: Partition) -> String {
        let open = if partition <= self.partition { "(" } else { "" };
        format!("{open}{}-{}", self.micros, self.number)
    }
}

/// A letter as it is stored.
struct Letter {
    group: String,
    reason: String,
    record: Entry,
}

impl Letter {
    fn read(mut entry: Entry) -> Self {
        let fields = entry.fields.split_off(entry.fields.len().min(2));
        let text = |name| String::from_utf8_lossy(entry.raw(name).unwrap_or_default()).into_owned();
        Self { group: text("g"), reason: text("r"), record: Entry { id: entry.id.clone(), fields } }
    }

    fn shown(self, partition: Partition) -> Option<DeadLetter> {
        let (micros, number) = self.record.id.split_once('-')?;
        let place = Place { micros: micros.parse().ok()?, number: number.parse().ok()?, partition };
        let group = if self.group == RELAY { "relay".to_owned() } else { self.group };
        let key = String::from_utf8_lossy(self.record.raw("s").unwrap_or_default()).into_owned();
        Some(DeadLetter { id: place.id(), key, group, reason: self.reason, raw: raw(&self.record) })
    }
}

/// An event as every bus carries it; what cannot be read as one is shown field by field.
fn raw(record: &Entry) -> Vec<u8> {
    if let Ok(event) = record.event() {
        return event.to_json().into_bytes();
    }
    record.fields.iter().flat_map(|(name, value)| [name.as_slice(), b"=", value, b"\n"].concat()).collect()
}

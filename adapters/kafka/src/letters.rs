//! Dead letters: records of their topic, all in its first partition, so that they have one order.
//!
//! Kafka deletes no single record. A letter that was replayed is crossed out by a marker, a record behind it with the header
//! `dlq-replayed`; who lists the letters reads to the end of the log and leaves out those that are crossed out.

use crate::Kafka;
use crate::error::{Failed, NAME};
use crate::partition::partition_of;
use crate::record::{Fetched, REPLAY_FOR, time};
use crate::topic::{Part, Topic};
use async_trait::async_trait;
use bytes::Bytes;
use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::port::{DeadLetter, DeadLetterId, DeadLetters, DeadLettersPage, Replay};
use rskafka::record::{Record, RecordAndOffset};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::MutexGuard;

/// The only partition that holds letters.
const PART: i32 = 0;

const TOPIC: &str = "dlq-topic";
const PARTITION: &str = "dlq-partition";
const OFFSET: &str = "dlq-offset";
const REASON: &str = "dlq-reason";
const ATTEMPTS: &str = "dlq-attempts";
const GROUP: &str = "dlq-group";
/// A cut letter has no longer key and reason, which may hold parts of the record.
const LONG: usize = 1000;
/// On a letter without the record's bytes: how many they were, or that it stands for a whole batch.
const CUT: &str = "dlq-cut";
const BATCH: &str = "batch";
const REPLAYED: &str = "dlq-replayed";
/// So long it counts which letters are crossed out; only what was written since is read again. The topic may be made anew.
const KNOWN: Duration = Duration::from_secs(60);
const OURS: [&str; 6] = [TOPIC, PARTITION, OFFSET, REASON, ATTEMPTS, GROUP];

/// Which letters are given back, and to whom.
#[derive(Debug, Clone)]
pub(crate) enum Replays {
    /// All, each to the group that parked it.
    Any,
    /// Those that this group parked.
    Of(Arc<str>),
    /// All, to this group.
    To(Arc<str>),
}

/// Which letters are crossed out, up to an offset of their topic.
#[derive(Debug, Default)]
pub(crate) struct CrossedOut {
    offsets: BTreeSet<i64>,
    until: i64,
    since: Duration,
}

/// What is told of a record that is parked.
pub(crate) struct Parked<'a> {
    pub(crate) record: &'a Fetched,
    pub(crate) group: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) attempts: u32,
}

impl Kafka {
    /// Writes a letter: the record's key, bytes and headers, and what is to be told of it.
    pub(crate) async fn write_letter(&self, parked: Parked<'_>) -> Result<(), BackendError> {
        let Parked { record, group, reason, attempts } = parked;
        let topic = self.inner.config.topics.name(record.part.topic);
        let bytes = |value: &Option<Bytes>| value.as_ref().map(|value| value.to_vec());
        let given = record.headers.iter().map(|(name, value)| (name.clone(), bytes(value).unwrap_or_default()));
        let mut headers: BTreeMap<String, Vec<u8>> = given.collect();
        // What we write there ourselves means something else on a record that another wrote.
        headers.retain(|name, _| ![REPLAY_FOR, REPLAYED, CUT].contains(&name.as_str()));
        if record.unreadable.is_some() {
            headers.insert(CUT.to_owned(), BATCH.into());
        }
        let (partition, offset) = (record.part.number.to_string(), record.offset.to_string());
        let told = [topic, &partition, &offset, reason, &attempts.to_string(), group];
        headers.extend(OURS.iter().zip(told).map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
        let (key, value) = (bytes(&record.key), bytes(&record.value));
        let letter = Record { key, value, headers, timestamp: time(self.now_millis()) };
        match self.append_letter(letter.clone()).await {
            Err(Failed::TooLarge) => Ok(self.append_letter(cut(letter)).await?),
            appended => Ok(appended?),
        }
    }

    /// Who gets a letter that is given back; `None`: all groups.
    fn heir(&self, letter: &Record) -> Result<Option<String>, BackendError> {
        match (&self.replays, text(letter, GROUP)) {
            (Replays::Of(ours), Some(group)) if *group != **ours => {
                let why =
                    format!("it is of the group {group}, not of {ours}; nobody may be left who reads for {group}");
                Err(BackendError::never(NAME, why))
            }
            (Replays::To(ours), _) => Ok(Some(ours.to_string())),
            (_, group) => Ok(group),
        }
    }

    /// Where the record of a letter goes: where it was, or where its key goes now, if that partition is gone. Where letters are
    /// taken over, one of a topic that is read no more goes to the topic of its kind. `None` for what is no letter.
    async fn way_back(&self, letter: &Record) -> Result<Option<Part>, BackendError> {
        let topics = &self.inner.config.topics;
        let (Some(name), Some(number)) = (text(letter, TOPIC), text(letter, PARTITION)) else { return Ok(None) };
        let was = topics.topic(&name);
        let of_kind = || kind(letter).filter(|_| matches!(self.replays, Replays::To(_)));
        let Some(topic) = was.or_else(of_kind) else {
            let why =
                format!("it is of the topic {name}, none of those that are read here; nobody may be left who does");
            return Err(BackendError::never(NAME, why));
        };
        let count = self.counts(&[topics.name(topic)]).await?.of(topic)?;
        let still = number.parse().ok().filter(|number| was.is_some() && (0..count).contains(number));
        let number = still.unwrap_or_else(|| partition_of(letter.key.as_deref().unwrap_or_default(), count));
        Ok(Some(Part { number, topic }))
    }

    async fn append_letter(&self, record: Record) -> Result<(), Failed> {
        let topic = &self.inner.config.topics.dlq;
        self.counts(&[topic]).await?;
        let appended = self.inner.link.append(topic, PART, || vec![record.clone()]).await;
        if matches!(appended, Err(Failed::Other(_))) {
            // The topic may be gone. The next try makes it again.
            self.forget_topics();
        }
        appended
    }

    /// Reads letters and markers from an offset to the end that the log has now, until it is told to stop. Each fetch has the
    /// deadline of a call.
    async fn read_letters(
        &self,
        from: i64,
        mut each: impl FnMut(RecordAndOffset) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        let topic = &self.inner.config.topics.dlq;
        let (first, end) = self.inner.link.ends(topic, PART).await?;
        let mut next = from.max(first);
        while next < end {
            let records = match self.inner.link.fetch(topic, PART, next).await {
                // It was cut off meanwhile.
                Err(Failed::OutOfRange) => break,
                fetched => fetched?,
            };
            let Some(last) = records.last().map(|record| record.offset) else { break };
            if records.into_iter().try_for_each(&mut each).is_break() {
                break;
            }
            next = last + 1;
        }
        Ok(())
    }

    /// The letters that are crossed out. Who goes through them asks again and again, so it is remembered for a while.
    async fn crossed_out(&self) -> Result<MutexGuard<'_, CrossedOut>, BackendError> {
        let mut known = self.inner.crossed_out.lock().await;
        let now = self.inner.runtime.elapsed();
        if known.until == 0 || now.saturating_sub(known.since) >= KNOWN {
            self.see_topic().await?;
            *known = CrossedOut { since: now, ..CrossedOut::default() };
        }
        let from = known.until;
        let CrossedOut { offsets, until, .. } = &mut *known;
        let note = |record: RecordAndOffset| {
            offsets.extend(marked(&record.record));
            *until = record.offset + 1;
            ControlFlow::Continue(())
        };
        self.read_letters(from, note).await?;
        Ok(known)
    }

    /// Who reads letters makes no topic for them. The client by itself would have the broker make one.
    async fn see_topic(&self) -> Result<(), BackendError> {
        let Kafka { inner, .. } = self;
        match inner.link.topics(inner.config.call_timeout).await?.contains_key(&inner.config.topics.dlq) {
            true => Ok(()),
            false => {
                let why = format!("the topic {} is missing, or may not be seen", inner.config.topics.dlq);
                Err(BackendError::later(NAME, why))
            }
        }
    }

    fn now_millis(&self) -> i64 {
        chatcore::stamp::micros(self.inner.runtime.now()) / 1000
    }
}

#[async_trait]
impl DeadLetters for Kafka {
    async fn list(&self, page: &DeadLettersPage) -> Result<Vec<DeadLetter>, BackendError> {
        let from = page.after.as_ref().and_then(offset).map_or(0, |after| after.saturating_add(1));
        let crossed_out = self.crossed_out().await?.offsets.range(from..).copied().collect::<BTreeSet<_>>();
        let mut letters = Vec::new();
        if page.limit == 0 {
            return Ok(letters);
        }
        let note = |record: RecordAndOffset| {
            if !crossed_out.contains(&record.offset) {
                letters.extend(letter(record));
            }
            if letters.len() < page.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.read_letters(from, note).await?;
        Ok(letters)
    }

    /// The marker is written last: a crash between the two leaves the letter, and it can be replayed again.
    async fn replay(&self, id: &DeadLetterId) -> Result<Replay, BackendError> {
        let Some(at) = offset(id) else { return Ok(Replay::NotFound) };
        let crossed_out = self.crossed_out().await?.offsets.contains(&at);
        let found = match self.inner.link.fetch_one(&self.inner.config.topics.dlq, PART, at).await {
            Err(Failed::OutOfRange) => None,
            fetched => fetched?,
        };
        let is_letter = |found: &Record| !crossed_out && found.headers.contains_key(REASON);
        let Some(letter) = found.filter(is_letter) else { return Ok(Replay::NotFound) };
        if let Some(why) = without_bytes(&letter) {
            return Err(BackendError::never(NAME, format!("it cannot be given back: {why}")));
        }
        let group = self.heir(&letter)?;
        let Some(part) = self.way_back(&letter).await? else { return Ok(Replay::NotFound) };
        let record = revived(letter, group);
        let topic = self.inner.config.topics.name(part.topic);
        self.inner.link.append(topic, part.number, || vec![record.clone()]).await?;
        let headers = BTreeMap::from([(REPLAYED.to_owned(), at.to_string().into_bytes())]);
        let timestamp = time(self.now_millis());
        self.append_letter(Record { key: None, value: None, headers, timestamp }).await?;
        Ok(Replay::Queued)
    }
}

/// A letter without the record's bytes and headers, which its topic does not take: others may write larger records to a
/// topic than that of the letters takes. It still tells where the record is.
fn cut(mut letter: Record) -> Record {
    let length = letter.value.take().map_or(0, |value| value.len());
    letter.key = letter.key.filter(|key| key.len() <= LONG);
    letter.headers.retain(|name, _| OURS.contains(&name.as_str()));
    if let Some(reason) = letter.headers.get_mut(REASON) {
        reason.truncate(LONG);
    }
    letter.headers.insert(CUT.to_owned(), length.to_string().into_bytes());
    letter
}

/// The topic of a letter's kind, where its record can be read.
fn kind(letter: &Record) -> Option<Topic> {
    let json = letter.value.as_deref()?;
    let event = Event::from_json(json, None).or_else(|_| Event::from_version_0(json, None)).ok()?;
    Some(Topic::of(&event))
}

/// Why a letter does not hold the record's bytes, and where they are; `None` where it does.
fn without_bytes(letter: &Record) -> Option<String> {
    let length = text(letter, CUT)?;
    let place = [TOPIC, PARTITION, OFFSET].map(|header| text(letter, header).unwrap_or_default()).join(" ");
    Some(match length == BATCH {
        true => format!("see {place}"),
        false => format!("its {length} bytes are too many for a dead letter, see {place}"),
    })
}

/// The record of a letter, as it goes back, for this group.
fn revived(mut record: Record, group: Option<String>) -> Record {
    record.headers.retain(|name, _| !OURS.contains(&name.as_str()));
    record.headers.extend(group.map(|group| (REPLAY_FOR.to_owned(), group.into_bytes())));
    record
}

/// `None` for what is no letter: a marker, or what others wrote.
fn letter(RecordAndOffset { record, offset }: RecordAndOffset) -> Option<DeadLetter> {
    let (group, mut reason) = (text(&record, GROUP).unwrap_or_default(), text(&record, REASON)?);
    if let Some(why) = without_bytes(&record) {
        reason = format!("{reason}; {why}");
    }
    let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
    let raw = record.value.unwrap_or_default();
    Some(DeadLetter { id: DeadLetterId(format!("{offset:019}")), key, group, reason, raw })
}

fn text(record: &Record, header: &str) -> Option<String> {
    record.headers.get(header).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The letter that a marker crosses out. What has a reason is a letter itself.
fn marked(record: &Record) -> Option<i64> {
    text(record, REPLAYED).filter(|_| !record.headers.contains_key(REASON))?.parse().ok()
}

/// Ids have a fixed length, so that they sort as numbers do.
fn offset(id: &DeadLetterId) -> Option<i64> {
    id.0.parse().ok().filter(|offset| *offset >= 0)
}

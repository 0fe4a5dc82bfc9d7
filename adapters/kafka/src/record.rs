//! Records: how an event is written, and how one is read.

use crate::topic::{Part, Topic};
use bytes::Bytes;
use chatcore::event::{Event, Malformed};
use chatcore::id::RequestId;
use chatcore::stamp::micros;
use rskafka::chrono::{DateTime, Utc};
use rskafka::record::Record;
use std::collections::BTreeMap;

pub(crate) const EVENT_ID: &str = "event-id";
pub(crate) const REQUEST_ID: &str = "request-id";
/// On a record that was replayed: the group that it is for. Others of this system skip it.
pub(crate) const REPLAY_FOR: &str = "replay-for";

/// An event as a record.
pub(crate) fn of_event(event: &Event) -> Record {
    let mut headers = BTreeMap::from([
        ("type".to_owned(), event.kind().into()),
        ("v".to_owned(), Event::VERSION.to_string().into_bytes()),
        (EVENT_ID.to_owned(), event.id().to_string().into_bytes()),
    ]);
    if let Some(id) = &event.request_id {
        headers.insert(REQUEST_ID.to_owned(), id.as_str().into());
    }
    let (key, value) = (Some(event.session.to_string().into_bytes()), Some(event.to_json().into_bytes()));
    Record { key, value, headers, timestamp: time(millis(event)) }
}

/// What a record holds that has no time.
pub(crate) const NO_TIME: i64 = -1;

/// A time as a record holds it, of milliseconds since 1970.
pub(crate) fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

fn millis(event: &Event) -> i64 {
    micros(event.at) / 1000
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) part: Part,
    pub(crate) offset: i64,
    /// How often the topic had been made anew when it was fetched.
    pub(crate) life: u32,
    /// Milliseconds since 1970, or [`NO_TIME`].
    pub(crate) at: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(String, Option<Bytes>)>,
    /// It stands for a whole batch, at the last offset of that, of which nothing can be read: why not.
    pub(crate) unreadable: Option<String>,
}

impl Fetched {
    /// The event that it tells of.
    pub(crate) fn event(&self) -> Result<Event, Malformed> {
        if let Some(why) = &self.unreadable {
            return Err(Malformed::Other(why.clone()));
        }
        let json = self.value.as_deref().ok_or_else(|| Malformed::Other("it has no value".to_owned()))?;
        let request_id = || self.header(REQUEST_ID).and_then(|id| RequestId::parse(id).ok());
        match Event::from_json(json, request_id()) {
            Err(malformed @ Malformed::Other(_)) => self.version_0(json, request_id()).ok_or(malformed),
            read => read,
        }
    }

    /// A record without a time is as old as its event.
    pub(crate) fn dated(mut self) -> Self {
        if self.at == NO_TIME {
            self.at = self.event().map_or(NO_TIME, |event| millis(&event));
        }
        self
    }

    /// The topic has to agree with what the record looks like.
    fn version_0(&self, json: &[u8], request_id: Option<RequestId>) -> Option<Event> {
        let event = Event::from_version_0(json, request_id).ok()?;
        (Topic::of(&event) == self.part.topic).then_some(event)
    }

    /// About as much memory as it takes.
    pub(crate) fn bytes(&self) -> usize {
        let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + size(value)).sum();
        size(&self.value) + size(&self.key) + headers
    }

    /// The key as text.
    pub(crate) fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }

    /// Records with the same lane come one after the other: those of a key, and those of a partition without one.
    pub(crate) fn lane(&self) -> Bytes {
        match &self.key {
            Some(key) => key.clone(),
            None => format!("\0{:?}", self.part).into(),
        }
    }

    /// Its number in its session, where its headers tell it.
    pub(crate) fn seq(&self) -> Option<u64> {
        self.header(EVENT_ID)?.rsplit_once('-')?.1.parse().ok()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        std::str::from_utf8(value.as_ref()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"message_id": "550e8400-e29b-41d4-a716-446655440000", "message": "hi",
        "session_id": "660e9411-f39c-42e5-b827-557766551111", "user_id": "u", "timestamp": "2025-10-28T10:30:00"}"#;

    fn fetched(topic: Topic, value: &str) -> Fetched {
        let part = Part { number: 0, topic };
        Fetched {
            part,
            offset: 7,
            life: 0,
            at: 0,
            key: None,
            value: Some(value.to_owned().into()),
            headers: Vec::new(),
            unreadable: None,
        }
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let event = fetched(Topic::Requests, OLD).event().expect("version 0");
        let event = Event { request_id: RequestId::parse("r-1").ok(), ..event };
        let record = of_event(&event);
        assert_eq!(
            record.headers.keys().map(String::as_str).collect::<Vec<_>>(),
            ["event-id", "request-id", "type", "v"]
        );
        assert_eq!(record.timestamp.timestamp_millis(), 1_761_647_400_000);
        let headers = record.headers.into_iter().map(|(name, value)| (name, Some(value.into()))).collect();
        let (key, value) = (record.key.map(Bytes::from), record.value.map(Bytes::from));
        let read = Fetched { key, value, headers, ..fetched(Topic::Requests, "") };
        assert_eq!((read.event(), read.seq()), (Ok(event.clone()), Some(event.seq)));
        assert_eq!(read.key_text(), event.session.to_string());
        assert_eq!(Fetched { at: NO_TIME, ..read }.dated().at, record.timestamp.timestamp_millis());
    }

    #[test]
    fn a_record_of_version_0_is_read_by_its_topic() {
        assert!(fetched(Topic::Requests, OLD).event().is_ok());
        assert!(matches!(fetched(Topic::Responses, OLD).event(), Err(Malformed::Other(_))));
        let newer = fetched(Topic::Requests, r#"{"v": 2}"#);
        assert_eq!(newer.event(), Err(Malformed::NewerVersion));
        assert!(Fetched { value: None, ..newer }.event().is_err());
    }
}

//! Events as the entries of an outbox hold them, a stream in each partition.
//!
//! | field | holds |
//! |---|---|
//! | `s` | the session's id |
//! | `h` | the request's id, which may be empty, a space, and the owner as `user:<id>` or `guest:<id>` |
//! | `m` | the message as `record.rs` tells |

use crate::record::{Kind, Record, beside, other};
use crate::value::{Read, bytes, fixed, items, text};
use chatcore::event::{Event, EventBody, Malformed};
use chatcore::id::RequestId;
use chatcore::message::Message;
use chatcore::stamp::micros;
use deadpool_redis::redis::Value;
use time::OffsetDateTime;

/// The entry of a stream: its id, and its fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// One entry of what XRANGE and its like answer.
    pub(crate) fn read(value: Value) -> Read<Self> {
        let [id, fields] = fixed(value)?;
        let mut fields = items(fields)?.into_iter();
        let mut pairs = Vec::with_capacity(fields.len() / 2);
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            pairs.push((bytes(name)?, bytes(value)?));
        }
        Ok(Self { id: text(id)?, fields: pairs })
    }

    /// All entries of what XRANGE and its like answer.
    pub(crate) fn read_all(value: Value) -> Read<Vec<Self>> {
        items(value)?.into_iter().map(Self::read).collect()
    }

    /// A field as it is; `None` where there is none.
    pub(crate) fn raw(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The event in an outbox's entry.
    pub(crate) fn event(&self) -> Result<Event, Malformed> {
        let record = Record::read(self.text("m")?)?;
        let (request, owner) = self.text("h")?.split_once(' ').ok_or_else(|| other("h", "is cut off"))?;
        let request_id = (!request.is_empty()).then(|| RequestId::parse(request)).transpose();
        let message = || record.message().map(Box::new);
        Ok(Event {
            session: self.text("s")?.parse().map_err(|_| other("s", "cannot be read"))?,
            owner: owner.parse().map_err(|_| other("owner", "cannot be read"))?,
            seq: record.seq,
            at: record.at,
            request_id: request_id.map_err(|_| other("request", "cannot be read"))?,
            body: match record.kind {
                Kind::Question => EventBody::ChatRequested(message()?),
                Kind::Answer => EventBody::ChatResponded(message()?),
                Kind::Deletion => EventBody::SessionDeleted,
            },
        })
    }

    /// When it happened.
    pub(crate) fn at(&self) -> Result<OffsetDateTime, Malformed> {
        Record::read(self.text("m")?).map(|record| record.at)
    }

    fn text(&self, name: &str) -> Result<&str, Malformed> {
        let raw = self.raw(name).ok_or_else(|| other(name, "is missing"))?;
        std::str::from_utf8(raw).map_err(|_| other(name, "is no text"))
    }
}

/// An event as the fields of an outbox's entry, name and value in turn: what the scripts write, for those who write one
/// without them.
pub(crate) fn event_fields(event: &Event) -> [String; 6] {
    let request = event.request_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let (session, head) = (event.session.to_string(), format!("{request} {}", event.owner));
    ["s".into(), session, "h".into(), head, "m".into(), record(event)]
}

fn record(event: &Event) -> String {
    let kind = match event.body {
        EventBody::ChatRequested(_) => "u",
        EventBody::ChatResponded(_) => "a",
        _ => "d",
    };
    let message = event.message();
    let of = |word: fn(&Message) -> String| message.map(word).unwrap_or_default();
    let words = [
        event.seq.to_string(),
        kind.to_owned(),
        of(|message| message.turn.to_string()),
        of(|message| message.status.as_str().to_owned()),
        of(|message| message.reply_to.map(|seq| seq.to_string()).unwrap_or_default()),
        micros(event.at).to_string(),
        "0".to_owned(),
        of(|message| beside(&message.reply)),
    ];
    words.join(" ") + message.map_or("   ", |message| &message.content)
}

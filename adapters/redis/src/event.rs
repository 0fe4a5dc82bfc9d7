//! Events and messages as the entries of streams hold them.
//!
//! An entry of an outbox (`ox`) has these fields, always all of them and in this order, since entries of one form share
//! their field names in memory:
//!
//! | field | holds |
//! |---|---|
//! | `s` | the session's id |
//! | `o` | the owner, as `user:<id>` or `guest:<id>` |
//! | `q` | `seq` |
//! | `k` | the kind: `u` a question, `a` an answer, `d` a deletion |
//! | `id` | the turn: its question's id; empty for a deletion |
//! | `c` | the text |
//! | `p` | the products as JSON; empty for none |
//! | `i` | the intent behind a `=`; empty for none |
//! | `cf` | the confidence; empty for none |
//! | `st` | the status; empty for a deletion |
//! | `rt` | the `seq` of the question, for an answer; else empty |
//! | `at` | when, in microseconds since 1970 |
//! | `r` | the request's id; empty for none |
//!
//! An entry of a session's messages (`m`) has the id `<seq>-0` and the fields `k`, `id`, `c`, `p`, `i`, `cf`, `st`, `rt`, `at`
//! of the same meaning, and `f`: the fence that an answer's text continues, or 0.

use crate::error::unreadable;
use crate::value::{Read, bytes, fixed, items, text};
use chatcore::event::{Event, EventBody, Malformed};
use chatcore::id::{Fence, RequestId};
use chatcore::message::{AiReply, Message, Products, Role, Status};
use chatcore::stamp::{from_micros, micros};
use deadpool_redis::redis::Value;
use std::str::FromStr;

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

    /// A text that may be empty.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Malformed> {
        let raw = self.raw(name).ok_or_else(|| other(name, "is missing"))?;
        std::str::from_utf8(raw).map_err(|_| other(name, "is no text"))
    }

    /// What its type parses.
    fn parsed<T: FromStr>(&self, name: &str) -> Result<T, Malformed> {
        self.text(name)?.parse().map_err(|_| other(name, "cannot be read"))
    }

    /// What its type parses; an empty field is none.
    fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, Malformed> {
        if self.text(name)?.is_empty() { Ok(None) } else { self.parsed(name).map(Some) }
    }

    /// The event in an outbox's entry.
    pub(crate) fn event(&self) -> Result<Event, Malformed> {
        let seq = self.parsed("q")?;
        let body = match self.text("k")? {
            "d" => EventBody::SessionDeleted,
            "a" => EventBody::ChatResponded(Box::new(self.message_at(seq)?)),
            "u" => EventBody::ChatRequested(Box::new(self.message_at(seq)?)),
            _ => return Err(other("k", "cannot be read")),
        };
        let request = Some(self.text("r")?).filter(|request| !request.is_empty());
        Ok(Event {
            session: self.parsed("s")?,
            owner: self.parsed("o")?,
            seq,
            at: from_micros(self.parsed("at")?),
            request_id: request.map(RequestId::parse).transpose().map_err(|_| other("r", "cannot be read"))?,
            body,
        })
    }

    /// The message in an entry of a session's messages.
    pub(crate) fn message(&self) -> Read<Message> {
        let seq = self.id.split('-').next().and_then(|seq| seq.parse().ok());
        seq.ok_or_else(|| other("id", "cannot be read")).and_then(|seq| self.message_at(seq)).map_err(unreadable)
    }

    /// The fence that its text continues.
    pub(crate) fn continues(&self) -> Read<Fence> {
        self.parsed("f").map(Fence).map_err(unreadable)
    }

    fn message_at(&self, seq: u64) -> Result<Message, Malformed> {
        let role = match self.text("k")? {
            "u" => Role::User,
            "a" => Role::Assistant,
            _ => return Err(other("k", "cannot be read")),
        };
        Ok(Message {
            turn: self.parsed("id")?,
            seq,
            role,
            content: self.text("c")?.to_owned(),
            reply: self.reply()?,
            status: self.parsed("st")?,
            reply_to: self.optional("rt")?,
            at: from_micros(self.parsed("at")?),
        })
    }

    fn reply(&self) -> Result<AiReply, Malformed> {
        let products = match self.text("p")? {
            "" => Products::default(),
            json => Products::from_json(json).map_err(|_| other("p", "cannot be read"))?,
        };
        let intent = self.text("i")?.strip_prefix('=').map(str::to_owned);
        Ok(AiReply { products, intent, confidence: self.optional("cf")? })
    }
}

/// What came beside an answer's text, as the fields `p`, `i`, `cf`.
pub(crate) fn reply_fields(reply: &AiReply) -> [String; 3] {
    let products = if reply.products.is_empty() { "" } else { reply.products.as_json() };
    let intent = reply.intent.as_ref().map(|intent| format!("={intent}"));
    let confidence = reply.confidence.map(|confidence| confidence.to_string());
    [products.to_owned(), intent.unwrap_or_default(), confidence.unwrap_or_default()]
}

/// An event as the fields of an outbox's entry, name and value in turn: what the scripts write, for those who write one
/// without them.
pub(crate) fn event_fields(event: &Event) -> Vec<(&'static str, String)> {
    let message = event.message();
    let kind = match &event.body {
        EventBody::ChatRequested(_) => "u",
        EventBody::ChatResponded(_) => "a",
        _ => "d",
    };
    let [products, intent, confidence] = message.map_or_else(Default::default, |message| reply_fields(&message.reply));
    let of = |field: fn(&Message) -> String| message.map(field).unwrap_or_default();
    vec![
        ("s", event.session.to_string()),
        ("o", event.owner.to_string()),
        ("q", event.seq.to_string()),
        ("k", kind.to_owned()),
        ("id", of(|message| message.turn.to_string())),
        ("c", of(|message| message.content.clone())),
        ("p", products),
        ("i", intent),
        ("cf", confidence),
        ("st", of(|message| Status::as_str(message.status).to_owned())),
        ("rt", of(|message| message.reply_to.map(|seq| seq.to_string()).unwrap_or_default())),
        ("at", micros(event.at).to_string()),
        ("r", event.request_id.as_ref().map(|request| request.to_string()).unwrap_or_default()),
    ]
}

fn other(name: &str, what: &str) -> Malformed {
    Malformed::Other(format!("the field {name} {what}"))
}

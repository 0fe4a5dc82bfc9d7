//! Messages as text: what the scripts write, and what is read of it.
//!
//! A session's messages (`m`) are a list of such texts, and an event in an outbox (see `event.rs`) has one beside who it
//! concerns. A text is words with one space behind each, and then whatever has spaces of its own:
//!
//! | word | holds |
//! |---|---|
//! | 1 | `seq`: the message's place in the list, from 1 |
//! | 2 | the kind: `u` a question, `a` an answer, `d` a deletion |
//! | 3 | the turn: its question's id; empty for a deletion |
//! | 4 | the status; empty for a deletion |
//! | 5 | the `seq` of the question, for an answer; else empty |
//! | 6 | when, in microseconds since 1970 |
//! | 7 | the fence that an answer's text continues, or 0 |
//! | 8 | the confidence; empty for none |
//! | 9 | how many bytes the products take as JSON; empty for none |
//! | 10 | how many bytes the intent takes; empty for none |
//! | | the products, the intent and the text, with nothing between them |
//!
//! One text, and not a field for each word, since a turn reads eleven messages: what a reply is made of is what reading it
//! costs, on both sides.

use crate::error::unreadable;
use crate::value::{Read, items, text};
use chatcore::event::Malformed;
use chatcore::id::Fence;
use chatcore::message::{AiReply, Message, Products, Role};
use chatcore::stamp::from_micros;
use deadpool_redis::redis::Value;
use std::str::FromStr;
use time::OffsetDateTime;

/// A record, read.
pub(crate) struct Record<'a> {
    pub(crate) seq: u64,
    pub(crate) kind: Kind,
    pub(crate) at: OffsetDateTime,
    /// The fence that its text continues.
    pub(crate) fence: Fence,
    turn: &'a str,
    status: &'a str,
    reply_to: Option<u64>,
    beside: Beside<'a>,
    content: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Question,
    Answer,
    Deletion,
}

/// What may come beside an answer's text.
struct Beside<'a> {
    products: Option<&'a str>,
    intent: Option<&'a str>,
    confidence: Option<f64>,
}

impl<'a> Record<'a> {
    pub(crate) fn read(record: &'a str) -> Result<Self, Malformed> {
        let mut words = Words(record);
        let seq = words.parsed("seq")?;
        let kind = match words.next("kind")? {
            "u" => Kind::Question,
            "a" => Kind::Answer,
            "d" => Kind::Deletion,
            _ => return Err(other("kind", "cannot be read")),
        };
        let (turn, status, reply_to) = (words.next("turn")?, words.next("status")?, words.optional("reply_to")?);
        let (at, fence) = (from_micros(words.parsed("time")?), Fence(words.parsed("fence")?));
        let confidence = words.optional("confidence")?;
        let (products, intent) = (words.optional("products")?, words.optional("intent")?);
        let mut rest = words.0;
        let mut take = |length: Option<usize>, name| {
            let Some(length) = length else { return Ok(None) };
            let (taken, left) = rest.split_at_checked(length).ok_or_else(|| other(name, "is cut off"))?;
            rest = left;
            Ok(Some(taken))
        };
        let beside = Beside { products: take(products, "products")?, intent: take(intent, "intent")?, confidence };
        Ok(Self { seq, kind, at, fence, turn, status, reply_to, beside, content: rest })
    }

    pub(crate) fn message(&self) -> Result<Message, Malformed> {
        Ok(Message {
            turn: self.turn.parse().map_err(|_| other("turn", "cannot be read"))?,
            seq: self.seq,
            role: if self.kind == Kind::Question { Role::User } else { Role::Assistant },
            content: self.content.to_owned(),
            reply: self.beside.reply()?,
            status: self.status.parse().map_err(|_| other("status", "cannot be read"))?,
            reply_to: self.reply_to,
            at: self.at,
        })
    }
}

impl Beside<'_> {
    fn reply(&self) -> Result<AiReply, Malformed> {
        let products = self.products.map(|json| Products::from_kept(json.to_owned())).transpose();
        Ok(AiReply {
            products: products.map_err(|_| other("products", "cannot be read"))?.unwrap_or_default(),
            intent: self.intent.map(str::to_owned),
            confidence: self.confidence,
        })
    }
}

/// What is not read yet.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self, name: &str) -> Result<&'a str, Malformed> {
        // Words are short: to look for each end with what is made for long texts takes twice as long.
        let end = self.0.bytes().position(|byte| byte == b' ').ok_or_else(|| other(name, "is missing"))?;
        let (word, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Ok(word)
    }

    /// What its type parses.
    fn parsed<T: FromStr>(&mut self, name: &str) -> Result<T, Malformed> {
        self.next(name)?.parse().map_err(|_| other(name, "cannot be read"))
    }

    /// What its type parses; an empty word is none.
    fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Malformed> {
        let word = self.next(name)?;
        (!word.is_empty()).then(|| word.parse().map_err(|_| other(name, "cannot be read"))).transpose()
    }
}

/// A message of a list, and the fence that its text continues.
pub(crate) fn message_of(value: Value) -> Read<(Message, Fence)> {
    let text = text(value)?;
    let record = Record::read(&text).map_err(unreadable)?;
    Ok((record.message().map_err(unreadable)?, record.fence))
}

/// The messages of a part of a list, in its order.
pub(crate) fn messages_of(value: Value) -> Read<Vec<Message>> {
    items(value)?.into_iter().map(|item| message_of(item).map(|(message, _)| message)).collect()
}

/// A record's end, from word 8 on, but for the text, which may follow at once.
pub(crate) fn beside(reply: &AiReply) -> String {
    let length = |text: Option<&str>| text.map(|text| text.len().to_string()).unwrap_or_default();
    let products = Some(reply.products.as_json()).filter(|_| !reply.products.is_empty());
    let intent = reply.intent.as_deref();
    let confidence = reply.confidence.map(|confidence| confidence.to_string()).unwrap_or_default();
    let lengths = (length(products), length(intent));
    format!("{confidence} {} {} {}{}", lengths.0, lengths.1, products.unwrap_or_default(), intent.unwrap_or_default())
}

pub(crate) fn other(name: &str, what: &str) -> Malformed {
    Malformed::Other(format!("{name} {what}"))
}

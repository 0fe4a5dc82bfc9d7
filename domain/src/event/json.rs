//! The JSON form of an event, which every adapter and handler shares.

use super::{Event, EventBody, Malformed};
use crate::cut;
use crate::id::{DeviceId, MessageId, RequestId, SessionId, UserId};
use crate::message::{AiReply, Answer, Message, Products, Status};
use crate::owner::Owner;
use crate::stamp::{from_micros, micros, rfc3339};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::error::Category;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The newest version that is written and read. It grows only when an old reader would misread a new record.
const VERSION: u32 = 1;

/// What is written. A request never has `response`, a response never `message`: old consumers tell them apart by that.
struct Written<'a>(&'a Event);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Event { session, owner, seq, at, body, .. } = self.0;
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("type", self.0.kind())?;
        members.serialize_entry("v", &VERSION)?;
        members.serialize_entry("event_id", &format_args!("{}", self.0.id()))?;
        members.serialize_entry("session_id", session)?;
        members.serialize_entry("user_id", &owner.user_id())?;
        members.serialize_entry("device_id", &owner.device_id())?;
        members.serialize_entry("seq", seq)?;
        members.serialize_entry("timestamp", &rfc3339(*at))?;
        match body {
            EventBody::ChatRequested(message) => {
                members.serialize_entry("message_id", &message.turn)?;
                members.serialize_entry("message", &message.content)?;
            }
            EventBody::ChatResponded(message) => {
                let AiReply { products, intent, confidence } = &message.reply;
                members.serialize_entry("message_id", &message.turn)?;
                members.serialize_entry("response", &message.content)?;
                members.serialize_entry("products", products)?;
                members.serialize_entry("intent", intent)?;
                members.serialize_entry("confidence", confidence)?;
                members.serialize_entry("status", &message.status)?;
                members.serialize_entry("reply_to", &message.reply_to)?;
            }
            EventBody::SessionDeleted => {}
        }
        members.end()
    }
}

/// What is read: the members of all kinds.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "type")]
    kind: String,
    session_id: SessionId,
    user_id: Option<UserId>,
    device_id: Option<DeviceId>,
    seq: u64,
    timestamp: String,
    message_id: Option<MessageId>,
    message: Option<String>,
    response: Option<String>,
    #[serde(default)]
    products: Products,
    intent: Option<String>,
    confidence: Option<f64>,
    status: Option<Status>,
    reply_to: Option<u64>,
}

/// Only the version, so that a record of a newer one is known as such whatever else it holds.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl Event {
    /// The newest version of the JSON form, which is written.
    pub const VERSION: u32 = VERSION;

    /// The event as one line of JSON. The request id is not part of it: a bus carries it as a header.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data with text keys: there is nothing in it that JSON cannot hold.
        serde_json::to_string(&Written(self)).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote, with the request id that came beside it.
    ///
    /// # Errors
    /// The record is of a newer version, or no event at all.
    pub fn from_json(json: &[u8], request_id: Option<RequestId>) -> Result<Self, Malformed> {
        let version: Versioned = serde_json::from_slice(json).map_err(not_read)?;
        if version.v > VERSION {
            return Err(Malformed::NewerVersion);
        }
        let record: Record = serde_json::from_slice(json).map_err(not_read)?;
        record.into_event(request_id)
    }
}

pub(super) fn other(why: impl Into<String>) -> Malformed {
    Malformed::Other(why.into())
}

/// The kind and the place only: serde's own words quote what it read.
#[expect(clippy::needless_pass_by_value, reason = "it is for `map_err`")]
pub(super) fn not_read(error: serde_json::Error) -> Malformed {
    let kind = match error.classify() {
        Category::Data => "not the members of an event",
        Category::Eof => "it ends too early",
        Category::Io | Category::Syntax => "no JSON",
    };
    other(format!("{kind} (line {}, column {})", error.line(), error.column()))
}

/// An RFC 3339 time. What is wrong with one that is none may be any text.
pub(super) fn time_of(text: &str) -> Result<OffsetDateTime, Malformed> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| other("timestamp is no time"))
}

impl Record {
    fn into_event(self, request_id: Option<RequestId>) -> Result<Event, Malformed> {
        let owner = match (self.user_id.clone(), self.device_id.clone()) {
            (Some(user), _) => Owner::User(user),
            (None, Some(device)) => Owner::Guest(device),
            (None, None) => return Err(other("neither user_id nor device_id")),
        };
        // The same precision as every store's, so that a round trip changes nothing.
        let at = from_micros(micros(time_of(&self.timestamp)?));
        let (session, seq) = (self.session_id, self.seq);
        Ok(Event { session, owner, seq, at, request_id, body: self.into_body(at)? })
    }

    fn into_body(self, at: OffsetDateTime) -> Result<EventBody, Malformed> {
        match self.kind.as_str() {
            "chat.requested" => {
                let text = needed(self.message, "message")?;
                let question = Message::question(needed(self.message_id, "message_id")?, self.seq, text, at);
                Ok(EventBody::ChatRequested(Box::new(question)))
            }
            "chat.responded" => {
                let content = needed(self.response, "response")?;
                let (products, intent, confidence) = (self.products, self.intent, self.confidence);
                let reply = AiReply { products, intent, confidence };
                let answer = Answer { status: needed(self.status, "status")?, content, reply };
                let (turn, reply_to) = (needed(self.message_id, "message_id")?, needed(self.reply_to, "reply_to")?);
                Ok(EventBody::ChatResponded(Box::new(Message::answer(turn, self.seq, reply_to, answer, at))))
            }
            "session.deleted" => Ok(EventBody::SessionDeleted),
            kind => Err(other(format!("the type {} is unknown", cut(kind)))),
        }
    }
}

fn needed<T>(member: Option<T>, name: &str) -> Result<T, Malformed> {
    member.ok_or_else(|| other(format!("{name} is missing")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn event(body: EventBody) -> Event {
        let owner = Owner::User(UserId::parse("user_123").unwrap());
        let (session, at) = (SessionId::from(Uuid::from_u128(7)), from_micros(1_700_000_000_123_456));
        Event { session, owner, seq: 2, at, request_id: None, body }
    }

    fn bodies() -> [EventBody; 3] {
        let turn = MessageId::from(Uuid::from_u128(8));
        let products =
            Products::from_json(r#"[{"price": 29500000.10, "mine": {"a": [1, 2]}, "name": "Điện thoại \" x"}]"#)
                .unwrap();
        let reply = AiReply { products, intent: Some("product_search".into()), confidence: Some(0.5) };
        let answer = Answer { status: Status::Completed, content: "có".into(), reply };
        let at = from_micros(1_700_000_000_123_456);
        [
            EventBody::ChatRequested(Box::new(Message::question(turn, 2, "Tìm iPhone".into(), at))),
            EventBody::ChatResponded(Box::new(Message::answer(turn, 2, 1, answer, at))),
            EventBody::SessionDeleted,
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        for body in bodies() {
            let event = event(body);
            assert_eq!(Event::from_json(event.to_json().as_bytes(), None), Ok(event));
        }
    }

    #[test]
    fn old_consumers_tell_a_request_by_its_message() {
        let json = bodies().map(|body| serde_json::from_str::<serde_json::Value>(&event(body).to_json()).unwrap());
        assert!(json[0].get("message").is_some() && json[0].get("response").is_none());
        assert!(json[1].get("message").is_none() && json[1].get("response").is_some());
        assert_eq!(json[1]["products"][0]["mine"]["a"][1], 2);
        assert!(json[0]["device_id"].is_null() && json[0]["user_id"] == "user_123");
    }

    #[test]
    fn a_newer_version_is_told_from_garbage() {
        let newer = r#"{"v": 2, "type": "chat.thought"}"#;
        assert_eq!(Event::from_json(newer.as_bytes(), None), Err(Malformed::NewerVersion));
        for junk in ["", "{}", "[1]", "{\"v\": 1}", "\u{0}"] {
            assert!(matches!(Event::from_json(junk.as_bytes(), None), Err(Malformed::Other(_))), "{junk:?}");
        }
    }

    /// Records in the shape of an event, each with a text where something else belongs.
    #[test]
    fn what_is_told_of_a_malformed_record_holds_nothing_of_its_texts_and_is_short() {
        let secret = "MY SECRET QUESTION ".repeat(1000);
        let good: serde_json::Value = serde_json::from_str(&event(bodies()[1].clone()).to_json()).unwrap();
        let of_version_0 = serde_json::json!({
            "message_id": good["message_id"], "session_id": good["session_id"], "user_id": "u", "response": "!",
            "products": [], "intent": null, "timestamp": "2025-10-28T10:30:01",
        });
        type Read = fn(&[u8], Option<RequestId>) -> Result<Event, Malformed>;
        for (good, read) in [(good, Event::from_json as Read), (of_version_0, Event::from_version_0)] {
            assert!(read(good.to_string().as_bytes(), None).is_ok(), "{good}");
            for name in good.as_object().unwrap().keys() {
                let mut record = good.clone();
                record[name] = secret.clone().into();
                let Err(told) = read(record.to_string().as_bytes(), None) else { continue };
                let told = told.to_string();
                assert!(told.len() < 200 && (name == "type" || !told.contains("SECRET")), "{name}: {told}");
            }
        }
        let told = Event::from_json(format!("{{\"v\": 1, {secret}").as_bytes(), None).unwrap_err();
        assert_eq!(told, other("no JSON (line 1, column 10)"));
    }
}

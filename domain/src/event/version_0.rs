//! Version 0: the records of the FastAPI system, which have neither a type nor a number.

use super::json::{not_read, other, time_of};
use super::{Event, EventBody, Malformed};
use crate::id::{MessageId, RequestId, SessionId, UserId};
use crate::message::{AiReply, Message, Products, Role, Status};
use crate::owner::Owner;
use crate::stamp::{from_micros, micros};
use serde::Deserialize;
use serde::de::IgnoredAny;
use time::OffsetDateTime;

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "type")]
    kind: Option<IgnoredAny>,
    message_id: MessageId,
    session_id: SessionId,
    user_id: UserId,
    message: Option<String>,
    response: Option<String>,
    #[serde(default)]
    products: Products,
    intent: Option<String>,
    timestamp: String,
}

impl Event {
    /// Reads a record of the FastAPI system: a question where it has a `message`, an answer where it has a `response`. Its
    /// time in microseconds stands in for the number that such a record does not have.
    ///
    /// # Errors
    /// The record has a type, so it is of a later version, or is not of that shape.
    pub fn from_version_0(json: &[u8], request_id: Option<RequestId>) -> Result<Self, Malformed> {
        let record: Record = serde_json::from_slice(json).map_err(not_read)?;
        if record.kind.is_some() {
            return Err(other("a record of version 0 has no type"));
        }
        let at = micros(utc(&record.timestamp)?);
        let (session, owner) = (record.session_id, Owner::User(record.user_id.clone()));
        let (seq, at) = (u64::try_from(at).unwrap_or_default(), from_micros(at));
        Ok(Self { session, owner, seq, at, request_id, body: record.into_body(seq, at)? })
    }
}

/// Python writes UTC without saying so.
fn utc(text: &str) -> Result<OffsetDateTime, Malformed> {
    time_of(text).or_else(|_| time_of(&format!("{text}Z")))
}

impl Record {
    fn into_body(self, seq: u64, at: OffsetDateTime) -> Result<EventBody, Malformed> {
        match (self.message, self.response) {
            (Some(text), None) => {
                Ok(EventBody::ChatRequested(Box::new(Message::question(self.message_id, seq, text, at))))
            }
            (None, Some(content)) => {
                let reply = AiReply { products: self.products, intent: self.intent, confidence: None };
                let (turn, role, status, reply_to) = (self.message_id, Role::Assistant, Status::Completed, None);
                Ok(EventBody::ChatResponded(Box::new(Message {
                    turn,
                    seq,
                    role,
                    content,
                    reply,
                    status,
                    reply_to,
                    at,
                })))
            }
            _ => Err(other("neither a message nor a response, or both")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &str = r#""message_id": "550e8400-e29b-41d4-a716-446655440000",
        "session_id": "660e9411-f39c-42e5-b827-557766551111", "user_id": "user_123""#;

    fn read(rest: &str) -> Result<Event, Malformed> {
        Event::from_version_0(format!("{{{IDS}, {rest}}}").as_bytes(), None)
    }

    #[test]
    fn a_question_and_an_answer_are_told_by_their_members() {
        let question = read(r#""message": "Tìm iPhone", "timestamp": "2025-10-28T10:30:00.123456""#).unwrap();
        assert_eq!(
            question.message().map(|message| (message.role, &*message.content)),
            Some((Role::User, "Tìm iPhone"))
        );
        let answer =
            read(r#""response": "có", "products": [{"price": 1}], "intent": null, "timestamp": "2025-10-28T10:30:01""#)
                .unwrap();
        let message = answer.message().unwrap();
        assert_eq!((message.role, message.status, message.reply_to), (Role::Assistant, Status::Completed, None));
        assert_eq!(message.reply.products.as_json(), r#"[{"price":1}]"#);
        assert!(question.seq < answer.seq, "they stay in order");
        assert_eq!(answer.at.unix_timestamp_nanos() - question.at.unix_timestamp_nanos(), 876_544_000);
    }

    #[test]
    fn what_is_of_another_version_or_shape_is_malformed() {
        let at = r#""timestamp": "2025-10-28T10:30:00Z""#;
        for rest in [
            at.to_owned(),
            format!(r#""message": "a", "response": "b", {at}"#),
            format!(r#""message": "a", "type": "chat.requested", {at}"#),
            r#""message": "a", "timestamp": "yesterday""#.to_owned(),
        ] {
            assert!(read(&rest).is_err(), "{rest}");
        }
    }
}

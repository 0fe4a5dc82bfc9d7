//! What happens to a turn after it was begun, and the deletion of a session.

use super::{Access, script};
use crate::Redis;
use crate::error::unreadable;
use crate::record::{beside, message_of};
use crate::script::Script;
use crate::value::{Read, first, micros, number};
use chatcore::error::AccessError;
use chatcore::id::{RequestId, SessionId};
use chatcore::message::{Answer, Message};
use chatcore::owner::Owner;
use chatcore::stamp::from_micros;
use chatcore::turn::{Extended, Finished, Piece, Stopping, Turn, TurnId};
use deadpool_redis::redis::Value;
use std::time::Duration;

static EXTEND: Script = script!("extend");
static FINISH: Script = script!("finish");
static STOP: Script = script!("stop");
static DELETE: Script = script!("delete");

impl Redis {
    pub(super) async fn extend(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Read<Extended> {
        let call = self
            .at_session(&turn.id.session, &EXTEND, "sl", &["t".into()])
            .arg(&[turn.id.session.to_string(), turn.id.message.to_string()])
            .arg(turn.fence.0)
            .arg(piece.offset)
            .arg(piece.text.as_str())
            .arg(micros(lease))
            .arg(self.followers());
        let (word, rest) = self.say(&call).await?;
        match word.as_str() {
            "HELD" => Ok(Extended::Held { length: number(first(rest))? }),
            "STOP_REQUESTED" => Ok(Extended::StopRequested),
            "FENCED" => Ok(Extended::Fenced),
            "GONE" => Ok(Extended::Gone),
            other => Err(unreadable(other)),
        }
    }

    pub(super) async fn finish(&self, turn: &Turn, answer: &Answer) -> Read<Finished> {
        let call = self
            .at_session(&turn.id.session, &FINISH, "smil", &["t".into(), "ox".into()])
            .arg(&[turn.id.session.to_string(), turn.id.message.to_string()])
            .arg(turn.id.message.as_uuid().as_bytes().as_slice())
            .arg(turn.fence.0)
            .arg(answer.status.as_str())
            .arg(answer.content.as_str())
            .arg(beside(&answer.reply))
            .arg(self.followers());
        let (word, rest) = self.say(&self.log_args(call)).await?;
        match word.as_str() {
            "STORED" => stored(turn, answer, rest),
            // A call before this one stored it, perhaps with another text.
            "AGAIN" => again(turn, first(rest)),
            "FENCED" => Ok(Finished::Fenced),
            "GONE" => Ok(Finished::Gone),
            other => Err(unreadable(other)),
        }
    }

    pub(super) async fn stop(&self, owner: &Owner, turn: &TurnId) -> Access<Stopping> {
        let call = self
            .at_session(&turn.session, &STOP, "si", &[])
            .arg(owner.to_string())
            .arg(&[turn.session.to_string(), turn.message.to_string()])
            .arg(turn.message.as_uuid().as_bytes().as_slice());
        match self.say(&call).await?.0.as_str() {
            "REQUESTED" => Ok(Stopping::Requested),
            "ENDED" => Ok(Stopping::Ended),
            denied => Err(denial(denied)),
        }
    }

    pub(super) async fn delete_session(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Access<()> {
        let others = [format!("u:{owner}"), format!("e:{owner}"), "t".into(), "ox".into()];
        let call = self
            .at_session(session, &DELETE, "smil", &others)
            .arg(owner.to_string())
            .arg(session.to_string())
            .arg(request_id.as_ref().map_or("", RequestId::as_str))
            .arg(self.followers());
        match self.say(&self.log_args(call)).await?.0.as_str() {
            "DELETED" => Ok(()),
            denied => Err(denial(denied)),
        }
    }
}

fn stored(turn: &Turn, answer: &Answer, rest: Vec<Value>) -> Read<Finished> {
    let mut rest = rest.into_iter();
    let mut next = || rest.next().unwrap_or_default();
    let (seq, reply_to, at) = (number(next())?, number(next())?, from_micros(number(next())?));
    Ok(Finished::Stored(Box::new(Message::answer(turn.id.message, seq, reply_to, answer.clone(), at))))
}

fn again(turn: &Turn, answer: Value) -> Read<Finished> {
    if answer == Value::Nil {
        return Ok(Finished::Fenced);
    }
    let (message, _) = message_of(answer)?;
    Ok(if message.turn == turn.id.message { Finished::Stored(Box::new(message)) } else { Finished::Fenced })
}

/// Why a script shows an owner nothing.
pub(super) fn denial(word: &str) -> AccessError {
    match word {
        "NOT_FOUND" => AccessError::NotFound,
        "NOT_YOURS" => AccessError::NotYours,
        other => AccessError::Backend(unreadable(other)),
    }
}

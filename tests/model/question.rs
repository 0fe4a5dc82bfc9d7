//! Questions: new ones, and such as come again.

use crate::call::Call;
use crate::known::{Known, newest, parsed, unknown};
use crate::op::{Op, Place, Span, Who};
use crate::who::owner;
use chatcore::id::{AttemptId, Key, MessageId, RequestId};
use chatcore::owner::Owner;
use chatcore::policy::Quota;
use chatcore::turn::{NewTurn, Target};
use std::str::FromStr;
use std::time::Duration;

impl Known {
    /// The call of a question, if the operation is one and means any.
    pub(crate) fn question(&mut self, op: &Op) -> Option<Call> {
        let (attempt, message) = (self.id(), self.id());
        let (new, (other, lease, ttl)) = match *op {
            Op::Ask { who, place, key, other, lease, ttl, window, free } => {
                let key = if key == 0 { format!("fresh-{}", self.made) } else { format!("k{key}") };
                let (target, owner) = self.target(who, place);
                let quota = quota(&owner).filter(|_| !free);
                (NewTurn { owner, target, quota, window, ..blank(&key, attempt, message) }, (other, lease, ttl))
            }
            Op::Resend { call, other, lease, ttl } => {
                (NewTurn { attempt, message, ..newest(&self.calls, call)? }, (other, lease, ttl))
            }
            _ => return None,
        };
        // Some come without.
        let request_id = RequestId::parse(format!("r{}", self.made)).ok().filter(|_| !self.made.is_multiple_of(3));
        Some(Call::Begin(NewTurn { request_id, lease: lease.time(), ttl: ttl.time(), ..with_body(new, other) }))
    }

    /// Where a question goes, and whose it is.
    fn target(&self, who: Who, place: Place) -> (Target, Owner) {
        let session = match place {
            Place::New(who) => return (Target::New, owner(who)),
            Place::Session(pick) => newest(&self.sessions, pick).unwrap_or_else(unknown),
            Place::Unknown => unknown(),
        };
        (Target::Existing(session), self.who(who, &session))
    }

    /// An id that no other question or attempt has.
    fn id<T: FromStr>(&mut self) -> T
    where
        T::Err: std::fmt::Debug,
    {
        self.made += 1;
        parsed(2 * self.made)
    }
}

/// A question of which only the names are given.
fn blank(key: &str, attempt: AttemptId, message: MessageId) -> NewTurn {
    NewTurn {
        owner: owner(Who::Ann),
        target: Target::New,
        key: Key::parse(key).expect("a key"),
        body_hash: 0,
        attempt,
        message,
        text: String::new(),
        request_id: None,
        quota: None,
        window: 0,
        lease: Duration::ZERO,
        ttl: Duration::ZERO,
    }
}

/// The usual body of this key, or another. The hashes are such as a signed number cannot hold.
fn with_body(new: NewTurn, other: bool) -> NewTurn {
    let (body_hash, text) =
        if other { (u64::MAX, "something else".into()) } else { (1 << 63, format!("what is {}?", new.key)) };
    NewTurn { body_hash, text, ..new }
}

/// The user ann has none.
fn quota(of: &Owner) -> Option<Quota> {
    if *of == owner(Who::Ann) {
        return None;
    }
    let (limit, window) = if of.device_id().is_some() { (3, Span::Long) } else { (2, Span::Short) };
    Some(Quota { limit, window: window.time() })
}

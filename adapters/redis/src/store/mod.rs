//! The `SessionStore`: each call is one script in the slot of its session or owner, but for what concerns adopted sessions.

mod adopt;
mod begin;
mod follow;
mod list;
mod sweep;
mod told;
mod write;

use crate::Redis;
use crate::keys::Partition;
use crate::script::{Call, Script};
use crate::value::{Read, worded};
pub(crate) use adopt::Begun;
use async_trait::async_trait;
use chatcore::error::{AccessError, BackendError};
use chatcore::id::{DeviceId, RequestId, SessionId, UserId};
use chatcore::message::{Answer, Message, MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::policy::{Left, OutboxFull, Quota};
use chatcore::port::SessionStore;
use chatcore::session::{Adopted, Session, SessionsPage};
use chatcore::turn::{Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Stopping, Swept, Turn, TurnId};
use deadpool_redis::redis::Value;
use std::time::Duration;
pub(crate) use sweep::Sweeps;

/// A script of the store, out of its file; `window` where it counts in one.
macro_rules! script {
    ($name:literal) => {
        $crate::store::script!($name, "")
    };
    ($name:literal, window) => {
        $crate::store::script!($name, include_str!("../lua/window.lua"))
    };
    ($name:literal, $more:expr) => {
        $crate::script::Script::with(
            include_str!(concat!("../lua/store/", $name, ".lua")),
            concat!(include_str!("../lua/store/common.lua"), $more),
        )
    };
}
use script;

/// What a call on behalf of an owner gives: an answer, or why the owner is shown none.
type Access<T> = Result<T, AccessError>;

#[async_trait]
impl SessionStore for Redis {
    async fn begin_turn(&self, new: &NewTurn) -> Result<Began, BackendError> {
        self.begin(new).await
    }

    async fn extend_turn(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Result<Extended, BackendError> {
        self.extend(turn, piece, lease).await
    }

    async fn finish_turn(&self, turn: &Turn, answer: &Answer) -> Result<Finished, BackendError> {
        self.finish(turn, answer).await
    }

    async fn left(&self, owner: &Owner, quota: &Quota) -> Result<Left, BackendError> {
        self.left_of(owner, quota).await
    }

    async fn request_stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError> {
        self.stop(owner, turn).await
    }

    async fn follow(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Result<Followed, AccessError> {
        self.follow_turn(owner, cursor, wait).await
    }

    async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError> {
        self.one_session(owner, session).await
    }

    async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError> {
        self.list_sessions(owner, page).await
    }

    async fn messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Result<Vec<Message>, AccessError> {
        self.page_of_messages(owner, session, page).await
    }

    async fn newer(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Result<Vec<Message>, AccessError> {
        self.newer_messages(owner, session, page, wait).await
    }

    async fn delete(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), AccessError> {
        self.delete_session(owner, session, request_id).await
    }

    async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<Adopted, BackendError> {
        self.adopt_some(&Owner::Guest(guest.clone()), &Owner::User(user.clone())).await
    }

    async fn close_orphans(&self, grace: Duration, max: usize) -> Result<Swept, BackendError> {
        self.sweep(grace, max).await
    }
}

/// A place or a limit as a script takes it: nothing is so long, and a script counts exactly so far.
fn countable(number: u64) -> u64 {
    number.min(1 << 32)
}

impl Redis {
    /// A call of a script in a slot, with the keys that it may write, which are named by what follows the slot. A cluster
    /// that is moving the slot then refuses the script as a whole, instead of ending it at the first key that has gone.
    fn at(&self, partition: Partition, script: &'static Script, keys: &[String]) -> Call {
        let slot = self.inner.keys.slot(partition);
        let keys: Vec<String> = keys.iter().map(|key| format!("{slot}{key}")).collect();
        script.on(&keys).arg(slot)
    }

    /// A call of a script in the slot of a session, with these of its keys, and others of the slot.
    fn at_session(&self, session: &SessionId, script: &'static Script, kinds: &str, others: &[String]) -> Call {
        let mut keys: Vec<String> = kinds.chars().map(|kind| format!("{kind}:{session}")).collect();
        keys.extend_from_slice(others);
        self.at(self.inner.keys.of_session(session), script, &keys)
    }

    /// Runs a script; the word that it says, and the rest.
    async fn say(&self, call: &Call) -> Read<(String, Vec<Value>)> {
        worded(self.inner.client.call(call).await?)
    }

    /// What a channel of followers is called, up to the session's id.
    pub(crate) fn followers(&self) -> String {
        self.inner.keys.plain("n:")
    }

    /// What each writer of events is told: how many a partition holds, whether the oldest are dropped, who waits for them.
    fn log_args(&self, call: Call) -> Call {
        let drops = u8::from(self.inner.limits.outbox_full == OutboxFull::DropOldest);
        call.arg(self.outbox_share()).arg(drops).arg(self.inner.keys.plain("wake:"))
    }
}

//! A store whose calls are measured.

use super::TURNS;
use super::calls::{Calls, always};
use async_trait::async_trait;
use chatcore::error::{AccessError, BackendError};
use chatcore::id::{DeviceId, RequestId, SessionId, UserId};
use chatcore::message::{Answer, Message, MessagesPage, NewerPage, Status};
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Runtime, SessionStore};
use chatcore::session::{Adopted, Session, SessionsPage};
use chatcore::turn::{
    Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Started, Stopping, Swept, Turn, TurnId,
};
use metrics::counter;
use std::sync::Arc;
use std::time::Duration;

/// The calls of a store, as labels.
const CALLS: &[&str] = &[
    "begin_turn",
    "extend_turn",
    "finish_turn",
    "left",
    "request_stop",
    "follow",
    "session",
    "sessions",
    "messages",
    "newer",
    "delete",
    "adopt",
    "close_orphans",
];

/// A store whose calls are measured.
#[derive(Debug)]
pub(crate) struct MeasuredStore {
    store: Arc<dyn SessionStore>,
    calls: Calls,
}

impl MeasuredStore {
    /// The same store.
    pub(crate) fn new(store: Arc<dyn SessionStore>, runtime: Arc<dyn Runtime>) -> Self {
        Self { store, calls: Calls::new(CALLS, runtime) }
    }
}

/// Counts a question that is dropped before the store has answered, which is when its caller's patience is over. Why another call
/// is dropped cannot be told: most often its caller has gone.
struct GivenUp<'a> {
    calls: &'a Calls,
    since: Duration,
    is_over: bool,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.calls.count("begin_turn", self.since, true);
        }
    }
}

fn is_backend(error: &AccessError) -> bool {
    matches!(error, AccessError::Backend(_))
}

#[async_trait]
impl SessionStore for MeasuredStore {
    async fn begin_turn(&self, new: &NewTurn) -> Result<Began, BackendError> {
        let mut given_up = GivenUp { calls: &self.calls, since: self.calls.now(), is_over: false };
        let began = self.calls.call("begin_turn", self.store.begin_turn(new), always).await;
        given_up.is_over = true;
        if let Ok(Began::Started(Started { closed: true, .. })) = &began {
            counter!(TURNS, "outcome" => Status::Failed.as_str()).increment(1);
        }
        began
    }

    async fn extend_turn(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Result<Extended, BackendError> {
        self.calls.call("extend_turn", self.store.extend_turn(turn, piece, lease), always).await
    }

    async fn finish_turn(&self, turn: &Turn, answer: &Answer) -> Result<Finished, BackendError> {
        let finished = self.calls.call("finish_turn", self.store.finish_turn(turn, answer), always).await;
        if let Ok(Finished::Stored(answer)) = &finished {
            counter!(TURNS, "outcome" => answer.status.as_str()).increment(1);
        }
        finished
    }

    async fn left(&self, owner: &Owner, quota: &Quota) -> Result<Left, BackendError> {
        self.calls.call("left", self.store.left(owner, quota), always).await
    }

    async fn request_stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError> {
        self.calls.call("request_stop", self.store.request_stop(owner, turn), is_backend).await
    }

    async fn follow(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Result<Followed, AccessError> {
        self.calls.call("follow", self.store.follow(owner, cursor, wait), is_backend).await
    }

    async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError> {
        self.calls.call("session", self.store.session(owner, session), is_backend).await
    }

    async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError> {
        self.calls.call("sessions", self.store.sessions(owner, page), always).await
    }

    async fn messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Result<Vec<Message>, AccessError> {
        self.calls.call("messages", self.store.messages(owner, session, page), is_backend).await
    }

    async fn newer(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Result<Vec<Message>, AccessError> {
        self.calls.call("newer", self.store.newer(owner, session, page, wait), is_backend).await
    }

    async fn delete(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), AccessError> {
        self.calls.call("delete", self.store.delete(owner, session, request_id), is_backend).await
    }

    async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<Adopted, BackendError> {
        self.calls.call("adopt", self.store.adopt(guest, user), always).await
    }

    async fn close_orphans(&self, grace: Duration, max: usize) -> Result<Swept, BackendError> {
        let swept = self.calls.call("close_orphans", self.store.close_orphans(grace, max), always).await?;
        counter!(TURNS, "outcome" => Status::Failed.as_str()).increment(swept.closed as u64);
        Ok(swept)
    }
}

//! The `SessionStore`: each call is one step of the writer or one look of a reader.

mod answer;
mod begin;
mod delete;
mod extend;
mod follow;
mod list;
mod owners;
mod row;
mod sweep;

use crate::Sqlite;
use crate::takes;
use crate::tx::Tx;
use crate::wake::Topics;
use async_trait::async_trait;
use chatcore::error::{AccessError, BackendError};
use chatcore::id::{DeviceId, RequestId, SessionId, UserId};
use chatcore::message::{Answer, Message, MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::port::SessionStore;
use chatcore::session::{Adopted, Session, SessionsPage};
use chatcore::turn::{Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Stopping, Swept, Turn, TurnId};
use std::time::Duration;

/// The statements whose plans are tested.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 20] = [
    row::BY_ID,
    row::BY_FIRST_KEY,
    row::BY_NUMBER,
    begin::KNOWN,
    begin::FREE_KEY,
    extend::PIECES,
    follow::QUESTION,
    list::MESSAGE,
    list::MESSAGES,
    list::NEWER,
    list::FIRST_PAGE,
    list::NEXT_PAGE,
    owners::EXPIRED,
    delete::OF_GUEST,
    sweep::ORPHANS,
    sweep::EXPIRED,
    sweep::FIRST_LEASE,
    sweep::FIRST_TO_SWEEP,
    sweep::EMPTY,
    delete::THROW_AWAY,
];

/// Those that list sessions.
#[cfg(test)]
pub(crate) const PAGES: [&str; 2] = [list::FIRST_PAGE, list::NEXT_PAGE];

/// What a step on behalf of an owner gives: an answer, or why the owner is shown none.
type Access<T> = rusqlite::Result<Result<T, AccessError>>;

#[async_trait]
impl SessionStore for Sqlite {
    async fn begin_turn(&self, new: &NewTurn) -> Result<Began, BackendError> {
        let (new, fresh) = (new.clone(), SessionId::from(self.inner.runtime.new_id()));
        self.write(move |step| begin::begin(step, &new, fresh)).await
    }

    async fn extend_turn(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Result<Extended, BackendError> {
        let (turn, piece) = (*turn, piece.clone());
        self.write(move |step| extend::extend(step, &turn, &piece, lease)).await
    }

    async fn finish_turn(&self, turn: &Turn, answer: &Answer) -> Result<Finished, BackendError> {
        let (turn, answer) = (*turn, answer.clone());
        self.write(move |step| answer::finish(step, &turn, &answer)).await
    }

    async fn left(&self, owner: &Owner, quota: &Quota) -> Result<Left, BackendError> {
        let (key, quota) = (takes::of_owner(owner), *quota);
        self.read(move |step| takes::left(step, &key, &quota)).await
    }

    async fn request_stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError> {
        let (owner, turn) = (owner.clone(), *turn);
        self.write(move |step| extend::request_stop(step, &owner, &turn)).await?
    }

    async fn follow(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Result<Followed, AccessError> {
        let (owner, cursor) = (owner.clone(), *cursor);
        let topic = Topics::session(&cursor.turn.session);
        self.watch((topic, wait), move |step| follow::follow(step, &owner, &cursor), follow::is_news).await?
    }

    async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError> {
        let (owner, session) = (owner.clone(), *session);
        self.read(move |step| list::session(step, &owner, &session)).await?
    }

    async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError> {
        let (owner, page) = (owner.clone(), *page);
        self.read(move |step| list::sessions(step, &owner, &page)).await
    }

    async fn messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Result<Vec<Message>, AccessError> {
        let (owner, session, page) = (owner.clone(), *session, *page);
        self.read(move |step| list::messages(step, &owner, &session, &page)).await?
    }

    async fn newer(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Result<Vec<Message>, AccessError> {
        let (owner, session, page) = (owner.clone(), *session, *page);
        let look = move |step: &Tx<'_>| list::newer(step, &owner, &session, &page);
        self.watch((Topics::session(&session), wait), look, list::is_news).await?
    }

    async fn delete(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), AccessError> {
        let (owner, session) = (owner.clone(), *session);
        self.write(move |step| delete::delete(step, &owner, &session, request_id.clone())).await?
    }

    async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<Adopted, BackendError> {
        let (guest, user) = (Owner::Guest(guest.clone()), Owner::User(user.clone()));
        self.write(move |step| delete::adopt(step, &guest, &user)).await
    }

    async fn close_orphans(&self, grace: Duration, max: usize) -> Result<Swept, BackendError> {
        self.write(move |step| sweep::sweep(step, grace, max)).await
    }
}

//! Where sessions live.

use crate::error::{AccessError, BackendError};
use crate::id::{DeviceId, RequestId, SessionId, UserId};
use crate::message::{Answer, Message, MessagesPage, NewerPage};
use crate::owner::Owner;
use crate::policy::{Left, Quota};
use crate::session::{Adopted, Session, SessionsPage};
use crate::turn::{Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Stopping, Swept, Turn, TurnId};
use async_trait::async_trait;
use std::fmt::Debug;
use std::time::Duration;

/// Where sessions live.
///
/// **Each call is one atomic step**: all of it happened, or nothing, and what it answers is true at that moment. Each may be
/// repeated after an error: the attempt, the fence or the offset in it makes the second call harmless. A call whose
/// future is dropped has happened or not, or happens later. The store stamps times. Where an owner is an argument, the
/// check of it is part of the step.
///
/// # Laws
/// Turns:
/// - **one live turn per session**: two writers, one starts and the other is `Busy`.
/// - **the same attempt is started again** with the same fence, while its turn is open: its reply was lost. Also after an
///   adoption, which changes whose the session is and not who runs the turn.
/// - **a running key is attached**: the same key by another attempt, while the lease holds.
/// - **a lease that is over is resumed by its key**: the same question, with its stored id, under a new fence.
/// - **a lease that is over is closed by another key** at once: as `failed`, with the live text as its content.
/// - **an orphan is closed after its grace** by `close_orphans`, and not before.
/// - **no lease runs out in quiet**, the time in which `close_orphans` says that there is nothing to see.
/// - **a look tells the time**: what `close_orphans` says are the clocks by which leases run out.
/// - **a closed key is replayed**, whatever its status; **another body under a key is refused**.
/// - **a stale fence never writes**, neither text nor answer.
/// - **a repeated finish is stored once**: with a fence that has stored, it answers the same again.
/// - **extend writes at an offset** and answers the stored length, so that a repeated or lost call neither doubles nor
///   skips text.
/// - **a stop is seen by extend**.
/// - **seq has no gaps**; an answer names its question.
///
/// Sessions:
/// - **a deleted session never comes back**, not even by a retried first message; **a delete ends a running turn** as
///   `Gone`, and a repeated delete says so again.
/// - **an expired session is gone**, also between question and answer; each question renews its time.
/// - **a session is its owner's**: another is told `NotYours`, and of an unknown one `NotFound`.
/// - **sessions are listed newest first**, and no living one is omitted; **a history is read in pages**.
/// - **an adoption moves every session once**; a turn that runs goes on.
/// - **a session holds only so many messages**, **an owner only so many sessions**.
///
/// The quota:
/// - **the quota counts started questions exactly**: never more than its limit in any window, also by parallel callers;
///   replays, attachments and refusals cost nothing, and neither does asking what is left.
/// - **busy comes last**: while another key runs, a new question is told first what stands against it whatever becomes of that
///   turn: `SessionFull`, with the running turn's answer counted, `Overloaded`, `Throttled`. So nobody stops an answer for
///   a question that is refused then.
///
/// Followers:
/// - **follow gives each byte once**: every byte after `from`, in order, from any process, while the turn runs and after it
///   has ended.
/// - **follow restarts where the text was replaced**: by another attempt, or where the position lies beyond the text of an
///   ended turn or inside a character. Then it says `restarted` and begins at 0.
/// - **the text followed is the text stored**, a fallback's too.
/// - **follow waits for more**, and answers with nothing when its time is over.
/// - **each newer message comes once**: questions and answers behind a place, in order, as soon as they are stored, from any
///   process; and nothing when the time is over.
#[async_trait]
pub trait SessionStore: Debug + Send + Sync + 'static {
    /// Takes a question, or says what stands against it.
    async fn begin_turn(&self, new: &NewTurn) -> Result<Began, BackendError>;

    /// Keeps a piece of live text and renews the lease, in one step. A piece beyond the stored text is not kept; the
    /// length in the answer says from where to go on.
    async fn extend_turn(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Result<Extended, BackendError>;

    /// Stores the answer with its event, and ends the turn.
    async fn finish_turn(&self, turn: &Turn, answer: &Answer) -> Result<Finished, BackendError>;

    /// What is left of an owner's quota now.
    async fn left(&self, owner: &Owner, quota: &Quota) -> Result<Left, BackendError>;

    /// Asks the turn's server, wherever it is, to stop.
    async fn request_stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError>;

    /// What comes after the cursor: as soon as there is any, or at the end of the turn, or when `wait` is over.
    async fn follow(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Result<Followed, AccessError>;

    /// One session.
    async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError>;

    /// A page of an owner's sessions, by last activity and then by id, both descending.
    async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError>;

    /// A page of a session's history, oldest first.
    async fn messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Result<Vec<Message>, AccessError>;

    /// Messages behind a place of a session's history, oldest first: as soon as there are any, or none when `wait` is over.
    async fn newer(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Result<Vec<Message>, AccessError>;

    /// Deletes a session and ends its turn; an event tells of it, and which request asked.
    async fn delete(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), AccessError>;

    /// Makes some of a guest's sessions a user's. Repeated until nothing is left; it may be cut off anywhere.
    async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<Adopted, BackendError>;

    /// Closes at most `max` turns whose lease has been over for `grace`, as `failed` with their live text; fewer than `max`
    /// means that none is left. The grace is the time in which the same key may take its question up again. A store of several
    /// parts, of which one was away while others answered, takes the longer grace there that [`Looks`](crate::sweep::Looks) at
    /// that part tell. A store that has to throw expired sessions away itself does some of that here.
    async fn close_orphans(&self, grace: Duration, max: usize) -> Result<Swept, BackendError>;
}

//! What an embedder calls.

use super::live::End;
use super::newer::Newer;
use super::tail::Tail;
use super::{Answered, Begun, ChatError, Core, SendMessage, TurnEvent};
use crate::error::{AccessError, BackendError};
use crate::id::{DeviceId, RequestId, SessionId, UserId};
use crate::message::{Message, MessagesPage};
use crate::owner::Owner;
use crate::policy::{ChatPolicy, Left, Quota};
use crate::port::{AiGateway, Runtime, SessionStore};
use crate::session::{AdoptionRest, Session, SessionsPage};
use crate::turn::{Cursor, Position, Stopping, TurnId};
use futures_core::stream::BoxStream;
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use std::time::Duration;

/// The chat. Cheap to clone; all clones share the running turns.
///
/// # Laws
/// - **A turn is a task**: a caller who goes away ends nothing, from the first poll on.
/// - **One message costs two round trips** to the store, plus one for each third of the lease, plus at most one for each
///   100 ms in which text came.
/// - **A stop is seen at once** on the turn's own process, elsewhere within a third of the lease.
/// - **A store that is away** is told within the patience, whatever is asked for: an answer, or a stream.
/// - **A store that is away at the end** costs the caller an [`Unavailable`](ChatError::Unavailable) and no answer: the
///   turn goes on storing, and the same key gives it.
/// - **A process that drains** ends its turns with the text they have, and leaves those without any open for their key.
#[derive(Debug, Clone)]
pub struct ChatService {
    core: Arc<Core>,
}

impl ChatService {
    /// A chat over three ports.
    pub fn new(
        store: Arc<dyn SessionStore>,
        ai: Arc<dyn AiGateway>,
        runtime: Arc<dyn Runtime>,
        policy: ChatPolicy,
    ) -> Self {
        Self {
            core: Arc::new(Core { store, ai, runtime, policy, running: Default::default(), queue: Default::default() }),
        }
    }

    /// Asks, and waits for the stored answer. Dropping the future does not end the turn.
    ///
    /// # Errors
    /// See [`ChatError`].
    pub async fn send(&self, message: SendMessage) -> Result<Answered, ChatError> {
        self.begin(message).await?.1.await
    }

    /// Asks, and comes back as soon as the question is stored, or was found stored, with what waits for the stored answer.
    /// Dropping that does not end the turn.
    ///
    /// # Errors
    /// See [`ChatError`].
    pub async fn begin(
        &self,
        message: SendMessage,
    ) -> Result<(Begun, BoxFuture<'static, Result<Answered, ChatError>>), ChatError> {
        let (core, owner) = (self.core.clone(), message.owner.clone());
        let live = core.start(message)?;
        let begun = live.begun().await?;
        let answered = async move {
            match core.end_of(&live).await {
                End::Answered(answered) => Ok(answered),
                End::Lost(begun) => core.stored_end(&owner, begun).await,
                End::Failed(error) => Err(error),
            }
        };
        Ok((begun, answered.boxed()))
    }

    /// Asks, and hands out the answer as it comes. A refusal comes before the stream; a running turn of the same key is
    /// joined, and taken up here should its process die. Dropping the stream does not end the turn.
    ///
    /// # Errors
    /// See [`ChatError`].
    pub async fn stream(&self, message: SendMessage) -> Result<(Begun, BoxStream<'static, TurnEvent>), ChatError> {
        let live = self.core.start(message.clone())?;
        match live.begun().await {
            Ok(begun) => Ok((begun, Tail::local(self.core.clone(), message.owner, live, begun).into_stream())),
            Err(ChatError::Running { begun, retry_after }) => {
                let at = Cursor { turn: begun.turn, from: Position { fence: begun.fence, offset: 0 } };
                let (begun, tail) = Tail::stored(self.core.clone(), message.owner.clone(), at).await?;
                Ok((begun, tail.of_key(message, retry_after).into_stream()))
            }
            Err(error) => Err(error),
        }
    }

    /// What a turn says after the cursor, on whatever process it runs or ran. Where the cursor is of another attempt, the
    /// stream begins with [`Restart`](TurnEvent::Restart).
    ///
    /// # Errors
    /// See [`ChatError`]; they come before the stream.
    pub async fn follow(
        &self,
        owner: Owner,
        cursor: Cursor,
    ) -> Result<(Begun, BoxStream<'static, TurnEvent>), ChatError> {
        let (begun, tail) = Tail::stored(self.core.clone(), owner, cursor).await?;
        Ok((begun, tail.into_stream()))
    }

    /// The messages of a session behind a place, and for ever those that come, as they are stored. An error is the last
    /// item, a deleted session too.
    ///
    /// # Errors
    /// See [`ChatError`]; they come before the stream.
    pub async fn newer(
        &self,
        owner: Owner,
        session: SessionId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Message, ChatError>>, ChatError> {
        Ok(Newer::open(self.core.clone(), owner, session, after).await?.into_stream())
    }

    /// Stops a turn; its text so far becomes its answer.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError> {
        self.core.stop(owner, turn).await
    }

    /// How many questions an owner may start; `None` for any number.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        self.core.policy.quota
    }

    /// What is left of an owner's quota; `None` where there is none.
    ///
    /// # Errors
    /// The store failed.
    pub async fn left(&self, owner: &Owner) -> Result<Option<Left>, BackendError> {
        match &self.core.policy.quota {
            Some(quota) => self.core.store.left(owner, quota).await.map(Some),
            None => Ok(None),
        }
    }

    /// One session.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError> {
        self.core.store.session(owner, session).await
    }

    /// A page of an owner's sessions, newest activity first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError> {
        self.core.store.sessions(owner, page).await
    }

    /// A page of a session's history, oldest first.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn history(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Result<Vec<Message>, AccessError> {
        self.core.store.messages(owner, session, page).await
    }

    /// Deletes a session. A turn that runs in it ends, at once where it runs here. The event of it names the request that asks.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn delete(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), AccessError> {
        self.core.store.delete(owner, session, request_id).await?;
        self.core.running.poke_session(*session);
        Ok(())
    }

    /// Makes a guest's sessions a user's, and answers how many this call moved. It may be cut off anywhere and called
    /// again. Sessions beyond what one may have stay the guest's.
    ///
    /// # Errors
    /// The store failed; what was moved stays moved.
    pub async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<usize, BackendError> {
        let mut moved = 0;
        loop {
            let adopted = self.core.store.adopt(guest, user).await?;
            moved += adopted.moved;
            match adopted.rest {
                AdoptionRest::More => {}
                AdoptionRest::Nothing => return Ok(moved),
                AdoptionRest::NoRoom => {
                    tracing::warn!("some sessions of a guest stay the guest's: the user has as many as one may have");
                    return Ok(moved);
                }
            }
        }
    }

    /// Takes no more messages, waits at most `grace` for those that run, and ends what is left with its text so far.
    pub async fn drain(&self, grace: Duration) {
        self.core.running.refuse();
        self.core.within(grace, self.core.running.empty()).await;
        self.core.running.halt();
        self.core.within(self.core.policy.patience, self.core.running.empty()).await;
    }
}

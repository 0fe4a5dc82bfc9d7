//! What a reader of a turn sees: from this process while the turn runs here, else from the store.

use super::live::{Answered, Begun, End, Found, Live, State};
use super::{Backoff, ChatError, Core, SendMessage};
use crate::error::AccessError;
use crate::id::Fence;
use crate::message::Message;
use crate::owner::Owner;
use crate::turn::{Cursor, Followed, Position, Refusal, TurnId};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::unfold;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// What happens in a turn, to one who reads along.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TurnEvent {
    /// More text, and where the reader stands after it.
    Delta {
        /// The text.
        text: String,
        /// The position after it.
        at: Position,
    },
    /// Another text took the place of what was read: it begins anew.
    Restart {
        /// The attempt whose text follows.
        fence: Fence,
    },
    /// The stored answer; nothing comes after it.
    Done(Box<Message>),
    /// The stream can't go on, the turn may; nothing comes after it.
    Error(ChatError),
}

/// How long one look into the store waits for more.
const WAIT: Duration = Duration::from_secs(5);

pub(super) struct Tail {
    core: Arc<Core>,
    owner: Owner,
    at: Cursor,
    source: Source,
    /// What is known and not handed out yet.
    queue: VecDeque<TurnEvent>,
}

enum Source {
    Here(Arc<Live>),
    Store,
    /// The store, until then; if the turn has no end by then, its process may have died, and the message is sent again.
    Key(Box<SendMessage>, Duration),
    Over,
}

impl Tail {
    pub(super) fn local(core: Arc<Core>, owner: Owner, live: Arc<Live>, begun: Begun) -> Self {
        let at = Cursor { turn: begun.turn, from: Position { fence: begun.fence, offset: 0 } };
        Self { core, owner, at, source: Source::Here(live), queue: VecDeque::new() }
    }

    /// A reader of the store, and the turn that it found there.
    pub(super) async fn stored(core: Arc<Core>, owner: Owner, at: Cursor) -> Result<(Begun, Self), ChatError> {
        let first = core.soon(Some(at.turn), core.follow_once(&owner, &at, Duration::ZERO)).await?;
        let found = if first.end.is_some() { Found::Answer } else { Found::Running };
        let begun = Begun { turn: at.turn, fence: first.to.fence, seq: first.seq, left: None, found };
        let mut tail = Self { core, owner, at, source: Source::Store, queue: VecDeque::new() };
        tail.take(first);
        Ok((begun, tail))
    }

    /// The same for somebody who asked: after so long it is looked whether the turn is to be taken up here.
    pub(super) fn of_key(self, message: SendMessage, retry_after: Duration) -> Self {
        let again = self.core.runtime.elapsed() + retry_after;
        match self.source {
            // The question stands. Nothing new is asked under its key, also where its session has expired meanwhile.
            Source::Store => {
                let message = Box::new(SendMessage { only_known: true, ..message });
                Self { source: Source::Key(message, again), ..self }
            }
            _ => self,
        }
    }

    pub(super) fn into_stream(self) -> BoxStream<'static, TurnEvent> {
        unfold(self, |mut tail| async move { tail.next().await.map(|event| (event, tail)) }).boxed()
    }

    async fn next(&mut self) -> Option<TurnEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            match &self.source {
                Source::Over => return None,
                Source::Here(live) => self.read_here(live.clone()).await,
                Source::Store => self.read_store(WAIT).await,
                Source::Key(message, again) => match again.saturating_sub(self.core.runtime.elapsed()) {
                    Duration::ZERO => self.send_again((**message).clone()).await,
                    left => self.read_store(left.min(WAIT)).await,
                },
            }
        }
    }

    async fn read_here(&mut self, live: Arc<Live>) {
        let have = self.at.from.offset;
        let more = |state: &State| state.text.get(have..).filter(|text| !text.is_empty()).map(str::to_owned);
        let (text, end) = match select(pin!(live.wait(more)), pin!(self.core.end_of(&live))).await {
            Either::Left((text, _)) => (Some(text), None),
            // Another thread may have added the last of the text after the first look and before the second.
            Either::Right((end, _)) => (live.read(more), Some(end)),
        };
        if let Some(text) = text {
            self.push_text(text);
        }
        match end {
            None => {}
            Some(End::Answered(answered)) => self.close(TurnEvent::Done(answered.answer)),
            Some(End::Lost(_)) => self.source = Source::Store,
            Some(End::Failed(error)) => self.close(TurnEvent::Error(error)),
        }
    }

    async fn read_store(&mut self, wait: Duration) {
        match self.core.follow_once(&self.owner, &self.at, wait).await {
            Ok(followed) => self.take(followed),
            Err(error) => self.close(TurnEvent::Error(error)),
        }
    }

    async fn send_again(&mut self, message: SendMessage) {
        let begun = match self.core.start(message.clone()) {
            Ok(live) => live.begun().await.map(|begun| (begun, live)),
            Err(error) => Err(error),
        };
        match begun {
            Ok((Begun { found, fence, .. }, live)) if found.is_own() => {
                self.source = Source::Here(live);
                if fence != self.at.from.fence {
                    self.at.from = Position { fence, offset: 0 };
                    self.queue.push_back(TurnEvent::Restart { fence });
                }
            }
            Ok(_) => self.source = Source::Store,
            Err(ChatError::Running { retry_after, .. }) => {
                self.try_again(message, retry_after.max(self.core.policy.flush));
            }
            // Others may take it up, and it can be read all the same.
            Err(ChatError::Overloaded) => self.try_again(message, self.core.policy.lease / 3),
            Err(ChatError::Refused(Refusal::Throttled { .. })) => {
                self.close(TurnEvent::Error(Refusal::NotFound.into()))
            }
            Err(error) => self.close(TurnEvent::Error(error)),
        }
    }

    fn try_again(&mut self, message: SendMessage, pause: Duration) {
        self.source = Source::Key(Box::new(message), self.core.runtime.elapsed() + pause);
    }

    fn take(&mut self, followed: Followed) {
        let Followed { restarted, text, to, end, .. } = followed;
        if restarted {
            self.queue.push_back(TurnEvent::Restart { fence: to.fence });
        }
        self.at.from = Position { fence: to.fence, offset: to.offset - text.len() };
        if !text.is_empty() {
            self.push_text(text);
        }
        if let Some(answer) = end {
            self.close(TurnEvent::Done(answer));
        }
    }

    fn push_text(&mut self, text: String) {
        self.at.from.offset += text.len();
        self.queue.push_back(TurnEvent::Delta { text, at: self.at.from });
    }

    fn close(&mut self, last: TurnEvent) {
        self.queue.push_back(last);
        self.source = Source::Over;
    }
}

impl Core {
    /// The end of a turn of this process, or `Unavailable` once the store has refused the answer for too long.
    pub(super) async fn end_of(&self, live: &Live) -> End {
        let since = live.wait(|state| state.settling.or(state.end.as_ref().map(|_| Duration::ZERO))).await;
        let waited = self.runtime.elapsed().saturating_sub(since);
        let end = self.within(self.policy.patience.saturating_sub(waited), live.wait(|state| state.end.clone())).await;
        end.unwrap_or_else(|| End::Failed(ChatError::Unavailable { turn: live.turn(), source: None }))
    }

    /// The end of a turn that another attempt took over, if it comes soon. It is no replay: the turn is this call's own, and
    /// had no answer when the call came.
    pub(super) async fn stored_end(&self, owner: &Owner, begun: Begun) -> Result<Answered, ChatError> {
        match self.within(self.policy.patience, self.answer_of(owner, begun.turn)).await {
            Some(Err(ChatError::Refused(Refusal::NotFound))) => Err(ChatError::Gone),
            Some(answer) => Ok(begun.answered(answer?)),
            None => Err(ChatError::Running { begun, retry_after: self.policy.lease }),
        }
    }

    /// The answer of a turn, once the store has it.
    pub(super) async fn answer_of(&self, owner: &Owner, turn: TurnId) -> Result<Box<Message>, ChatError> {
        let mut at = Cursor { turn, from: Position::default() };
        loop {
            let followed = self.follow_once(owner, &at, WAIT).await?;
            match followed.end {
                Some(answer) => return Ok(answer),
                None => at.from = followed.to,
            }
        }
    }

    /// One look into the store at a turn.
    async fn follow_once(&self, owner: &Owner, at: &Cursor, wait: Duration) -> Result<Followed, ChatError> {
        self.patiently(Some(at.turn), || self.store.follow(owner, at, wait)).await
    }

    /// What opens a stream: its caller has been told nothing yet, so a store that fails is told while patience lasts.
    pub(super) async fn soon<T>(
        &self,
        turn: Option<TurnId>,
        opening: impl Future<Output = Result<T, ChatError>>,
    ) -> Result<T, ChatError> {
        let opened = self.within(self.policy.patience, opening).await;
        opened.unwrap_or(Err(ChatError::Unavailable { turn, source: None }))
    }

    /// A call on behalf of an owner, repeated while it fails and patience lasts.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, AccessError>>>(
        &self,
        turn: Option<TurnId>,
        call: impl Fn() -> F,
    ) -> Result<T, ChatError> {
        let (mut deadline, mut backoff) = (None, Backoff::default());
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(AccessError::NotFound) => return Err(Refusal::NotFound.into()),
                Err(AccessError::NotYours) => return Err(Refusal::NotYours.into()),
                Err(AccessError::Backend(error)) => {
                    let now = self.runtime.elapsed();
                    if !error.may_pass() || now >= *deadline.get_or_insert(now + self.policy.patience) {
                        return Err(ChatError::Unavailable { turn, source: Some(error) });
                    }
                    self.runtime.sleep(backoff.pause()).await;
                }
            }
        }
    }
}

//! A turn as a task: begin, read the AI while the keeper keeps, store the answer.

use super::keep::Keeper;
use super::live::{Answered, Begun, End, Found, Live};
use super::verdict::{Halt, Verdict, usable, verdict};
use super::{Backoff, ChatError, Core, OnBusy};
use crate::error::BackendError;
use crate::id::AttemptId;
use crate::message::{AiReply, Answer};
use crate::port::{AiChunk, Prompt};
use crate::turn::{Began, Finished, NewTurn, Replayed, Started, Turn};
use futures_util::StreamExt;
use futures_util::future::{FutureExt, select_all};
use std::sync::Arc;
use std::time::Duration;
use tracing::Span;
use tracing::field::display;

/// Holds a turn's place among the running; whatever becomes of the task, its callers are told.
pub(super) struct Guard {
    core: Arc<Core>,
    attempt: AttemptId,
    live: Arc<Live>,
}

impl Guard {
    pub(super) fn new(core: Arc<Core>, attempt: AttemptId, live: Arc<Live>) -> Self {
        Self { core, attempt, live }
    }

    pub(super) async fn run(self, new: NewTurn, on_busy: OnBusy) {
        let end = self.core.whole_turn(new, on_busy, &self.live).await;
        Span::current().record("outcome", end.outcome());
        self.live.finish(end);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.live.finish(End::Failed(ChatError::Stopping { turn: self.live.turn() }));
        self.core.running.leave(self.attempt);
    }
}

impl Core {
    async fn whole_turn(&self, new: NewTurn, on_busy: OnBusy, live: &Live) -> End {
        let Some((began, asked)) = self.begin_in_turn(&new, on_busy, live).await else {
            return End::Failed(ChatError::Stopping { turn: None });
        };
        match began {
            Ok(Began::Started(started)) => self.answer(started, new, asked, live).await,
            Ok(Began::Replayed(replayed)) => replay(*replayed, live),
            Ok(Began::Attached { turn, seq, retry_after }) => {
                let begun = Begun { turn: turn.id, fence: turn.fence, seq, left: None, found: Found::Running };
                End::Failed(ChatError::Running { begun, retry_after })
            }
            Ok(Began::Refused(refusal)) => End::Failed(refusal.into()),
            Err(source) => {
                let said = source.as_ref().map(|error| tracing::field::display(&error.source));
                tracing::warn!(source = said, "a question could not be taken");
                End::Failed(ChatError::Unavailable { turn: None, source })
            }
        }
    }

    /// A lost reply is asked for again while patience lasts: the attempt tells the store that it is the same call. Answers
    /// also when the call was made, since a lease counts from there, and of a store that fails what it said last.
    pub(super) async fn begin(&self, new: &NewTurn) -> (Result<Began, Option<BackendError>>, Duration) {
        let (mut asked, mut said) = (self.runtime.elapsed(), None);
        let began = self.within(self.policy.patience, async {
            let mut backoff = Backoff::default();
            loop {
                asked = self.runtime.elapsed();
                match self.store.begin_turn(new).await {
                    Err(error) if error.may_pass() => said = Some(error),
                    began => return began.map_err(Some),
                }
                self.runtime.sleep(backoff.pause()).await;
            }
        });
        let began = began.await;
        (began.unwrap_or(Err(said)), asked)
    }

    async fn answer(&self, started: Started, new: NewTurn, asked: Duration, live: &Live) -> End {
        let Started { turn, seq, window, left, resumed, .. } = started;
        let found = if resumed { Found::Question } else { Found::Nobody };
        let begun = Begun { turn: turn.id, fence: turn.fence, seq, left, found };
        live.update(|state| {
            state.begun = Some(begun);
            // It may have been stopped before.
            state.poked |= resumed;
        });
        Span::current().record("session_id", display(turn.id.session)).record("message_id", display(turn.id.message));
        let NewTurn { owner, text, request_id, .. } = new;
        let prompt = Prompt { turn: turn.id, owner, request_id, text, history: usable(window) };
        let halt = self.work(Keeper::new(self, turn, live, asked), prompt, live).await;
        let text = live.read(|state| state.text.clone());
        match verdict(halt, text, &self.policy.fallback) {
            Verdict::Store(answer) => self.settle(begun, &answer, live).await,
            Verdict::LeaveOpen => End::Failed(ChatError::Stopping { turn: Some(turn.id) }),
            Verdict::NotOurs => End::Lost(begun),
            Verdict::Gone => End::Failed(ChatError::Gone),
        }
    }

    /// The first of these ends the work; the others are dropped, and with the reader its upstream call.
    async fn work(&self, keeper: Keeper<'_>, prompt: Prompt, live: &Live) -> Halt {
        let reader = self.read(prompt, live).boxed();
        let clock = self.runtime.sleep(self.policy.ai_timeout).map(|()| Halt::Broken).boxed();
        let halted = live.wait(|state| state.halted.then_some(Halt::Drained)).boxed();
        select_all([reader, keeper.keep().boxed(), clock, halted]).await.0
    }

    async fn read(&self, prompt: Prompt, live: &Live) -> Halt {
        let turn = prompt.turn;
        let mut chunks = self.ai.answer(prompt);
        while let Some(chunk) = chunks.next().await {
            let (text, done) = match chunk {
                Ok(AiChunk::Text(text)) => (text, None),
                Ok(AiChunk::Done(reply)) => (String::new(), Some(reply)),
                Err(error) => {
                    tracing::warn!(message_id = %turn.message, %error, "the AI failed");
                    return Halt::Broken;
                }
            };
            let length = live.read(|state| state.text.len()) + text.len() + done.as_ref().map_or(0, size);
            if length > self.policy.max_answer {
                tracing::warn!(message_id = %turn.message, "the AI said more than an answer may hold");
                return Halt::Broken;
            }
            match done {
                Some(reply) => return Halt::Done(reply),
                None => live.update(|state| state.text.push_str(&text)),
            }
        }
        Halt::Broken
    }

    /// Repeats until the store has the answer or says whose the turn is, whatever its error: what somebody has to mend may be mended in time,
    /// and the answer is nowhere else. The lease does not matter here: the fence decides.
    async fn settle(&self, begun: Begun, answer: &Answer, live: &Live) -> End {
        let turn = Turn { id: begun.turn, fence: begun.fence };
        // A fallback's text reaches those who read along as well.
        live.update(|state| state.text.clone_from(&answer.content));
        let since = self.runtime.elapsed();
        let deadline = since + self.policy.settle;
        let mut backoff = Backoff::default();
        loop {
            match self.store.finish_turn(&turn, answer).await {
                Ok(Finished::Stored(answer)) => {
                    return End::Answered(begun.answered(answer));
                }
                Ok(Finished::Fenced) => return End::Lost(begun),
                Ok(Finished::Gone) => return End::Failed(ChatError::Gone),
                Err(_) if self.runtime.elapsed() < deadline => {
                    live.update(|state| state.settling = Some(since));
                    self.runtime.sleep(backoff.pause()).await;
                }
                Err(error) => {
                    tracing::error!(message_id = %turn.id.message, %error, source = %error.source, "an answer could not be stored");
                    return End::Failed(ChatError::Unavailable { turn: Some(turn.id), source: Some(error) });
                }
            }
        }
    }
}

/// What a reply takes beside the text.
fn size(reply: &AiReply) -> usize {
    let products = if reply.products.is_empty() { 0 } else { reply.products.as_json().len() };
    products + reply.intent.as_ref().map_or(0, String::len)
}

/// A stored answer looks to those who read along like one that has just come.
fn replay(replayed: Replayed, live: &Live) -> End {
    let Replayed { turn, question, answer } = replayed;
    live.update(|state| {
        let (fence, seq) = (turn.fence, question.seq);
        state.begun = Some(Begun { turn: turn.id, fence, seq, left: None, found: Found::Answer });
        state.text.clone_from(&answer.content);
    });
    let (turn, seq, answer) = (turn.id, question.seq, Box::new(answer));
    End::Answered(Answered { turn, seq, answer, replayed: true, resumed: false, left: None })
}

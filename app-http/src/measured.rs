//! What the server does, in numbers for Prometheus.

use crate::compose::Dependency;
use app_kit::probing;
use async_trait::async_trait;
use chatcore::chat::Found;
use chatcore::error::{AccessError, BackendError};
use chatcore::id::{DeviceId, RequestId, SessionId, UserId};
use chatcore::message::{Answer, Message, MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::port::{AiChunk, AiError, AiGateway, Outbox, Prompt, Runtime, SessionStore};
use chatcore::session::{Adopted, Session, SessionsPage};
use chatcore::turn::{Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Stopping, Swept, Turn, TurnId};
use chatcore::{ChatError, TRACES};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use std::sync::Arc;
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

const REQUESTS: &str = "chatcore_http_requests_total";
const REQUEST_SECONDS: &str = "chatcore_http_request_seconds";
const TURNS: &str = "chatcore_turns_total";
const AI_SECONDS: &str = "chatcore_ai_seconds";
const AI_FIRST_SECONDS: &str = "chatcore_ai_first_text_seconds";
const AI_BREAKER: &str = "chatcore_ai_breaker_open";
const AI_TOKENS: &str = "chatcore_ai_tokens_total";
const STORE_SECONDS: &str = "chatcore_store_seconds";
const STORE_FAILURES: &str = "chatcore_store_failures_total";
const OUTBOX: &str = "chatcore_outbox_events";
const OUTBOX_AGE: &str = "chatcore_outbox_oldest_seconds";
const UP: &str = "chatcore_dependency_up";

/// Says what the numbers mean, and begins those of turns with nought.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "Requests, by method, route and status");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "How long a request took until its answer began, by route");
    describe_counter!(TURNS, "Messages, by what became of them: the status of the answer, replayed, refused or failed");
    describe_histogram!(AI_SECONDS, Unit::Seconds, "How long the AI took for an answer, by outcome");
    describe_histogram!(AI_FIRST_SECONDS, Unit::Seconds, "How long the AI took until the first text came");
    describe_gauge!(AI_BREAKER, "1 while the AI is not asked, since it failed too often");
    describe_counter!(AI_TOKENS, "Tokens that the AI service has counted, of prompts and of completions");
    describe_histogram!(STORE_SECONDS, Unit::Seconds, "How long the store took, by call");
    describe_counter!(STORE_FAILURES, "Calls of the store that failed, by call");
    describe_gauge!(OUTBOX, "Events that the store holds: those that wait for the bus, or its own log");
    describe_gauge!(OUTBOX_AGE, Unit::Seconds, "How long the oldest of them has been there");
    describe_gauge!(UP, "1 where a dependency can be worked with");
    for outcome in ["completed", "fallback", "failed", "cancelled", "replayed", "refused", "unavailable"] {
        counter!(TURNS, "outcome" => outcome).increment(0);
    }
}

/// A request was answered.
pub(crate) fn request(method: &str, route: &str, status: u16, took: Duration) {
    let route = route.to_owned();
    counter!(REQUESTS, "method" => known(method), "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    histogram!(REQUEST_SECONDS, "route" => route).record(took.as_secs_f64());
}

/// Anybody can send any word for a method, and each label is kept for ever.
fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// A message came to this, where no answer was stored for it: that is counted where it is stored, since a turn goes on when
/// its caller has gone.
pub(crate) fn message(told: Result<Found, &ChatError>) {
    let outcome = match told {
        Ok(found) if found.is_own() => return,
        Ok(_) => "replayed",
        Err(ChatError::Unavailable { .. } | ChatError::Stopping { .. } | ChatError::Overloaded) => "unavailable",
        Err(_) => "refused",
    };
    counter!(TURNS, "outcome" => outcome).increment(1);
}

/// What is looked at every few seconds.
#[derive(Clone)]
pub struct Sampled {
    /// The events that the store holds.
    pub outbox: Arc<dyn Outbox>,
    /// What the AI tells of itself.
    pub ai: Arc<dyn Fn() -> AiNumbers + Send + Sync>,
    /// Tells the time.
    pub runtime: Arc<dyn Runtime>,
}

/// What an AI tells of itself; nothing, where it is no service.
#[derive(Debug, Clone, Copy, Default)]
pub struct AiNumbers {
    /// Whether it is not asked now, since it failed too often.
    pub refuses: bool,
    /// The tokens of all questions that it has counted.
    pub prompt_tokens: u64,
    /// The tokens of all answers.
    pub completion_tokens: u64,
}

impl Sampled {
    /// Looks.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; so many events never wait")]
    pub(crate) async fn sample(&self, dependencies: &[Dependency]) {
        if let Ok(backlog) = self.outbox.backlog().await {
            let age = backlog.oldest.map_or(0.0, |oldest| (self.runtime.now() - oldest).as_seconds_f64().max(0.0));
            gauge!(OUTBOX).set(backlog.events as f64);
            gauge!(OUTBOX_AGE).set(age);
        }
        let ai = (self.ai)();
        gauge!(AI_BREAKER).set(f64::from(u8::from(ai.refuses)));
        counter!(AI_TOKENS, "kind" => "prompt").absolute(ai.prompt_tokens);
        counter!(AI_TOKENS, "kind" => "completion").absolute(ai.completion_tokens);
        let look = async |dependency: &Dependency| {
            let serves = probing::look(&*dependency.probe).await.serves();
            gauge!(UP, "dependency" => dependency.probe.name()).set(f64::from(u8::from(serves)));
        };
        join_all(dependencies.iter().map(look)).await;
    }
}

impl std::fmt::Debug for Sampled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampled").field("outbox", &self.outbox).finish_non_exhaustive()
    }
}

/// An AI whose answers are measured.
#[derive(Debug)]
pub(crate) struct MeasuredAi {
    ai: Arc<dyn AiGateway>,
    runtime: Arc<dyn Runtime>,
}

impl MeasuredAi {
    /// The same AI.
    pub(crate) fn new(ai: Arc<dyn AiGateway>, runtime: Arc<dyn Runtime>) -> Self {
        Self { ai, runtime }
    }
}

impl AiGateway for MeasuredAi {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let (runtime, start, mut first) = (self.runtime.clone(), self.runtime.elapsed(), true);
        let measure = move |chunk: &Result<AiChunk, AiError>| {
            let took = runtime.elapsed().saturating_sub(start).as_secs_f64();
            let outcome = match chunk {
                Ok(AiChunk::Text(_)) if std::mem::take(&mut first) => {
                    return histogram!(AI_FIRST_SECONDS).record(took);
                }
                Ok(AiChunk::Text(_)) => return,
                Ok(AiChunk::Done(_)) => "answered",
                Err(AiError::Refused(_)) => "refused",
                Err(AiError::Failed(_)) => "failed",
            };
            histogram!(AI_SECONDS, "outcome" => outcome).record(took);
        };
        self.ai.answer(prompt).inspect(measure).boxed()
    }
}

/// A store whose calls are measured.
#[derive(Debug)]
pub(crate) struct MeasuredStore {
    store: Arc<dyn SessionStore>,
    runtime: Arc<dyn Runtime>,
    calls: [Numbers; CALLS.len()],
}

/// The calls of a store, as labels.
const CALLS: [&str; 13] = [
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

/// The numbers of a call.
#[derive(Debug)]
struct Numbers {
    call: &'static str,
    seconds: Histogram,
    failures: Counter,
}

impl MeasuredStore {
    /// The same store.
    pub(crate) fn new(store: Arc<dyn SessionStore>, runtime: Arc<dyn Runtime>) -> Self {
        let numbers = |call| {
            let (seconds, failures) =
                (histogram!(STORE_SECONDS, "call" => call), counter!(STORE_FAILURES, "call" => call));
            Numbers { call, seconds, failures }
        };
        let calls = CALLS.map(numbers);
        calls.iter().for_each(|numbers| numbers.failures.increment(0));
        Self { store, runtime, calls }
    }

    fn numbers(&self, name: &str) -> Option<&Numbers> {
        self.calls.iter().find(|numbers| numbers.call == name)
    }

    async fn call<T, E>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, E>>,
        is_failure: fn(&E) -> bool,
    ) -> Result<T, E> {
        let start = self.runtime.elapsed();
        // What nobody asked for, like a look of the sweeper's, is in no trace.
        let span = match Span::current().is_none() {
            true => Span::none(),
            false => {
                info_span!(target: TRACES, "store", otel.name = name, otel.kind = "client", otel.status_code = Empty)
            }
        };
        let result = call.instrument(span.clone()).await;
        let took = self.runtime.elapsed().saturating_sub(start);
        if let Some(numbers) = self.numbers(name) {
            numbers.seconds.record(took.as_secs_f64());
            let failed = result.as_ref().is_err_and(is_failure);
            numbers.failures.increment(u64::from(failed));
            if failed {
                span.record("otel.status_code", "ERROR");
            }
        }
        result
    }
}

/// Counts a question that is dropped before the store has answered, which is when its caller's patience is over. Why another call
/// is dropped cannot be told: most often its caller has gone.
struct GivenUp<'a> {
    store: &'a MeasuredStore,
    since: Duration,
    is_over: bool,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(numbers) = self.store.numbers("begin_turn").filter(|_| !self.is_over) {
            numbers.seconds.record(self.store.runtime.elapsed().saturating_sub(self.since).as_secs_f64());
            numbers.failures.increment(1);
        }
    }
}

fn always(_: &BackendError) -> bool {
    true
}

fn is_backend(error: &AccessError) -> bool {
    matches!(error, AccessError::Backend(_))
}

#[async_trait]
impl SessionStore for MeasuredStore {
    async fn begin_turn(&self, new: &NewTurn) -> Result<Began, BackendError> {
        let mut given_up = GivenUp { store: self, since: self.runtime.elapsed(), is_over: false };
        let began = self.call("begin_turn", self.store.begin_turn(new), always).await;
        given_up.is_over = true;
        began
    }

    async fn extend_turn(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Result<Extended, BackendError> {
        self.call("extend_turn", self.store.extend_turn(turn, piece, lease), always).await
    }

    async fn finish_turn(&self, turn: &Turn, answer: &Answer) -> Result<Finished, BackendError> {
        let finished = self.call("finish_turn", self.store.finish_turn(turn, answer), always).await;
        if let Ok(Finished::Stored(answer)) = &finished {
            counter!(TURNS, "outcome" => answer.status.as_str()).increment(1);
        }
        finished
    }

    async fn left(&self, owner: &Owner, quota: &Quota) -> Result<Left, BackendError> {
        self.call("left", self.store.left(owner, quota), always).await
    }

    async fn request_stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError> {
        self.call("request_stop", self.store.request_stop(owner, turn), is_backend).await
    }

    async fn follow(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Result<Followed, AccessError> {
        self.call("follow", self.store.follow(owner, cursor, wait), is_backend).await
    }

    async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError> {
        self.call("session", self.store.session(owner, session), is_backend).await
    }

    async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError> {
        self.call("sessions", self.store.sessions(owner, page), always).await
    }

    async fn messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Result<Vec<Message>, AccessError> {
        self.call("messages", self.store.messages(owner, session, page), is_backend).await
    }

    async fn newer(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Result<Vec<Message>, AccessError> {
        self.call("newer", self.store.newer(owner, session, page, wait), is_backend).await
    }

    async fn delete(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), AccessError> {
        self.call("delete", self.store.delete(owner, session, request_id), is_backend).await
    }

    async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<Adopted, BackendError> {
        self.call("adopt", self.store.adopt(guest, user), always).await
    }

    async fn close_orphans(&self, grace: Duration, max: usize) -> Result<Swept, BackendError> {
        let swept = self.call("close_orphans", self.store.close_orphans(grace, max), always).await?;
        counter!(TURNS, "outcome" => "failed").increment(swept.closed as u64);
        Ok(swept)
    }
}

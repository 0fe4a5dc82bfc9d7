//! What the server does, in numbers for Prometheus.

mod ai;
mod calls;
mod store;
mod throttle;

pub(crate) use ai::MeasuredAi;
pub(crate) use store::MeasuredStore;
pub(crate) use throttle::MeasuredThrottle;

use crate::compose::Dependency;
use app_kit::probing;
use chatcore::ChatError;
use chatcore::chat::Found;
use chatcore::guests::GuestError;
use chatcore::port::{Outbox, Runtime};
use futures_util::future::join_all;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::sync::Arc;
use std::time::Duration;

const REQUESTS: &str = "chatcore_http_requests_total";
const REQUEST_SECONDS: &str = "chatcore_http_request_seconds";
const TURNS: &str = "chatcore_turns_total";
const AI_SECONDS: &str = "chatcore_ai_seconds";
const AI_FIRST_SECONDS: &str = "chatcore_ai_first_text_seconds";
const AI_BREAKER: &str = "chatcore_ai_breaker_open";
const AI_TOKENS: &str = "chatcore_ai_tokens_total";
const REFUSED: &str = "chatcore_http_connections_refused_total";
const STORE_SECONDS: &str = "chatcore_store_seconds";
const STORE_FAILURES: &str = "chatcore_store_failures_total";
const OUTBOX: &str = "chatcore_outbox_events";
const OUTBOX_AGE: &str = "chatcore_outbox_oldest_seconds";
const UP: &str = "chatcore_dependency_up";

/// Says what the numbers mean, and begins those that alarms look at with nought.
pub(crate) fn describe() {
    describe_counter!(
        REQUESTS,
        "Requests, by method, route and status; 499 where the client had gone before its answer began"
    );
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "How long a request took until its answer began, by route");
    describe_counter!(REFUSED, "Connections that were closed as they came, since their address had as many as it may");
    describe_counter!(
        TURNS,
        "Messages, by what became of them: the status of the answer, or replayed, refused, unavailable, deleted"
    );
    describe_histogram!(
        AI_SECONDS,
        Unit::Seconds,
        "How long the AI took for an answer, by outcome; `unasked` where it is given a rest, `dropped` where nobody waited for the end"
    );
    describe_histogram!(AI_FIRST_SECONDS, Unit::Seconds, "How long the AI took until the first text came");
    describe_gauge!(AI_BREAKER, "1 while the AI is not asked, since it failed too often");
    describe_counter!(AI_TOKENS, "Tokens that the AI service has counted, of prompts and of completions");
    describe_histogram!(STORE_SECONDS, Unit::Seconds, "How long the store took, its throttle among it, by call");
    describe_counter!(STORE_FAILURES, "Calls of the store that failed, by call");
    describe_gauge!(OUTBOX, "Events that the store holds: those that wait for the bus, or its own log");
    describe_gauge!(OUTBOX_AGE, Unit::Seconds, "How long the oldest of them has been there");
    describe_gauge!(UP, "1 where a dependency can be worked with");
    counter!(REFUSED).increment(0);
    for outcome in ["completed", "fallback", "failed", "cancelled", "replayed", "refused", "unavailable", "deleted"] {
        counter!(TURNS, "outcome" => outcome).increment(0);
    }
}

/// A connection was closed as it came.
pub(crate) fn connection_refused() {
    counter!(REFUSED).increment(1);
}

/// A request is over; of one that was answered, how long that took.
pub(crate) fn request(method: &str, route: &str, status: u16, took: Option<Duration>) {
    let route = route.to_owned();
    counter!(REQUESTS, "method" => known(method), "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    if let Some(took) = took {
        histogram!(REQUEST_SECONDS, "route" => route).record(took.as_secs_f64());
    }
}

/// Anybody can send any word for a method, and each label is kept for ever.
fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// A message came to this, where no answer was stored for it: that is counted where it is stored, since a turn goes on when
/// its caller has gone.
pub(crate) fn message(told: Result<Found, &GuestError>) {
    use ChatError::{Gone, Overloaded, Stopping, Unavailable};
    let outcome = match told {
        Ok(found) if found.is_own() => return,
        Err(GuestError::Chat(Unavailable { turn: Some(_), .. } | Stopping { turn: Some(_) })) => return,
        Ok(_) => "replayed",
        Err(GuestError::Backend(_) | GuestError::Chat(Unavailable { .. } | Stopping { .. } | Overloaded)) => {
            "unavailable"
        }
        Err(GuestError::Chat(Gone)) => "deleted",
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
            gauge!(OUTBOX).set(backlog.events as f64);
            gauge!(OUTBOX_AGE).set(backlog.age(self.runtime.now()).as_secs_f64());
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

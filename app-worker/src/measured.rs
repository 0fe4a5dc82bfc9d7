//! Handlers and what comes of events, in numbers.

use crate::pulse::Pulse;
use async_trait::async_trait;
use chatcore::TRACES;
use chatcore::consume::{Consumed, EventHandler};
use chatcore::event::Event;
use chatcore::id::RequestId;
use chatcore::port::{Place, Runtime};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::sync::Arc;
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

const EVENTS: &str = "chatcore_worker_events_total";
const LAG: &str = "chatcore_worker_lag_events";
const FAILURES: &str = "chatcore_worker_handler_failures_total";
const SECONDS: &str = "chatcore_worker_handler_seconds";
const OLDEST: &str = "chatcore_worker_handler_oldest_seconds";

/// What a step that gave no error did, and a step that did, as labels.
const OUTCOMES: [&str; 4] = ["handled", "parked", "revoked", "failed"];

/// Says what the numbers mean, and begins those that only grow with nought.
pub(crate) fn describe() {
    describe_counter!(
        EVENTS,
        "Deliveries that were worked off, by outcome; failed: the bus failed and they come again"
    );
    describe_gauge!(LAG, "Events of the group that are not worked off");
    describe_counter!(FAILURES, "Tries of a handler that failed; each but an event's last is followed by another");
    describe_gauge!(OLDEST, Unit::Seconds, "For how long the oldest try of a handler goes on that is not done yet");
    describe_histogram!(SECONDS, Unit::Seconds, "How long a try of a handler took");
    OUTCOMES.iter().for_each(|outcome| counter!(EVENTS, "outcome" => *outcome).increment(0));
}

/// A step was done, or failed.
pub(crate) fn count<E>(step: &Result<Consumed, E>) {
    let outcome = match step {
        Ok(Consumed::Handled) => "handled",
        Ok(Consumed::Parked) => "parked",
        Ok(Consumed::Revoked) => "revoked",
        Ok(_) => return,
        Err(_) => "failed",
    };
    counter!(EVENTS, "outcome" => outcome).increment(1);
}

/// How many events wait.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; so many events never wait")]
pub(crate) fn lag(events: u64) {
    gauge!(LAG).set(events as f64);
}

/// For how long the oldest try goes on.
pub(crate) fn oldest_try(took: Duration) {
    gauge!(OLDEST).set(took.as_secs_f64());
}

/// A handler whose tries are measured.
#[derive(Debug)]
pub struct Measured {
    name: &'static str,
    handler: Arc<dyn EventHandler>,
    runtime: Arc<dyn Runtime>,
    pulse: Arc<Pulse>,
}

impl Measured {
    /// The same handler, shown on `/metrics` and, where it stalls, on `/readyz` by this name.
    #[must_use]
    pub fn new(
        name: &'static str,
        handler: Arc<dyn EventHandler>,
        runtime: Arc<dyn Runtime>,
        pulse: Arc<Pulse>,
    ) -> Self {
        counter!(FAILURES, "handler" => name).increment(0);
        Self { name, handler, runtime, pulse }
    }
}

#[async_trait]
impl EventHandler for Measured {
    async fn handle(&self, event: &Event, place: &Place) -> Result<(), String> {
        let start = self.runtime.elapsed();
        let _trying = self.pulse.tries_event(self.name, place);
        let span = info_span!(target: TRACES, "handler", otel.name = self.name, otel.status_code = Empty);
        let done = self.handler.handle(event, place).instrument(span.clone()).await;
        let took = self.runtime.elapsed().saturating_sub(start);
        histogram!(SECONDS, "handler" => self.name).record(took.as_secs_f64());
        if let Err(reason) = &done {
            span.record("otel.status_code", "ERROR");
            counter!(FAILURES, "handler" => self.name).increment(1);
            let request_id = event.request_id.as_ref().map(RequestId::as_str);
            tracing::debug!(handler = self.name, event_id = %event.id(), request_id, reason, "a try failed");
        }
        done
    }
}

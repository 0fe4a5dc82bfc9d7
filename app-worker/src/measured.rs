//! Handlers and what comes of events, in numbers.

use crate::pulse::Pulse;
use async_trait::async_trait;
use chatcore::TRACES;
use chatcore::consume::{Consumed, EventHandler, Unhandled};
use chatcore::event::Event;
use chatcore::id::RequestId;
use chatcore::port::{Place, Runtime};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

const EVENTS: &str = "chatcore_worker_events_total";
const LAG: &str = "chatcore_worker_lag_events";
const FAILURES: &str = "chatcore_worker_handler_failures_total";
const SECONDS: &str = "chatcore_worker_handler_seconds";
const OLDEST: &str = "chatcore_worker_handler_oldest_seconds";

/// How often the log says that something is away, however many events wait for it.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What a step that gave no error did, and a step that did, as labels.
const OUTCOMES: [&str; 4] = ["handled", "parked", "revoked", "failed"];

/// Says what the numbers mean, and begins those that only grow with nought.
pub(crate) fn describe() {
    describe_counter!(
        EVENTS,
        "Deliveries that were worked off, by outcome; failed: the bus failed and they come again"
    );
    describe_gauge!(LAG, "Events of the group that are not worked off");
    describe_counter!(
        FAILURES,
        "Tries of a handler that failed, or found away what it needs; each but an event's last is followed by another"
    );
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "For how long a handler is at the oldest event that it is not done with yet"
    );
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

/// For how long a handler is at the oldest event.
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
    told: Mutex<Option<Duration>>,
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
        Self { name, handler, runtime, pulse, told: Mutex::default() }
    }

    fn is_time_to_tell(&self) -> bool {
        let now = self.runtime.elapsed();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|last| now >= last + TELL_EVERY);
        *told = if due { Some(now) } else { *told };
        due
    }

    fn tell(&self, event: &Event, unhandled: &Unhandled) {
        let request_id = event.request_id.as_ref().map(RequestId::as_str);
        let (handler, event_id) = (self.name, event.id());
        if matches!(unhandled, Unhandled::Away { .. }) && self.is_time_to_tell() {
            tracing::warn!(handler, %event_id, request_id, reason = %unhandled, "events wait for what a handler needs");
        } else {
            tracing::debug!(handler, %event_id, request_id, reason = %unhandled, "a try failed");
        }
    }
}

#[async_trait]
impl EventHandler for Measured {
    async fn handle(&self, event: &Event, place: &Place) -> Result<(), Unhandled> {
        let start = self.runtime.elapsed();
        let trying = self.pulse.tries_event(self.name, place);
        let span = info_span!(target: TRACES, "handler", otel.name = self.name, otel.status_code = Empty);
        let done = self.handler.handle(event, place).instrument(span.clone()).await;
        let took = self.runtime.elapsed().saturating_sub(start);
        histogram!(SECONDS, "handler" => self.name).record(took.as_secs_f64());
        if let Err(unhandled) = &done {
            span.record("otel.status_code", "ERROR");
            counter!(FAILURES, "handler" => self.name).increment(1);
            self.tell(event, unhandled);
        }
        if let Err(Unhandled::Away { .. }) = &done {
            trying.waits();
        }
        done
    }
}

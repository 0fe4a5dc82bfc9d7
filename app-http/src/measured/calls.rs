//! Calls of a port, counted and timed by name.

use super::{STORE_FAILURES, STORE_SECONDS};
use chatcore::TRACES;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use metrics::{Counter, Histogram, counter, histogram};
use std::sync::Arc;
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

/// Calls of a port.
#[derive(Debug)]
pub(super) struct Calls {
    runtime: Arc<dyn Runtime>,
    all: Vec<Numbers>,
}

/// The numbers of a call.
#[derive(Debug)]
struct Numbers {
    call: &'static str,
    seconds: Histogram,
    failures: Counter,
}

impl Calls {
    /// Calls of these names, of which none has failed yet.
    pub(super) fn new(names: &[&'static str], runtime: Arc<dyn Runtime>) -> Self {
        let numbers = |call: &&'static str| {
            let (seconds, failures) =
                (histogram!(STORE_SECONDS, "call" => *call), counter!(STORE_FAILURES, "call" => *call));
            failures.increment(0);
            Numbers { call, seconds, failures }
        };
        Self { runtime, all: names.iter().map(numbers).collect() }
    }

    pub(super) fn now(&self) -> Duration {
        self.runtime.elapsed()
    }

    /// One was made.
    pub(super) fn count(&self, name: &str, since: Duration, failed: bool) {
        if let Some(numbers) = self.all.iter().find(|numbers| numbers.call == name) {
            numbers.seconds.record(self.now().saturating_sub(since).as_secs_f64());
            numbers.failures.increment(u64::from(failed));
        }
    }

    /// Makes one, and counts it.
    pub(super) async fn call<T, E>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, E>>,
        is_failure: fn(&E) -> bool,
    ) -> Result<T, E> {
        let since = self.now();
        // What nobody asked for, like a look of the sweeper's, is in no trace.
        let span = match Span::current().is_none() {
            true => Span::none(),
            false => {
                info_span!(target: TRACES, "store", otel.name = name, otel.kind = "client", otel.status_code = Empty)
            }
        };
        let result = call.instrument(span.clone()).await;
        let failed = result.as_ref().is_err_and(is_failure);
        if failed {
            span.record("otel.status_code", "ERROR");
        }
        self.count(name, since, failed);
        result
    }
}

/// Where each error is a failure of the store.
pub(super) fn always(_: &BackendError) -> bool {
    true
}

//! What is told of a request once it is over: a line of the log, the numbers, and its trace.

use crate::around::Id;
use crate::measured;
use crate::state::State;
use actix_web::dev::ServiceRequest;
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use app_kit::traces;
use chatcore::TRACES;
use std::thread;
use std::time::Duration;
use tracing::Span;
use tracing::field::Empty;

/// What is asked every few seconds: it is in no trace, and its log lines are for debugging.
const OFTEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];
/// What others, too, log for a client that had gone before its answer began. No answer ever has it.
const GONE: u16 = 499;

/// A request that is being served. When it is dropped, it is over, and that is told: also where its client has gone meanwhile.
pub(crate) struct Asked {
    method: Method,
    route: Option<String>,
    id: Id,
    status: Option<StatusCode>,
    since: Duration,
    trace: Span,
    state: Data<State>,
}

impl Asked {
    /// One that has just come.
    pub(crate) fn new(request: &ServiceRequest, id: Id, state: Data<State>) -> Self {
        // Once its client has gone there is nothing left to ask which route it was.
        let path = request.path().trim_end_matches('/');
        let route = request.resource_map().match_pattern(if path.is_empty() { "/" } else { path });
        let (method, trace, since) = (request.method().clone(), trace(request, &id), state.runtime.elapsed());
        Self { method, route, id, status: None, since, trace, state }
    }

    /// What is traced of it.
    pub(crate) fn trace(&self) -> Span {
        self.trace.clone()
    }

    /// Its answer begins.
    pub(crate) fn is_answered(&mut self, route: Option<String>, status: StatusCode) {
        (self.route, self.status) = (route, Some(status));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let took = self.state.runtime.elapsed().saturating_sub(self.since);
        let (ms, id) = (millis(took), &self.id);
        let (method, route) = (self.method.as_str(), self.route.as_deref().unwrap_or("unmatched"));
        let (status, what) = match self.status {
            Some(status) => (status.as_u16(), "served"),
            // A fault of ours, which never should be, is not the client's.
            None if thread::panicking() => (500, "panicked"),
            None => (GONE, "gone"),
        };
        measured::request(method, route, status, self.status.map(|_| took));
        traces::rename(&self.trace, || format!("{method} {route}"));
        self.trace.record("http.route", route);
        if status != GONE {
            self.trace.record("http.response.status_code", i64::from(status));
        }
        if status >= 500 {
            self.trace.record("otel.status_code", "ERROR");
        }
        if OFTEN.contains(&route) {
            tracing::debug!(target: "access", %method, route, status, ms, request_id = %id, "{what}");
        } else {
            tracing::info!(target: "access", %method, route, status, ms, request_id = %id, "{what}");
        }
    }
}

/// What a trace tells of a request; it goes on from where the caller was.
fn trace(request: &ServiceRequest, id: &Id) -> Span {
    if OFTEN.contains(&request.path()) {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TRACES, "request", otel.kind = "server", otel.status_code = Empty, request_id = %id,
        http.request.method = request.method().as_str(), http.route = Empty, http.response.status_code = Empty,
    );
    traces::follow(&span, |name| request.headers().get(name)?.to_str().ok());
    span
}

/// Milliseconds with three digits behind the point.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

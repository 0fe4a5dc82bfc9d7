//! The AI behind most servers: it gives each call an answer of its own, so that an answer in a history tells which attempt
//! it is from.

use crate::LEASE;
use crate::stand_in::serve;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chatcore::port::Runtime;
use chatcore::stamp::{micros, rfc3339};
use chatcore_ports::tokio::TokioRuntime;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// What every question begins with whose answer takes long.
pub(crate) const SLOW: &str = "q l";
/// And whose answer takes a while, but less than the time after which its server would renew the lease.
pub(crate) const UNHURRIED: &str = "q m";
/// And whose answer comes in pieces.
pub(crate) const PIECEWISE: &str = "q s";
const MOST_PIECES: usize = 45;

/// What it was asked.
#[derive(Debug)]
pub(crate) struct Ai {
    runtime: TokioRuntime,
    calls: Mutex<BTreeMap<String, Vec<Call>>>,
    /// How often each server was frozen or went on.
    pub(crate) freezes: OnceLock<Vec<Arc<AtomicU64>>>,
}

/// One call: for which request, when, and what it was answered.
#[derive(Debug, Clone)]
struct Call {
    request: String,
    at: String,
    /// No other attempt can have taken the turn between its begin and this call: the request that asked is younger than a
    /// lease, or its server was not frozen meanwhile.
    fresh: bool,
    answer: String,
}

impl Ai {
    /// Whether this is an answer to this question by the attempt that had the turn when it was stored; else what is wrong.
    pub(crate) fn gave(&self, question: &str, answer: &str, stored: &str) -> Result<(), String> {
        let calls = self.calls.lock().unwrap();
        let calls = calls.get(question).map_or(&[][..], Vec::as_slice);
        let Some(place) = calls.iter().position(|call| call.answer == answer) else {
            return Err(format!("I5: an answer to another question was stored: {question:?} got {answer:?}"));
        };
        let (call, later) = (&calls[place], &calls[place + 1..]);
        let taken = later.iter().find(|other| other.fresh && other.request != call.request && *other.at < *stored);
        taken.map_or(Ok(()), |other| {
            Err(format!(
                "I5: a stale fence wrote: {question:?} was taken over by {other:?}, and at {stored} {call:?} was stored"
            ))
        })
    }

    /// Whether an answer to this question began like this.
    pub(crate) fn began(&self, question: &str, text: &str) -> bool {
        let calls = self.calls.lock().unwrap();
        calls.get(question).is_some_and(|calls| calls.iter().any(|call| call.answer.starts_with(text)))
    }

    /// How many questions it was asked more than once: their turns changed hands.
    pub(crate) fn taken_over(&self) -> usize {
        self.calls.lock().unwrap().values().filter(|calls| calls.len() > 1).count()
    }

    fn is_fresh(&self, request: &str, now: i64) -> bool {
        let parts: Vec<u64> = request.split('-').map_while(|part| part.parse().ok()).collect();
        let [asked, server, freezes, _] = parts[..] else { return false };
        let counts = self.freezes.get().map_or(&[][..], Vec::as_slice);
        let count = counts.get(server as usize).map(|count| count.load(Ordering::SeqCst));
        now - (asked as i64) < LEASE.as_micros() as i64 || (freezes.is_multiple_of(2) && count == Some(freezes))
    }

    /// One more call; answers how many came before, and what it is answered.
    fn note(&self, question: &str, request: &str) -> (usize, String) {
        let now = self.runtime.now();
        let fresh = self.is_fresh(request, micros(now));
        let mut calls = self.calls.lock().unwrap();
        let calls = calls.entry(question.to_owned()).or_default();
        let (before, mut answer) = (calls.len(), format!("a {question} #{}", calls.len()));
        if question.starts_with(PIECEWISE) {
            // With letters of one to three bytes.
            let more = (0..fastrand::usize(5..MOST_PIECES)).map(|piece| format!(" điều {before}.{piece}"));
            answer.extend(more);
        }
        calls.push(Call { request: request.to_owned(), at: rfc3339(now), fresh, answer: answer.clone() });
        (before, answer)
    }
}

/// The name of a request: when it was made, to which server, how often that had been frozen, and a number.
pub(crate) fn request_id(runtime: &TokioRuntime, server: usize, freezes: u64, number: u64) -> String {
    format!("{}-{server}-{freezes}-{number}", micros(runtime.now()))
}

/// Starts it; answers where it is.
pub(crate) async fn start() -> (Arc<Ai>, String) {
    let ai = Arc::new(Ai { runtime: TokioRuntime::current(), calls: Mutex::default(), freezes: OnceLock::new() });
    let router = Router::new().route("/ai", post(answer)).with_state(ai.clone());
    (ai, serve(router).await + "/ai")
}

async fn answer(State(ai): State<Arc<Ai>>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    let question = asked["message"].as_str().unwrap_or_default();
    let request = headers.get("x-request-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (before, answer) = ai.note(question, request);
    tokio::time::sleep(Duration::from_millis(delay(question, before > 0))).await;
    let beside = json!({ "products": [{ "product_id": answer }], "intent": "storm" });
    if question.starts_with(PIECEWISE) { in_pieces(&answer, beside) } else { whole(answer, beside) }
}

fn whole(answer: String, mut beside: Value) -> Response {
    beside["response"] = json!(answer);
    Json(beside).into_response()
}

/// Some break off before the end.
fn in_pieces(answer: &str, beside: Value) -> Response {
    let mut events = Vec::new();
    let mut rest = answer;
    while !rest.is_empty() {
        let piece = &rest[..rest[1..].find(" đ").map_or(rest.len(), |end| end + 1)];
        events.push(format!("event: delta\ndata: {}\n\n", json!({ "text": piece })));
        rest = &rest[piece.len()..];
    }
    events.push(format!("event: done\ndata: {beside}\n\n"));
    if fastrand::u32(..16) == 0 {
        events.truncate(fastrand::usize(1..events.len()));
    }
    // All together not longer than the longest whole answer takes: whoever waits for it waits long enough.
    let long = fastrand::usize(..2 * MOST_PIECES);
    let said = stream::iter(events).enumerate().then(move |(place, event)| async move {
        let pause = if place == long { fastrand::u64(200..600) } else { fastrand::u64(..30) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        Ok::<_, Infallible>(event)
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(said)).into_response()
}

/// Most answers come at once, some after a while, and some take longer than a lease. An attempt that took over a question takes
/// its time, so that the server that had it before may come back meanwhile.
fn delay(question: &str, again: bool) -> u64 {
    match fastrand::u32(..100) {
        _ if question.starts_with(SLOW) => fastrand::u64(800..2000),
        _ if question.starts_with(PIECEWISE) => fastrand::u64(..100),
        _ if question.starts_with(UNHURRIED) => fastrand::u64(100..300),
        _ if again => fastrand::u64(300..1000),
        0..65 => fastrand::u64(..30),
        65..88 => fastrand::u64(50..300),
        _ => fastrand::u64(500..1500),
    }
}

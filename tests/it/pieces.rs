//! An AI that says pieces at an even pace, each with its number and the time at which it was said.
#![allow(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::stand_in::serve;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, interval_at};

/// How often the AI says a piece.
pub(crate) const GAP: Duration = Duration::from_millis(50);

/// Says so many pieces for each question, in the format of OpenAI. Answers where it is.
pub(crate) async fn ai(pieces: usize) -> String {
    serve(Router::new().route("/v1/chat/completions", post(move || async move { answer(pieces) }))).await + "/v1"
}

/// What makes a server ask it.
pub(crate) fn settings(ai: &str) -> [(&'static str, &str); 4] {
    [("AI", "openai"), ("AI_API_URL", ai), ("AI_MODEL", "words"), ("AI_TIMEOUT", "10m")]
}

fn answer(pieces: usize) -> Response {
    let ticks = interval_at(Instant::now() + GAP, GAP);
    let said = unfold((0, ticks), move |(number, mut ticks)| async move {
        let chunk = |delta: Value, end: Value| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": end });
            format!("data: {}\n\n", json!({ "object": "chat.completion.chunk", "choices": [choice] }))
        };
        if number > pieces {
            return None;
        }
        ticks.tick().await;
        let text = match number == pieces {
            true => chunk(json!({}), json!("stop")) + "data: [DONE]\n\n",
            false => chunk(json!({ "content": format!("{number}:{} ", micros()) }), Value::Null),
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (number + 1, ticks)))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(said)).into_response()
}

/// The time, as pieces tell it.
pub(crate) fn micros() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

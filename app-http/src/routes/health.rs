//! What the program is, and whether it and its dependencies are well.

use crate::around::AsIs;
use crate::startup::State;
use actix_web::web::Data;
use actix_web::{HttpResponse, http::StatusCode};
use app_kit::probing::{self, word};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;

/// `GET /`
pub(super) async fn root(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "app": state.name, "version": state.version, "status": "running" }))
}

/// `GET /health`: for people; always 200.
pub(super) async fn health(state: Data<State>) -> HttpResponse {
    let found = look(&state).await;
    let status = if found.iter().all(|found| found.healthy) { "healthy" } else { "degraded" };
    let mut answer = Map::from_iter([("status".to_owned(), Value::from(status))]);
    answer.extend(found.iter().map(|found| (found.name.to_owned(), Value::from(word(found.healthy)))));
    HttpResponse::Ok().json(answer)
}

/// `GET /livez`: the process answers.
pub(super) async fn livez() -> HttpResponse {
    lines(StatusCode::OK, "alive\n".into())
}

/// `GET /readyz`: whether requests should be sent here. An AI that is away is told but does not count: its answers are
/// filled in.
pub(super) async fn readyz(state: Data<State>) -> HttpResponse {
    let stopping = state.stopping.load(Ordering::Relaxed);
    let found = look(&state).await;
    let ready = !stopping && found.iter().all(|found| found.healthy || !found.required);
    let mut text = format!("server: {}\n", if stopping { "stopping" } else { "healthy" });
    text.extend(found.iter().map(|found| format!("{}: {}\n", found.name, word(found.healthy))));
    lines(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

struct Found {
    name: &'static str,
    required: bool,
    healthy: bool,
}

async fn look(state: &State) -> Vec<Found> {
    join_all(state.dependencies.iter().map(async |dependency| {
        let (name, healthy) = (dependency.probe.name(), probing::is_well(&*dependency.probe).await);
        Found { name, required: dependency.required, healthy }
    }))
    .await
}

fn lines(status: StatusCode, text: String) -> HttpResponse {
    let mut response = HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(text);
    response.extensions_mut().insert(AsIs);
    response
}

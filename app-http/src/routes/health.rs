//! What the program is, and whether it and its dependencies are well.

use crate::around::AsIs;
use crate::problem::{Kind, Problem};
use crate::state::State;
use actix_web::web::Data;
use actix_web::{HttpResponse, http::StatusCode};
use app_kit::metrics::PROMETHEUS;
use app_kit::probing::{self, Found};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

/// `GET /`
pub(super) async fn root(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "app": state.name, "version": state.version, "status": "running" }))
}

/// `GET /health`: for people; always 200.
pub(super) async fn health(state: Data<State>) -> HttpResponse {
    let found = look(&state).await;
    let is_well = |look: &Look| look.found == Found::Healthy;
    let status = if found.iter().all(is_well) { "healthy" } else { "degraded" };
    let mut answer = Map::from_iter([("status".to_owned(), Value::from(status))]);
    let word = |look: &Look| if is_well(look) { "healthy" } else { "unhealthy" };
    answer.extend(found.iter().map(|look| (look.name.to_owned(), Value::from(word(look)))));
    HttpResponse::Ok().json(answer)
}

/// `GET /livez`: the process answers.
pub(super) async fn livez() -> HttpResponse {
    lines(StatusCode::OK, "alive\n".into())
}

/// `GET /readyz`: whether requests should be sent here. An AI that is away is told but does not count: its answers are
/// filled in; nor does a part of the store, since what lies on the rest is served.
pub(super) async fn readyz(state: Data<State>) -> HttpResponse {
    let stopping = state.is_leaving();
    let found = look(&state).await;
    let ready = !stopping && found.iter().all(|look| look.found.serves() || !look.required);
    let mut text = format!("server: {}\n", if stopping { "stopping" } else { "healthy" });
    text.extend(found.iter().map(|look| format!("{}: {}\n", look.name, look.found.word())));
    lines(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

/// `GET /metrics`: for Prometheus.
pub(super) async fn metrics(state: Data<State>) -> Result<HttpResponse, Problem> {
    let metrics = state.metrics.as_ref().ok_or_else(|| Problem::new(Kind::NotFound))?;
    Ok(HttpResponse::Ok().content_type(PROMETHEUS).body(metrics.text()))
}

struct Look {
    name: &'static str,
    required: bool,
    found: Found,
}

async fn look(state: &State) -> Vec<Look> {
    join_all(state.dependencies.iter().map(async |dependency| {
        let (name, found) = (dependency.probe.name(), probing::look(&*dependency.probe).await);
        Look { name, required: dependency.required, found }
    }))
    .await
}

fn lines(status: StatusCode, text: String) -> HttpResponse {
    let mut response = HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(text);
    response.extensions_mut().insert(AsIs);
    response
}

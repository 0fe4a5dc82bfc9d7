//! The worker's own small server: whether it is well, and its numbers.

use crate::pulse::Pulse;
use actix_web::dev::Server;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer, Resource, Route};
use app_kit::metrics::{Metrics, PROMETHEUS};
use app_kit::probing::{self, Found};
use chatcore::port::Probe;
use futures_util::future::join_all;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

/// How long an answer may take to go out once the worker ends, in seconds.
const LAST_ANSWERS: u64 = 1;

/// What the routes tell of.
#[derive(Debug)]
pub struct Health {
    /// What nothing works without.
    pub probes: Vec<Arc<dyn Probe>>,
    /// The loops.
    pub pulse: Arc<Pulse>,
    /// The numbers; `None` where another gathers them.
    pub metrics: Option<Metrics>,
}

/// Serves on a port that is open. Called inside a tokio runtime.
///
/// # Errors
/// The port cannot be listened on.
pub fn serve(listener: TcpListener, health: Health) -> io::Result<Server> {
    let health = Data::new(health);
    let factory = move || {
        App::new()
            .app_data(health.clone())
            .service(looked_at("/livez", || web::to(livez)))
            .service(looked_at("/readyz", || web::to(readyz)))
            .service(looked_at("/metrics", || web::to(metrics)))
    };
    // It is asked every few seconds.
    let server = HttpServer::new(factory).workers(1).disable_signals().shutdown_timeout(LAST_ANSWERS);
    Ok(server.listen(listener)?.run())
}

/// Answers HEAD as well, which load balancers like to ask; the framework leaves the body away. Other methods get 405 with `Allow`.
fn looked_at(path: &str, route: impl Fn() -> Route) -> Resource {
    web::resource(path).route(route().method(Method::GET)).route(route().method(Method::HEAD))
}

/// The process answers.
async fn livez() -> HttpResponse {
    lines(StatusCode::OK, "alive\n".into())
}

/// A line for the worker, its loops and each dependency; 503 unless all can be worked with.
async fn readyz(health: Data<Health>) -> HttpResponse {
    let pulse = &health.pulse;
    let mut ready = !pulse.is_stopping() && pulse.is_well();
    let worker = if pulse.is_stopping() { "stopping" } else { "healthy" };
    let consumer = if pulse.is_well() { "healthy" } else { "unhealthy" };
    let mut text = format!("worker: {worker}\nconsumer: {consumer}\n");
    for (name, found) in look(&health.probes).await {
        ready &= found.serves();
        text += &format!("{name}: {}\n", found.word());
    }
    lines(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

async fn look(probes: &[Arc<dyn Probe>]) -> Vec<(&'static str, Found)> {
    join_all(probes.iter().map(async |probe| (probe.name(), probing::look(&**probe).await))).await
}

async fn metrics(health: Data<Health>) -> HttpResponse {
    match &health.metrics {
        Some(metrics) => HttpResponse::Ok().content_type(PROMETHEUS).body(metrics.text()),
        None => HttpResponse::NotFound().finish(),
    }
}

fn lines(status: StatusCode, text: String) -> HttpResponse {
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(text)
}

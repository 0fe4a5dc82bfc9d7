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
    let mut consumer = if pulse.is_well() { "healthy" } else { "unhealthy" }.to_owned();
    if let Some(what) = pulse.stalled() {
        (ready, consumer) = (false, format!("unhealthy, {what}"));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::Measured;
    use actix_web::body::to_bytes;
    use async_trait::async_trait;
    use chatcore::consume::{EventHandler, Unhandled};
    use chatcore::event::{Event, EventBody};
    use chatcore::id::UserId;
    use chatcore::owner::Owner;
    use chatcore::port::{Place, Runtime};
    use chatcore_ports::tokio::TokioRuntime;
    use futures_util::future::{Either, pending, select};
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    use tokio::time::sleep;

    /// It comes back from no event.
    #[derive(Debug)]
    struct Stuck;

    #[async_trait]
    impl EventHandler for Stuck {
        async fn handle(&self, _: &Event, _: &Place) -> Result<(), Unhandled> {
            pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_stands_still_is_told_with_its_record() {
        let (pulse, handler, event) = measured("archive", Arc::new(Stuck));
        let place = place();
        let told = async |after: u64| {
            sleep(Duration::from_secs(after)).await;
            readiness(&pulse).await
        };
        let healthy = (200, "worker: healthy\nconsumer: healthy\n".to_owned());
        let stalled = "worker: healthy\nconsumer: unhealthy, archive stands at chat-sessions 2 7 for 61 s\n".to_owned();
        match select(handler.handle(&event, &place), pin!(async { (told(59).await, told(2).await) })).await {
            Either::Right((looks, _)) => assert_eq!(looks, (healthy.clone(), (503, stalled))),
            Either::Left(_) => unreachable!("it never comes back"),
        }
        assert_eq!(told(0).await, healthy);
    }

    /// It finds away what it needs, as long as that is so.
    #[derive(Debug)]
    struct Waiting(AtomicBool);

    #[async_trait]
    impl EventHandler for Waiting {
        async fn handle(&self, _: &Event, _: &Place) -> Result<(), Unhandled> {
            if self.0.load(Ordering::Relaxed) { Err(Unhandled::away("nobody is there")) } else { Ok(()) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_waits_is_told_between_its_tries_until_it_is_done() {
        let waiting = Arc::new(Waiting(AtomicBool::new(true)));
        let (pulse, handler, event) = measured("webhook", waiting.clone());
        let place = place();
        for _ in 0..30 {
            assert_eq!(readiness(&pulse).await.0, 200);
            assert!(handler.handle(&event, &place).await.is_err());
            sleep(Duration::from_secs(2)).await;
        }
        let stalled = "worker: healthy\nconsumer: unhealthy, webhook stands at chat-sessions 2 7 for 60 s\n".to_owned();
        assert_eq!(readiness(&pulse).await, (503, stalled));
        waiting.0.store(false, Ordering::Relaxed);
        assert_eq!(handler.handle(&event, &place).await, Ok(()));
        assert_eq!(readiness(&pulse).await.0, 200);
    }

    fn measured(name: &'static str, handler: Arc<dyn EventHandler>) -> (Arc<Pulse>, Measured, Event) {
        let runtime = Arc::new(TokioRuntime::current());
        let pulse = Arc::new(Pulse::new(runtime.clone()));
        let (session, owner) = (runtime.new_id().into(), Owner::User(UserId::parse("u").unwrap()));
        let event =
            Event { session, owner, seq: 1, at: runtime.now(), request_id: None, body: EventBody::SessionDeleted };
        (pulse.clone(), Measured::new(name, handler, runtime, pulse), event)
    }

    fn place() -> Place {
        Place { topic: "chat-sessions".into(), partition: 2, offset: 7 }
    }

    async fn readiness(pulse: &Arc<Pulse>) -> (u16, String) {
        let health = Health { probes: Vec::new(), pulse: pulse.clone(), metrics: None };
        let answer = readyz(Data::new(health)).await;
        let status = answer.status().as_u16();
        (status, String::from_utf8(to_bytes(answer.into_body()).await.unwrap().to_vec()).unwrap())
    }
}

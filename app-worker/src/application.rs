//! The worker as one value: built from settings, run until it is told to stop.

use crate::compose::{self, Parts};
use crate::health::{self, Health};
use crate::measured;
use crate::pulse::Pulse;
use crate::runner::Runner;
use crate::settings::Settings;
use actix_web::dev::ServerHandle;
use app_kit::metrics::Metrics;
use app_kit::relaying;
use chatcore::port::Subscription;
use chatcore::relay::Relay;
use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// How often it is asked how many events wait.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// A worker that has joined its group.
#[derive(Debug)]
pub struct Application {
    runner: Runner,
    relay: Option<Relay>,
    server: Option<ServerHandle>,
    metrics: Option<Metrics>,
}

impl Application {
    /// Opens the port, puts the parts together and joins the group. Called inside a tokio runtime.
    ///
    /// # Errors
    /// The port is taken, or a part cannot be made; the error says what to mend.
    pub async fn build(settings: &Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        // What counts is there before what is counted, and the port before the group has a member.
        let metrics = Metrics::of_process();
        measured::describe();
        let listener = settings.port.map(|port| listen(&settings.host, port)).transpose()?;
        let Parts { consumer, subscription, relay, probes, runtime } = compose::compose(settings).await?;
        let pulse = Arc::new(Pulse::new(runtime.clone()));
        let health = Health { probes, pulse: pulse.clone(), metrics: metrics.clone() };
        let server = listener.map(|listener| health::serve(listener, health)).transpose()?;
        let server = server.map(|server| {
            let handle = server.handle();
            tokio::spawn(server);
            handle
        });
        let (lanes, grace) = (settings.lanes, settings.grace);
        Ok(Self { runner: Runner { consumer, subscription, runtime, pulse, lanes, grace }, relay, server, metrics })
    }

    /// Consumes until `stop` is done; then works off what was taken, gives back the rest and leaves the group.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let sampler = tokio::spawn(sample(self.runner.subscription.clone(), self.metrics));
        let relay = self.relay.map(|relay| tokio::spawn(relaying::relay(relay)));
        self.runner.run(stop).await;
        sampler.abort();
        if let Some(relay) = relay {
            relay.abort();
        }
        if let Some(server) = self.server {
            server.stop(false).await;
        }
    }
}

fn listen(host: &str, port: u16) -> Result<TcpListener, String> {
    let failed = |error| format!("cannot listen on {host}:{port} (HOST, WORKER_PORT): {error}");
    let listener = TcpListener::bind((host, port)).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    tracing::info!(host, port, "listening");
    Ok(listener)
}

/// Asks the bus how much waits, for ever. Not when `/metrics` is asked: who asks often would slow the bus down.
async fn sample(subscription: Arc<dyn Subscription>, metrics: Option<Metrics>) {
    loop {
        match subscription.lag().await {
            Ok(events) => measured::lag(events),
            Err(error) => tracing::debug!(%error, source = %error.source, "the lag is not known"),
        }
        metrics.iter().for_each(Metrics::tidy);
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
}

//! The worker as one value: built from settings, run until it is told to stop.

use crate::compose::{self, Parts};
use crate::health::{self, Health};
use crate::measured;
use crate::pulse::Pulse;
use crate::runner::Runner;
use crate::settings::Settings;
use actix_web::dev::ServerHandle;
use app_kit::metrics::Metrics;
use app_kit::relaying::Relaying;
use chatcore::consume::{Consumer, EventHandler};
use chatcore::port::{EventBus, Runtime, Subscription};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use std::error::Error;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

type Failure = Box<dyn Error + Send + Sync>;

/// How often it is asked how many events wait.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// Between two tries to join the group.
const PAUSE: Duration = Duration::from_millis(500);

/// A worker that is ready to join its group.
#[derive(Debug)]
pub struct Application {
    work: Work,
    pulse: Arc<Pulse>,
    relay: Option<Relaying>,
    server: Option<ServerHandle>,
    metrics: Option<Metrics>,
}

/// What a member of the group does, and where.
#[derive(Debug)]
struct Work {
    bus: Arc<dyn EventBus>,
    group: String,
    handlers: Vec<Arc<dyn EventHandler>>,
    runtime: Arc<dyn Runtime>,
    tries: u32,
    lanes: usize,
    grace: Duration,
}

impl Application {
    /// Opens the port and puts the parts together. Called inside a tokio runtime.
    ///
    /// # Errors
    /// The port is taken, or a part cannot be made; the error says what to mend.
    pub async fn build(settings: &Settings) -> Result<Self, Failure> {
        settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        // What counts is there before what is counted, and the port before the group has a member.
        let metrics = Metrics::of_process();
        measured::describe();
        let listener = settings.port.map(|port| listen(&settings.host, port)).transpose()?;
        let Parts { handlers, pulse, bus, group, relay, probes, runtime } = compose::compose(settings).await?;
        let health = Health { probes, pulse: pulse.clone(), metrics: metrics.clone() };
        let server = listener.map(|listener| health::serve(listener, health)).transpose()?;
        let server = server.map(|server| {
            let handle = server.handle();
            tokio::spawn(server);
            handle
        });
        let (tries, lanes, grace) = (settings.tries, settings.lanes, settings.grace);
        let work = Work { bus, group, handlers, runtime, tries, lanes, grace };
        Ok(Self { work, pulse, relay, server, metrics })
    }

    /// Joins the group and consumes until `stop` is done; then works off what was taken, gives back the rest and leaves the
    /// group. A bus that is away is waited for.
    ///
    /// # Errors
    /// The bus takes no members, or lets them go by itself; the error says what to mend.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let Self { work, pulse, relay, server, metrics } = self;
        let (runtime, grace, told) = (work.runtime.clone(), work.grace, OnceLock::new());
        let relay = relay.map(Relaying::start);
        let mut stop = pin!(stop.map(|()| told.get_or_init(|| runtime.elapsed())).map(drop));
        let joined = match select(pin!(work.join(&pulse)), &mut stop).await {
            Either::Left((joined, _)) => Some(joined?),
            Either::Right(_) => None,
        };
        let mut ended = Ok(());
        if let Some(subscription) = joined {
            let sampler = tokio::spawn(sample(subscription.clone(), pulse.clone(), metrics));
            ended = work.runner(subscription, pulse).run(stop).await;
            sampler.abort();
        }
        if let Some(relay) = relay {
            relay.end(*told.get_or_init(|| runtime.elapsed()) + grace).await;
        }
        if let Some(server) = server {
            server.stop(false).await;
        }
        Ok(ended?)
    }
}

impl Work {
    async fn join(&self, pulse: &Pulse) -> Result<Arc<dyn Subscription>, Failure> {
        loop {
            let error = match self.bus.subscribe(&self.group).await {
                Ok(subscription) => return Ok(subscription),
                Err(error) => error,
            };
            if !error.may_pass() {
                return Err(format!("cannot join the group {}: {error}: {}", self.group, error.source).into());
            }
            pulse.failed();
            tracing::warn!(%error, source = %error.source, "cannot join the group; trying again");
            self.runtime.sleep(PAUSE).await;
        }
    }

    fn runner(self, subscription: Arc<dyn Subscription>, pulse: Arc<Pulse>) -> Runner {
        let Self { handlers, runtime, tries, lanes, grace, .. } = self;
        tracing::info!(lanes, handlers = handlers.len(), "working");
        let consumer = Consumer::new(subscription.clone(), handlers, runtime.clone(), tries);
        Runner { consumer, subscription, runtime, pulse, lanes, grace }
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
async fn sample(subscription: Arc<dyn Subscription>, pulse: Arc<Pulse>, metrics: Option<Metrics>) {
    loop {
        measured::oldest_try(pulse.oldest_try());
        match subscription.lag().await {
            Ok(events) => measured::lag(events),
            Err(error) => tracing::debug!(%error, source = %error.source, "the lag is not known"),
        }
        metrics.iter().for_each(Metrics::tidy);
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
}

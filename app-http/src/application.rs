//! The program as one value: built from settings, bound to its port, run until it is told to stop.

use crate::compose::{self, Dependency};
use crate::measured::{self, Sampled};
use crate::settings::Settings;
use crate::startup::{self, Door};
use crate::state::{Stage, State};
use actix_web::dev::Server;
use actix_web::web::Data;
use app_kit::metrics::Metrics;
use app_kit::relaying::Relaying;
use app_kit::settings::StoreKind;
use chatcore::sweep::Sweeper;
use futures_util::future::{Either, select};
use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How soon turns whose server died are looked for again, where the store failed.
const SWEEP_AGAIN: Duration = Duration::from_millis(250);
/// One of so many failures in a row has a line in the log.
const TELL_OF_FAILURES: u32 = 120;
/// How often numbers are read from the store, and dependencies looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// What is kept of the grace for what comes after open turns have had theirs: 1 s in which those that are ended then store
/// their text (`ChatPolicy::patience`), and [`CLOSING`]. Where the grace is too short for that, turns get a quarter of it.
const LAST_WORDS: Duration = Duration::from_millis(3500);
/// What is kept of it once every request is answered, or has had its time: 1.5 s for [`LATE`] and in which connections end
/// (`startup::LAST_ANSWERS`, which is looked at once a second), and [`EXIT`]. Where that is too much, half of the grace.
const CLOSING: Duration = Duration::from_millis(2500);
/// What is kept of the grace for the process to end and the last lines of its log, at most an eighth of it. Whatever is still
/// open then is cut.
const EXIT: Duration = Duration::from_secs(1);
/// How long requests may take to come, and to be sent elsewhere, on connections that were there before the port was closed; at
/// most an eighth of the grace.
const LATE: Duration = Duration::from_millis(250);

/// A server that is bound to its port.
pub struct Application {
    server: Server,
    door: Door,
    state: Data<State>,
    sweeper: Sweeper,
    relay: Option<Relaying>,
    sampled: Sampled,
    metrics: Option<Metrics>,
    grace: Duration,
    delay: Duration,
}

impl Application {
    /// Puts the program together and opens its port. Called inside a tokio runtime, where all runs but what a
    /// request starts: that stays on the request's thread.
    ///
    /// # Errors
    /// A part cannot be made, or the port is taken; the error says what to mend.
    pub async fn build(settings: Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        // What counts is there before what is counted.
        let metrics = Metrics::of_process();
        measured::describe();
        let parts = compose::compose(&settings).await?;
        let (sweeper, relay, sampled) = (parts.sweeper.clone(), parts.relay.clone(), parts.sampled.clone());
        let state = Data::new(State::new(parts, &settings));
        let address = format!("{}:{}", settings.server.host, settings.server.port);
        let (server, door) = startup::listen(&settings.server, state.clone())
            .map_err(|error| format!("cannot listen on {address} (HOST, PORT): {error}"))?;
        tell(&settings, door.port());
        let (grace, delay) = (settings.server.grace, settings.server.delay);
        Ok(Self { server, door, state, sweeper, relay, sampled, metrics, grace, delay })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.door.port()
    }

    /// Serves until `stop` is done, then tells callers to go elsewhere for a while, refuses new work, lets open turns end, and
    /// comes back within the grace.
    ///
    /// # Errors
    /// The server ended by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let sweeper = tokio::spawn(sweep(self.sweeper));
        let relay = self.relay.map(Relaying::start);
        let sampler = tokio::spawn(sample(self.sampled, self.state.dependencies.clone(), self.metrics));
        let handle = self.server.handle();
        if let Either::Right((ended, _)) = select(pin!(stop), tokio::spawn(self.server)).await {
            return ended.map_err(io::Error::other)?;
        }
        let (begun, bound) = (self.state.runtime.elapsed(), self.grace - EXIT.min(self.grace / 8));
        let drained = async {
            if !self.delay.is_zero() {
                self.state.stage.send_replace(Stage::Leaving);
                tokio::time::sleep(self.delay).await;
            }
            self.state.stage.send_replace(Stage::Stopping);
            let (rest, since) = (self.grace - self.delay, self.state.runtime.elapsed());
            self.state.chat.drain(rest.saturating_sub(LAST_WORDS).max(rest / 4)).await;
            self.state.stage.send_replace(Stage::Drained);
            let taken = self.state.runtime.elapsed().saturating_sub(since);
            let left = (rest - CLOSING.min(rest / 2)).saturating_sub(taken);
            let _ = tokio::time::timeout(left, self.state.stage.closed()).await;
            self.door.close();
            tokio::time::sleep(LATE.min(self.grace / 8)).await;
            handle.stop(true).await;
        };
        if tokio::time::timeout(bound, drained).await.is_err() {
            tracing::warn!("SHUTDOWN_GRACE is as good as over; what still runs is left to its keys");
        }
        sampler.abort();
        sweeper.abort();
        if let Some(relay) = relay {
            relay.end(begun + bound).await;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("port", &self.port()).finish_non_exhaustive()
    }
}

/// Closes turns whose server died, for ever. That the store fails is told at first and then now and then.
async fn sweep(mut sweeper: Sweeper) {
    let mut failures = 0;
    loop {
        match sweeper.step().await {
            Ok(wait) => {
                failures = 0;
                tokio::time::sleep(wait).await;
            }
            Err(error) => {
                if failures % TELL_OF_FAILURES == 0 {
                    tracing::warn!(%error, source = %error.source, failures, "the sweeper failed");
                }
                failures += 1;
                tokio::time::sleep(SWEEP_AGAIN).await;
            }
        }
    }
}

/// Looks now and then at what numbers are read from.
async fn sample(sampled: Sampled, dependencies: Arc<[Dependency]>, metrics: Option<Metrics>) {
    loop {
        sampled.sample(&dependencies).await;
        metrics.iter().for_each(Metrics::tidy);
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
}

/// What runs here, in the log.
fn tell(settings: &Settings, port: u16) {
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if settings.logins.demo_user {
        tracing::warn!(user = "testuser", "the demo user can log in; set USERS_FILE, or DEBUG=false, to end that");
    }
    if settings.logins.secret.is_none() {
        let kept = match settings.store.kind {
            StoreKind::Memory => "this process",
            StoreKind::Sqlite => "DATA_DIR",
            StoreKind::Redis => "Redis",
        };
        tracing::info!(kept, "JWT_SECRET_KEY is not set; a random one is used");
    }
    let (host, store, ai) = (&settings.server.host, settings.store.kind, settings.ai.kind);
    tracing::info!(host, port, ?store, ?ai, "listening");
}

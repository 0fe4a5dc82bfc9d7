//! The `Probe`: whether the file is there, can be written and can be read.

use crate::Sqlite;
use crate::error::NAME;
use crate::open;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{self, Probe};
use chatcore::watch::Watch;
use futures_util::future::{Either, select};
use rusqlite::params;
use std::pin::pin;
use std::time::Duration;

/// The time between two looks: however many ask, five writes a second are all that they cost.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes more room in the log than a usual question does, so that health is not better than what callers are told. SQLite
/// writes no page that stays the same.
const TOUCH: &str = "UPDATE probe SET at = ?1, room = randomblob(65536) WHERE one = 1";

/// What the last look has seen, and when it began.
#[derive(Debug, Default)]
pub(crate) struct Health {
    seen: Option<(Duration, Result<(), BackendError>)>,
    looking: bool,
}

#[async_trait]
impl Probe for Sqlite {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<port::Health, BackendError> {
        match select(pin!(self.health()), self.inner.runtime.sleep(Duration::from_secs(1))).await {
            Either::Left((outcome, _)) => outcome.map(|()| port::Health::Well),
            Either::Right(_) => Err(BackendError::later(NAME, "no answer within a second")),
        }
    }
}

impl Sqlite {
    /// What a look sees that begins from now on. One looks, the others wait for what it sees.
    async fn health(&self) -> Result<(), BackendError> {
        let (health, asked) = (&self.inner.health, self.inner.runtime.elapsed());
        loop {
            let known = |health: &Health| match &health.seen {
                Some((began, outcome)) if *began >= asked => Some(Some(outcome.clone())),
                _ => (!health.looking).then_some(None),
            };
            if let Some(outcome) = health.wait(known).await {
                return outcome;
            }
            if let Some(_looking) = Looking::begin(health) {
                return self.look().await;
            }
        }
    }

    async fn look(&self) -> Result<(), BackendError> {
        let (health, runtime) = (&self.inner.health, &self.inner.runtime);
        let next = health.read(|health| health.seen.as_ref().map(|(began, _)| *began + PAUSE)).unwrap_or_default();
        let rest = next.saturating_sub(runtime.elapsed());
        if !rest.is_zero() {
            runtime.sleep(rest).await;
        }
        let began = runtime.elapsed();
        let outcome = self.look_at_file().await;
        health.update(|health| health.seen = Some((began, outcome.clone())));
        outcome
    }

    /// Writes a row and waits for the disk; reads as a process would that has just come.
    async fn look_at_file(&self) -> Result<(), BackendError> {
        let place = self.inner.place.clone();
        let touch = move |step: &crate::tx::Tx<'_>| match place.is_kept() {
            true => step.run(TOUCH, params![step.now]).map(|_| true),
            false => Ok(false),
        };
        if !self.write(touch).await? {
            let what =
                "the file, its -wal or its -shm was moved, deleted or replaced while in use: put it back, or restart";
            return Err(BackendError::never(NAME, what));
        }
        let place = self.inner.place.clone();
        self.read(move |_| open::read_anew(place.path())).await
    }
}

/// The one who looks, until it is dropped.
struct Looking<'a>(&'a Watch<Health>);

impl<'a> Looking<'a> {
    fn begin(health: &'a Watch<Health>) -> Option<Self> {
        let looked = health.update(|health| std::mem::replace(&mut health.looking, true));
        (!looked).then(|| Self(health))
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.update(|health| health.looking = false);
    }
}

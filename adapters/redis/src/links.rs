//! The connections that callers share: one for each tokio runtime that calls. What its tasks wait for then happens on its own
//! threads, and ends with them.

use crate::check::Check;
use crate::config::RedisConfig;
use crate::error::{NAME, NoAnswer, OpenError, failed};
use crate::link::{Link, Maker};
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use chatcore::watch::Watch;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How many runtimes have a connection at once; the oldest connections are given up for new ones.
const MOST_RUNTIMES: usize = 256;
/// How many calls' time a connection may take. A cluster's asks several nodes, and waits for one that is silent.
const CALLS: u32 = 4;

/// Has a connection for each caller.
pub(crate) struct Links {
    maker: Arc<Maker>,
    check: Check,
    clock: Arc<dyn Runtime>,
    patience: Duration,
    places: Mutex<Vec<Arc<Place>>>,
    /// How many connections were ever made.
    number: AtomicU64,
    /// Where the connection of a caller without a runtime lives.
    home: Option<Handle>,
}

/// Where a runtime's connection is.
struct Place {
    runtime: Handle,
    now: Watch<Now>,
}

#[derive(Default)]
struct Now {
    /// With the number that it has among all.
    link: Option<(u64, Link)>,
    /// Whether one is being made: by a task of its own, so that it comes about however short its callers wait.
    making: bool,
    /// How often one was made, or failed, and why the last one did.
    tries: u64,
    refused: Option<BackendError>,
}

impl Links {
    pub(crate) fn new(config: &RedisConfig, clock: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        Ok(Self {
            maker: Arc::new(Maker::new(config)?),
            check: Check::new(config),
            clock,
            patience: CALLS * config.call_timeout,
            places: Mutex::default(),
            number: AtomicU64::new(0),
            home: Handle::try_current().ok(),
        })
    }

    pub(crate) fn maker(&self) -> &Arc<Maker> {
        &self.maker
    }

    /// What is wrong with the server, where it was reached and found unfit.
    pub(crate) fn unfit(&self) -> Option<OpenError> {
        self.check.unfit()
    }

    /// The connection of the caller's runtime, and its number. Where there is none, it is made, and all wait for it and hear if
    /// it failed. The caller bounds the wait.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<(u64, Link), BackendError> {
        let place = self.place()?;
        let tries = match place.now.read(|now| now.link.clone().ok_or(now.tries)) {
            Ok(link) => return Ok(link),
            Err(tries) => tries,
        };
        self.begin(&place);
        let lost = || BackendError::later(NAME, "the connection was lost as soon as it was made");
        let made = |now: &Now| match &now.link {
            Some(link) => Some(Ok(link.clone())),
            None => (now.tries != tries).then(|| Err(now.refused.clone().unwrap_or_else(lost))),
        };
        place.now.wait(made).await
    }

    /// The connection of this number is not used again.
    pub(crate) fn forget(&self, number: u64) {
        for place in self.places(|places| places.clone()) {
            place.now.update(|now| now.link.take_if(|(of, _)| *of == number));
        }
    }

    /// There was no answer in time. On one server no other connection will have one: what was made before may be as dead, and
    /// each runtime would have to find out for itself. In a cluster another node may have taken the silent one's place, which
    /// a connection that repeats its calls there would never learn: each is renewed, and used until the new one is there,
    /// since most nodes answer on it.
    pub(crate) fn no_answer(self: &Arc<Self>) {
        for place in self.places(|places| places.clone()) {
            if !self.maker.is_cluster() {
                place.now.update(|now| now.link = None);
            } else if place.now.read(|now| now.link.is_some()) {
                self.begin(&place);
            }
        }
    }

    /// Makes a connection, unless one is being made.
    fn begin(self: &Arc<Self>, place: &Arc<Place>) {
        if place.now.update(|now| !std::mem::replace(&mut now.making, true)) {
            let (links, here) = (self.clone(), place.clone());
            drop(place.runtime.spawn(async move { links.make_at(&here).await }));
        }
    }

    async fn make_at(&self, place: &Place) {
        let made = match select(pin!(self.make()), self.clock.sleep(self.patience)).await {
            Either::Left((made, _)) => made,
            Either::Right(_) => Err(BackendError::later(NAME, NoAnswer(self.patience))),
        };
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (link, refused) = match made {
            Ok(link) => (Some((number, link)), None),
            Err(why) => (None, Some(why)),
        };
        place.now.update(|now| *now = Now { link, making: false, tries: now.tries + 1, refused });
    }

    async fn make(&self) -> Result<Link, BackendError> {
        let mut link = self.maker.link().await.map_err(|error| self.check.refused(error))?;
        if self.check.is_a_cluster_unawares(&self.maker, &mut link).await.map_err(failed)? {
            self.maker.found_a_cluster();
            link = self.maker.link().await.map_err(failed)?;
        }
        self.check.run(&mut link).await?;
        Ok(link)
    }

    /// The place of the caller's runtime.
    fn place(&self) -> Result<Arc<Place>, BackendError> {
        let runtime = Handle::try_current().ok().or_else(|| self.home.clone());
        let runtime =
            runtime.ok_or_else(|| BackendError::never(NAME, "opened and called outside of any tokio runtime"))?;
        Ok(self.places(|places| {
            if let Some(place) = places.iter().find(|place| place.runtime.id() == runtime.id()) {
                return place.clone();
            }
            let place = Arc::new(Place { runtime, now: Watch::default() });
            places.drain(..(places.len() + 1).saturating_sub(MOST_RUNTIMES));
            places.push(place.clone());
            place
        }))
    }

    fn places<T>(&self, look: impl FnOnce(&mut Vec<Arc<Place>>) -> T) -> T {
        look(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

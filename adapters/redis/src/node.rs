//! A server, alone or a node of a cluster, and the connections that callers share: one for each tokio runtime that calls. What
//! its tasks wait for then happens on its own threads, and ends with them.

use crate::breaker::Breaker;
use crate::check::Check;
use crate::error::{NAME, NoAnswer, failed, is_denied, is_late, is_no_database};
use crate::link::{Link, Maker};
use crate::value::Read;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use chatcore::watch::Watch;
use deadpool_redis::redis::{Cmd, ConnectionInfo, RedisError, Value};
use futures_util::future::{Either, select};
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How many runtimes have a connection at once; the oldest connections are given up for new ones.
const MOST_RUNTIMES: usize = 256;
/// How many calls' time a connection may take: the first one looks whether the server is fit.
const CALLS: u32 = 4;

/// What all nodes have in common.
pub(crate) struct Common {
    pub(crate) maker: Maker,
    pub(crate) check: Check,
    pub(crate) clock: Arc<dyn Runtime>,
    pub(crate) call_timeout: Duration,
    /// Where the connection of a caller without a runtime lives.
    pub(crate) home: Option<Handle>,
}

/// A server.
pub(crate) struct Node {
    pub(crate) server: ConnectionInfo,
    /// A node that is away is not the others' fault, so each has its own.
    pub(crate) breaker: Breaker,
    common: Arc<Common>,
    places: Mutex<Vec<Arc<Place>>>,
    /// How many connections were ever made.
    number: AtomicU64,
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

impl Common {
    /// The runtime that a caller's connection is on.
    pub(crate) fn runtime(&self) -> Result<Handle, BackendError> {
        let runtime = Handle::try_current().ok().or_else(|| self.home.clone());
        runtime.ok_or_else(|| BackendError::never(NAME, "opened and called outside of any tokio runtime"))
    }

    async fn within<T>(&self, time: Duration, work: impl Future<Output = Read<T>>) -> Read<T> {
        match select(pin!(work), self.clock.sleep(time)).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(BackendError::later(NAME, NoAnswer(time))),
        }
    }
}

impl Node {
    pub(crate) fn new(common: Arc<Common>, server: ConnectionInfo) -> Self {
        let (breaker, places, number) = (Breaker::default(), Mutex::default(), AtomicU64::new(0));
        Self { server, breaker, common, places, number }
    }

    /// The connection of the caller's runtime, and its number. Where there is none, it is made, and all wait for it and hear if
    /// it failed. The caller bounds the wait.
    pub(crate) async fn link(self: &Arc<Self>) -> Result<(u64, Link), BackendError> {
        let place = self.place()?;
        let tries = match place.now.read(|now| now.link.clone().ok_or(now.tries)) {
            Ok(link) => return Ok(link),
            Err(tries) => tries,
        };
        if place.now.update(|now| !std::mem::replace(&mut now.making, true)) {
            let (node, here) = (self.clone(), place.clone());
            drop(place.runtime.spawn(async move { node.make_at(&here).await }));
        }
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

    /// There was no answer in time. No other connection will have one: what was made before may be as dead, and each runtime
    /// would have to find out for itself.
    pub(crate) fn forget_all(&self) {
        for place in self.places(|places| places.clone()) {
            place.now.update(|now| now.link = None);
        }
    }

    /// Asks this node, whatever its breaker says.
    pub(crate) async fn ask(self: &Arc<Self>, command: &Cmd) -> Read<Value> {
        let asked = async {
            let (_, mut link) = self.link().await?;
            command.query_async(&mut link).await.map_err(failed)
        };
        self.common.within(self.common.call_timeout, asked).await
    }

    async fn make_at(&self, place: &Place) {
        let made = self.common.within(CALLS * self.common.call_timeout, self.make()).await;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (link, refused) = match made {
            Ok(link) => (Some((number, link)), None),
            Err(why) => {
                // Else each caller would try for itself. One that is late was waited for by all, and perhaps it is this process
                // that is slow.
                if !is_late(&why) {
                    self.breaker.failed(self.common.clock.elapsed(), &why);
                }
                (None, Some(why))
            }
        };
        place.now.update(|now| *now = Now { link, making: false, tries: now.tries + 1, refused });
    }

    async fn make(&self) -> Result<Link, BackendError> {
        let Common { maker, check, .. } = &*self.common;
        let mut link = match maker.link(&self.server).await {
            Ok(link) => link,
            // What a server says to one client too many is taken for an answer to the first thing that is sent.
            Err(error) if is_told_to_mend(&error) && maker.is_shut(&self.server).await => {
                return Err(BackendError::later(NAME, error));
            }
            Err(error) => return Err(check.refused(error)),
        };
        check.server(&mut link).await?;
        Ok(link)
    }

    /// The place of the caller's runtime.
    fn place(&self) -> Result<Arc<Place>, BackendError> {
        let runtime = self.common.runtime()?;
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

/// Whether somebody would have to mend the configuration, if it is so.
fn is_told_to_mend(error: &RedisError) -> bool {
    is_denied(error) || is_no_database(error)
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.server.addr())
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

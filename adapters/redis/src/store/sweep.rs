//! `close_orphans`: on one server a single look at all slots, in a cluster one at each; and a step for each orphan, which waits for
//! no other look, and for no node that is known to be away. Where a node of a cluster was away while others answered the sweeper
//! does not learn of it, so its rule is kept here for each slot.

use super::script;
use crate::Redis;
use crate::keys::Partition;
use crate::script::{Call, Script};
use crate::value::{Read, fixed, items, micros, number, parsed, span, worded};
use chatcore::error::BackendError;
use chatcore::id::SessionId;
use chatcore::sweep::Looks;
use chatcore::turn::Swept;
use deadpool_redis::redis::Value;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static SWEEP: Script = script!("sweep");
static CLOSE: Script = script!("close");

/// How many orphans are closed side by side.
const TOGETHER: usize = 32;

/// What looks leave for the next ones.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    /// How many there were.
    count: AtomicUsize,
    /// How they went in the slots of a cluster.
    slots: Mutex<BTreeMap<Partition, Looks>>,
}

impl Sweeps {
    fn at<T>(&self, slot: Partition, look: impl FnOnce(&mut Looks) -> T) -> T {
        look(self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(slot).or_default())
    }
}

/// A look that is to be made.
#[derive(Clone)]
struct Ahead {
    call: Call,
    grace: Duration,
    /// The slot that it is at, in a cluster.
    slot: Option<Partition>,
}

/// What a look found: those that are due, how long no other is, and what time it is.
type Found = (Vec<SessionId>, Option<Duration>, Duration);

/// What a look came to.
#[derive(Debug, Default)]
struct Look {
    closed: usize,
    /// Turns that had ended with their session.
    expired: usize,
    quiet: Option<Duration>,
    clocks: BTreeMap<u8, Duration>,
    failed: Option<BackendError>,
}

impl Look {
    fn failed(error: BackendError) -> Self {
        Self { quiet: Some(Duration::ZERO), failed: Some(error), ..Self::default() }
    }
}

impl Redis {
    /// Looks again where turns of expired sessions took the room of others, so that fewer than `max` means that none is left.
    pub(super) async fn sweep(&self, grace: Duration, max: usize) -> Read<Swept> {
        let (mut closed, mut clocks) = (0, BTreeMap::new());
        loop {
            match self.sweep_once(grace, max - closed).await {
                Ok(look) => {
                    closed += look.closed;
                    clocks.extend(look.clocks);
                    if look.expired == 0 || closed >= max {
                        return Ok(Swept { closed, quiet: look.quiet, clocks });
                    }
                }
                Err(error) if closed == 0 => return Err(error),
                Err(_) => return Ok(Swept { closed, quiet: Some(Duration::ZERO), clocks }),
            }
        }
    }

    /// What fails keeps nobody else waiting; it is told if nothing else was seen.
    async fn sweep_once(&self, grace: Duration, max: usize) -> Read<Look> {
        let (looks, room) = (self.looks(grace, max), AtomicUsize::new(max));
        let swept = join_all(looks.iter().map(|look| self.sweep_there(look, &room))).await;
        let all_failed = swept.iter().all(|look| look.failed.is_some());
        let mut all = Look::default();
        for look in swept {
            all.closed += look.closed;
            all.expired += look.expired;
            all.quiet = all.quiet.into_iter().chain(look.quiet).min();
            all.clocks.extend(look.clocks);
            all.failed = all.failed.or(look.failed);
        }
        match all.failed.take() {
            Some(error) if all.closed == 0 && all_failed => Err(error),
            Some(error) => {
                tracing::debug!(error = %error.source, "not all turns whose server died could be closed");
                Ok(all)
            }
            None => Ok(all),
        }
    }

    /// Closes what a look finds, as far as there is room.
    async fn sweep_there(&self, ahead: &Ahead, room: &AtomicUsize) -> Look {
        let found = match self.inner.client.away(&ahead.call) {
            Some(why) => {
                // Finds out when it is back.
                let (store, ahead) = (self.clone(), ahead.clone());
                self.inner.client.nodes().beside(async move { drop(store.find(&ahead).await) });
                Err(why)
            }
            None => self.find(ahead).await,
        };
        let (mut due, quiet, clock) = match found {
            Ok(found) => found,
            Err(error) => return Look::failed(error),
        };
        let clocks = BTreeMap::from([(ahead.slot.map_or(0, |slot| slot.0), clock)]);
        if due.is_empty() {
            return Look { quiet, clocks, ..Look::default() };
        }
        let left = |room: usize| Some(room.saturating_sub(due.len()));
        let room = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).unwrap_or_default();
        due.truncate(room);
        let mut swept = Look { quiet: Some(Duration::ZERO), clocks, ..Look::default() };
        for some in due.chunks(TOGETHER) {
            let calls: Vec<Call> = some.iter().map(|session| self.close(session, ahead.grace)).collect();
            for answer in self.inner.client.call_all(&calls).await {
                match answer.and_then(worded) {
                    Ok((word, _)) => {
                        swept.closed += usize::from(word == "CLOSED");
                        swept.expired += usize::from(word == "NONE");
                    }
                    Err(error) => swept.failed = Some(error),
                }
            }
        }
        swept
    }

    /// Makes a look; closes nothing.
    async fn find(&self, Ahead { call, slot, .. }: &Ahead) -> Read<Found> {
        let asked = self.inner.runtime.elapsed();
        let found = self.inner.client.call(call).await.and_then(sessions);
        let now = self.inner.runtime.elapsed();
        if let Some(slot) = slot {
            let is_there = found.is_ok();
            self.inner.sweeps.at(*slot, |looks| if is_there { looks.answered(asked, now) } else { looks.failed() });
        }
        found
    }

    fn looks(&self, grace: Duration, max: usize) -> Vec<Ahead> {
        let mut places: Vec<Partition> = self.inner.keys.partitions().collect();
        let (is_cluster, now) = (self.inner.client.nodes().is_cluster(), self.inner.runtime.elapsed());
        // Each time another slot is the first, so that one with many orphans does not keep the others waiting.
        let first = self.inner.sweeps.count.fetch_add(1, Ordering::Relaxed) % places.len();
        places.rotate_left(first);
        let look = |places: &[Partition]| {
            let slot = is_cluster.then_some(places[0]);
            let there = |looks: &mut Looks| if looks.have_failed() { looks.grace(now) } else { grace };
            let grace = slot.map_or(grace, |slot| grace.max(self.inner.sweeps.at(slot, there)));
            let call = self.at(places[0], &SWEEP, &["t".into()]).arg(micros(grace)).arg(max);
            let others = places[1..].iter().map(|place| self.inner.keys.slot(*place));
            Ahead { call: others.fold(call, Call::arg), grace, slot }
        };
        places.chunks(if is_cluster { 1 } else { places.len() }).map(look).collect()
    }

    fn close(&self, session: &SessionId, grace: Duration) -> Call {
        let call = self.at_session(session, &CLOSE, "smil", &["t".into(), "ox".into()]);
        self.log_args(call.arg(session.to_string()).arg(micros(grace)).arg(self.followers()))
    }
}

fn sessions(answer: Value) -> Read<Found> {
    let [due, quiet, clock] = fixed(Value::Array(worded(answer)?.1))?;
    let due = items(due)?.into_iter().map(parsed).collect::<Read<_>>()?;
    Ok((due, u64::try_from(number::<i64>(quiet)?).ok().map(Duration::from_micros), span(clock)?))
}

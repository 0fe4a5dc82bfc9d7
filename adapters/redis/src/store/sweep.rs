//! `close_orphans`: on one server a single look at all slots, in a cluster one at each; and a step for each orphan, which waits for
//! no other look. Where a node of a cluster was away, servers that live come before it: of that the sweeper does not learn.

use super::script;
use crate::Redis;
use crate::keys::Partition;
use crate::script::{Call, Script};
use crate::value::{Read, fixed, items, micros, number, parsed, worded};
use chatcore::error::BackendError;
use chatcore::id::SessionId;
use chatcore::sweep::SERVERS_FIRST;
use chatcore::turn::Swept;
use deadpool_redis::redis::Value;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    /// Where they failed: for now, or until when nothing is closed there, as the runtime's time.
    away: Mutex<BTreeMap<Partition, Option<Duration>>>,
}

impl Sweeps {
    fn goes_wrong(&self, place: Partition) {
        self.away().insert(place, None);
    }

    /// A look succeeded there; how long nothing may be closed yet.
    fn goes_well(&self, place: Partition, now: Duration) -> Option<Duration> {
        let mut away = self.away();
        let until = *away.get_mut(&place)?.get_or_insert(now + SERVERS_FIRST);
        let left = until.saturating_sub(now);
        if left.is_zero() {
            away.remove(&place);
        }
        Some(left).filter(|left| !left.is_zero())
    }

    fn away(&self) -> MutexGuard<'_, BTreeMap<Partition, Option<Duration>>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look came to.
#[derive(Debug, Default)]
struct Look {
    closed: usize,
    /// Turns that had ended with their session.
    expired: usize,
    quiet: Option<Duration>,
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
        let mut closed = 0;
        loop {
            match self.sweep_once(grace, max - closed).await {
                Ok(Look { closed: more, expired, quiet, .. }) => {
                    closed += more;
                    if expired == 0 || closed >= max {
                        return Ok(Swept { closed, quiet });
                    }
                }
                Err(error) if closed == 0 => return Err(error),
                Err(_) => return Ok(Swept { closed, quiet: Some(Duration::ZERO) }),
            }
        }
    }

    /// What fails keeps nobody else waiting; it is told if nothing else was seen.
    async fn sweep_once(&self, grace: Duration, max: usize) -> Read<Look> {
        let (looks, room) = (self.looks(grace, max), AtomicUsize::new(max));
        let swept = join_all(looks.iter().map(|(place, look)| self.sweep_there(*place, look, grace, &room))).await;
        let all_failed = swept.iter().all(|look| look.failed.is_some());
        let mut all = swept.into_iter().fold(Look::default(), |all, look| Look {
            closed: all.closed + look.closed,
            expired: all.expired + look.expired,
            quiet: all.quiet.into_iter().chain(look.quiet).min(),
            failed: all.failed.or(look.failed),
        });
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
    async fn sweep_there(&self, place: Partition, look: &Call, grace: Duration, room: &AtomicUsize) -> Look {
        let (mut due, quiet) = match self.inner.client.call(look).await.and_then(sessions) {
            Ok(found) => found,
            Err(error) => {
                self.inner.sweeps.goes_wrong(place);
                return Look::failed(error);
            }
        };
        if let Some(left) = self.inner.sweeps.goes_well(place, self.inner.runtime.elapsed()) {
            return Look { quiet: quiet.map(|quiet| quiet.max(left)), ..Look::default() };
        }
        if due.is_empty() {
            return Look { quiet, ..Look::default() };
        }
        let left = |room: usize| Some(room.saturating_sub(due.len()));
        let room = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).unwrap_or_default();
        due.truncate(room);
        let mut swept = Look { quiet: Some(Duration::ZERO), ..Look::default() };
        for some in due.chunks(TOGETHER) {
            let calls: Vec<Call> = some.iter().map(|session| self.close(session, grace)).collect();
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

    /// Where each fails if it does, and its call.
    fn looks(&self, grace: Duration, max: usize) -> Vec<(Partition, Call)> {
        let mut places: Vec<Partition> = self.inner.keys.partitions().collect();
        let is_cluster = self.inner.client.nodes().is_cluster();
        let (server, together) = (places[0], if is_cluster { 1 } else { places.len() });
        // Each time another slot is the first, so that one with many orphans does not keep the others waiting.
        let first = self.inner.sweeps.count.fetch_add(1, Ordering::Relaxed) % places.len();
        places.rotate_left(first);
        let look = |places: &[Partition]| {
            let others = places[1..].iter().map(|place| self.inner.keys.slot(*place));
            let call = self.at(places[0], &SWEEP, &["t".into()]).arg(micros(grace)).arg(max);
            (if is_cluster { places[0] } else { server }, others.fold(call, Call::arg))
        };
        places.chunks(together).map(look).collect()
    }

    fn close(&self, session: &SessionId, grace: Duration) -> Call {
        let call = self.at_session(session, &CLOSE, "smil", &["t".into(), "ox".into()]);
        self.log_args(call.arg(session.to_string()).arg(micros(grace)).arg(self.followers()))
    }
}

/// Those that are due, and how long no other is.
fn sessions(answer: Value) -> Read<(Vec<SessionId>, Option<Duration>)> {
    let [due, quiet] = fixed(Value::Array(worded(answer)?.1))?;
    let due = items(due)?.into_iter().map(parsed).collect::<Read<_>>()?;
    Ok((due, u64::try_from(number::<i64>(quiet)?).ok().map(Duration::from_micros)))
}

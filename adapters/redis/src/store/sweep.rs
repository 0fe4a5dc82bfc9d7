//! `close_orphans`: on one server a single look at all slots, in a cluster one at each; and a step for each orphan.

use super::script;
use crate::Redis;
use crate::keys::Partition;
use crate::script::{Call, Script};
use crate::value::{Read, fixed, items, micros, number, parsed, worded};
use chatcore::id::SessionId;
use chatcore::turn::Swept;
use deadpool_redis::redis::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;

static SWEEP: Script = script!("sweep");
static CLOSE: Script = script!("close");

/// How many orphans are closed side by side.
const TOGETHER: usize = 32;

/// What a look came to.
#[derive(Debug, Default)]
struct Look {
    closed: usize,
    /// Turns that had ended with their session.
    expired: usize,
    quiet: Option<Duration>,
}

impl Redis {
    /// Looks again where turns of expired sessions took the room of others, so that fewer than `max` means that none is left.
    pub(super) async fn sweep(&self, grace: Duration, max: usize) -> Read<Swept> {
        let mut closed = 0;
        loop {
            match self.sweep_once(grace, max - closed).await {
                Ok(Look { closed: more, expired, quiet }) => {
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

    /// What fails keeps nobody else waiting; it is told if nothing was closed.
    async fn sweep_once(&self, grace: Duration, max: usize) -> Read<Look> {
        let (mut due, mut failed, mut swept) = (Vec::new(), None, Look::default());
        for looked in self.inner.client.call_all(&self.looks(grace, max)).await {
            match looked.and_then(sessions) {
                Ok((sessions, quiet)) => {
                    due.extend(sessions);
                    swept.quiet = swept.quiet.into_iter().chain(quiet).min();
                }
                Err(error) => failed = Some(error),
            }
        }
        due.truncate(max);
        for some in due.chunks(TOGETHER) {
            let calls: Vec<Call> = some.iter().map(|session| self.close(session, grace)).collect();
            for answer in self.inner.client.call_all(&calls).await {
                match answer.and_then(worded) {
                    Ok((word, _)) => {
                        swept.closed += usize::from(word == "CLOSED");
                        swept.expired += usize::from(word == "NONE");
                    }
                    Err(error) => failed = Some(error),
                }
            }
        }
        if failed.is_some() || !due.is_empty() {
            swept.quiet = Some(Duration::ZERO);
        }
        failed.filter(|_| swept.closed == 0).map_or(Ok(swept), Err)
    }

    fn looks(&self, grace: Duration, max: usize) -> Vec<Call> {
        let mut places: Vec<Partition> = self.inner.keys.partitions().collect();
        // Each time another slot is the first, so that one with many orphans does not keep the others waiting.
        let first = self.inner.sweeps.fetch_add(1, Ordering::Relaxed) % places.len().max(1);
        places.rotate_left(first);
        let together = if self.inner.client.nodes().is_cluster() { 1 } else { places.len() };
        let look = |places: &[Partition]| {
            let others = places[1..].iter().map(|place| self.inner.keys.slot(*place));
            let call = self.at(places[0], &SWEEP, &["t".into()]).arg(micros(grace)).arg(max);
            others.fold(call, Call::arg)
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

//! The breaker: while the server is away, callers are told so at once, and now and then one of them may try.

use chatcore::error::BackendError;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long after a failure, or after the last try, the next caller may try.
const PAUSE: Duration = Duration::from_millis(200);

/// Refuses calls while the server is away.
#[derive(Default)]
pub(crate) struct Breaker(Mutex<Option<Open>>);

/// Why calls are refused, and until when.
struct Open {
    until: Duration,
    why: BackendError,
}

impl Breaker {
    /// Lets a call through, or says why not. Of those that come when the pause is over, one is let through.
    pub(crate) fn admit(&self, now: Duration) -> Result<(), BackendError> {
        match &mut *self.lock() {
            Some(open) if now < open.until => Err(open.why.clone()),
            Some(open) => {
                open.until = now + PAUSE;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The server did not answer.
    pub(crate) fn failed(&self, now: Duration, why: &BackendError) {
        *self.lock() = Some(Open { until: now + PAUSE, why: why.clone() });
    }

    /// The server answered.
    pub(crate) fn answered(&self) {
        *self.lock() = None;
    }

    /// Whether calls are let through.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_none()
    }

    /// Why calls are refused, if they are.
    pub(crate) fn why(&self) -> Option<BackendError> {
        self.lock().as_ref().map(|open| open.why.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Breaker({})", if self.is_closed() { "closed" } else { "open" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_try_is_let_through_after_each_pause_until_the_server_answers() {
        let (breaker, why) = (Breaker::default(), BackendError::later("redis", "no answer"));
        let admitted = |millis| breaker.admit(Duration::from_millis(millis)).is_ok();
        assert!(admitted(0));
        breaker.failed(Duration::from_millis(10), &why);
        let calls = [11, 209, 210, 211, 409, 410, 411].map(|millis| (millis, admitted(millis)));
        let through: Vec<u64> = calls.iter().filter(|(_, admitted)| *admitted).map(|(millis, _)| *millis).collect();
        assert_eq!(through, [210, 410]);
        breaker.answered();
        assert!(admitted(412) && admitted(413));
    }
}

//! How a dependency is, as both programs' health reports tell it.

use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Health, Probe, Runtime};
use futures_util::lock::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How long what was found is told. Anybody may ask, as often as they like, and a look costs the dependency something.
const GOOD_FOR: Duration = Duration::from_millis(250);

/// How a dependency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// All of it is there.
    Healthy,
    /// Some of it is not.
    Degraded,
    /// It is not there.
    Unhealthy,
}

impl Found {
    /// Whether it can be worked with.
    #[must_use]
    pub fn serves(self) -> bool {
        self != Self::Unhealthy
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// How a dependency is.
pub async fn look(probe: &dyn Probe) -> Found {
    match probe.check().await {
        Ok(Health::Well) => Found::Healthy,
        Ok(Health::Partly(_)) => Found::Degraded,
        Err(_) => Found::Unhealthy,
    }
}

/// A dependency at which one looks for all who ask meanwhile; what is wrong goes to the log.
#[derive(Debug)]
pub struct Watched {
    probe: Arc<dyn Probe>,
    runtime: Arc<dyn Runtime>,
    /// What was found, and when.
    last: Mutex<Option<(Result<Health, BackendError>, Duration)>>,
}

impl Watched {
    /// Nobody has looked at it yet.
    #[must_use]
    pub fn new(probe: Arc<dyn Probe>, runtime: Arc<dyn Runtime>) -> Self {
        Self { probe, runtime, last: Mutex::new(None) }
    }
}

#[async_trait]
impl Probe for Watched {
    fn name(&self) -> &'static str {
        self.probe.name()
    }

    async fn check(&self) -> Result<Health, BackendError> {
        let mut last = self.last.lock().await;
        let is_good = |at: Duration| self.runtime.elapsed().saturating_sub(at) < GOOD_FOR;
        if let Some((found, _)) = last.as_ref().filter(|(_, at)| is_good(*at)) {
            return found.clone();
        }
        let (found, dependency) = (self.probe.check().await, self.name());
        match &found {
            Ok(Health::Well) => {}
            Ok(Health::Partly(what)) => tracing::warn!(dependency, what, "a dependency is degraded"),
            Err(error) => tracing::warn!(dependency, source = %error.source, "a dependency is unhealthy"),
        }
        *last = Some((found.clone(), self.runtime.elapsed()));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore_ports::tokio::TokioRuntime;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::time::sleep;

    /// It takes its time, and is there at each second look.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    #[async_trait]
    impl Probe for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        async fn check(&self) -> Result<Health, BackendError> {
            let looks = self.0.fetch_add(1, SeqCst) + 1;
            sleep(Duration::from_millis(100)).await;
            Ok(if looks.is_multiple_of(2) { Health::Well } else { Health::Partly("odd".into()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_at_the_same_time_shares_a_look() {
        let probe = Arc::new(Counting::default());
        let watched = Watched::new(probe.clone(), Arc::new(TokioRuntime::current()));
        let crowd = || join_all((0..200).map(|_| look(&watched)));
        for (pause, found, looks) in [(0, Found::Degraded, 1), (200, Found::Degraded, 1), (100, Found::Healthy, 2)] {
            sleep(Duration::from_millis(pause)).await;
            assert_eq!(crowd().await, [found; 200]);
            assert_eq!(probe.0.load(SeqCst), looks, "{pause} ms later");
        }
    }

    /// Whoever has gone does not keep the others waiting.
    #[tokio::test(start_paused = true)]
    async fn a_look_that_nobody_waits_for_any_more_is_begun_anew() {
        let probe = Arc::new(Counting::default());
        let watched = Watched::new(probe.clone(), Arc::new(TokioRuntime::current()));
        assert!(tokio::time::timeout(Duration::from_millis(50), look(&watched)).await.is_err());
        assert_eq!((look(&watched).await, probe.0.load(SeqCst)), (Found::Healthy, 2));
    }
}

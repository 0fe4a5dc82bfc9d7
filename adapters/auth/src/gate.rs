//! The gate before the hashes: each takes 19 MiB and a core for a while, so only a few run at once.

use chatcore::error::BackendError;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// How many hashes run at once.
pub(crate) const AT_ONCE: usize = 5;

/// How many callers may be inside or wait. More would wait for longer than anybody's patience, so they are told at once.
pub(crate) const PLACES: usize = 256;

/// Lets work through, [`AT_ONCE`] at a time, off the threads that tasks run on.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) running: Arc<Semaphore>,
    places: Semaphore,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { running: Arc::new(Semaphore::new(AT_ONCE)), places: Semaphore::new(PLACES) }
    }

    /// Runs work when its turn comes. A dropped call gives its place back, but work that has begun counts until it ends.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, BackendError> {
        let runtime = Handle::try_current().map_err(|error| BackendError::never("users", error))?;
        let _place = self.places.try_acquire().map_err(|_| BackendError::later("users", "too many logins at once"))?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|error| BackendError::never("users", error))?;
        let task = runtime.spawn_blocking(move || {
            let _running = running;
            work()
        });
        task.await.map_err(|error| BackendError::later("users", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Counts those inside, and lets each group out only once five are in: fewer than five at once would never end.
    #[derive(Debug)]
    struct Inside {
        now: AtomicUsize,
        most: AtomicUsize,
        five: Barrier,
    }

    impl Inside {
        fn visit(&self) {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.five.wait();
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn five_hashes_run_at_once_and_never_a_sixth() {
        let (gate, inside) =
            (Gate::new(), Arc::new(Inside { now: 0.into(), most: 0.into(), five: Barrier::new(AT_ONCE) }));
        let calls = (0..50).map(|_| {
            let inside = Arc::clone(&inside);
            gate.run(move || inside.visit())
        });
        let all = futures_util::future::try_join_all(calls);
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("five must run at once").expect("all run");
        assert_eq!(inside.most.load(Ordering::SeqCst), AT_ONCE);
    }

    #[tokio::test]
    async fn a_caller_who_finds_no_place_is_told_at_once() {
        let gate = Gate::new();
        let _busy = gate.running.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
        let mut waiting: Vec<_> = (0..PLACES).map(|_| Box::pin(gate.run(|| ()))).collect();
        for call in &mut waiting {
            assert!(call.now_or_never().is_none());
        }
        assert!(gate.run(|| ()).await.expect_err("no place is left").may_pass());
        waiting.pop();
        assert!(gate.run(|| ()).now_or_never().is_none(), "a dropped call gave its place back");
    }

    #[tokio::test]
    async fn work_whose_caller_left_still_counts() {
        let gate = Gate::new();
        let (let_out, held) = std::sync::mpsc::channel::<()>();
        let mut call = Box::pin(gate.run(move || held.recv()));
        assert!((&mut call).now_or_never().is_none());
        drop(call);
        assert_eq!(gate.running.available_permits(), AT_ONCE - 1);
        drop(let_out);
    }

    #[test]
    fn outside_of_a_tokio_runtime_there_is_an_error_and_no_panic() {
        let gate = Gate::new();
        let result = gate.run(|| ()).now_or_never();
        assert!(!result.expect("at once").expect_err("no runtime").may_pass());
    }
}

//! The laws of `Runtime`.

use super::law::laws;
use chatcore::port::Runtime;
use futures_core::future::BoxFuture;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use uuid::{Variant, Version};

laws! {
    $
    /// Makes one test of each law of [`Runtime`](chatcore::port::Runtime). Takes an async expression that gives a
    /// [`RuntimeHarness`](crate::conformance::RuntimeHarness), or an `Option` of one.
    runtime_laws, runtime, RuntimeHarness:
    a_sleep_is_done_when_its_time_is_over,
    elapsed_never_jumps,
    a_task_runs_to_its_end,
    a_panic_is_the_tasks_own,
    an_id_is_random_and_new,
}

type Drive = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// A runtime, and how its tasks are driven.
#[derive(Clone)]
pub struct RuntimeHarness {
    runtime: Arc<dyn Runtime>,
    drive: Option<Drive>,
    panics: bool,
}

impl RuntimeHarness {
    /// A runtime whose tasks run by themselves.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, drive: None, panics: true }
    }

    /// A runtime that runs only while it is driven: a function that runs a future on it, to its end.
    #[must_use]
    pub fn driven(self, drive: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static) -> Self {
        Self { drive: Some(Arc::new(drive)), ..self }
    }

    /// A runtime for tests, in which a panic of any task is meant to fail the test.
    #[must_use]
    pub fn panics_end_it(self) -> Self {
        Self { panics: false, ..self }
    }

    async fn run<F: Future<Output = ()> + Send + 'static>(&self, law: impl FnOnce(Arc<dyn Runtime>) -> F) {
        let law = law(self.runtime.clone());
        match &self.drive {
            Some(drive) => drive(Box::pin(law)),
            None => law.await,
        }
    }
}

impl fmt::Debug for RuntimeHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeHarness").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

/// Not before, by its own clock; the shorter one first; and it outlives what made it.
pub async fn a_sleep_is_done_when_its_time_is_over(harness: &RuntimeHarness) {
    let short = |runtime: Arc<dyn Runtime>| async move {
        let start = runtime.elapsed();
        let sleeps = [0, 20, 60].map(|time| {
            let (time, runtime) = (Duration::from_millis(time), runtime.clone());
            async move {
                runtime.sleep(time).await;
                (runtime.elapsed() - start, time)
            }
        });
        for (took, time) in join_all(sleeps).await {
            assert!(took >= time && took < time + Duration::from_secs(10), "a sleep of {time:?} took {took:?}");
        }
        runtime.sleep(Duration::ZERO).await;
    };
    harness.run(short).await;
}

/// It never goes back, while tasks sleep and while they do not.
pub async fn elapsed_never_jumps(harness: &RuntimeHarness) {
    let clocks = |runtime: Arc<dyn Runtime>| async move {
        let mut last = runtime.elapsed();
        for round in 0..1000 {
            if round % 100 == 0 {
                runtime.sleep(Duration::from_millis(1)).await;
            }
            let now = runtime.elapsed();
            assert!(now >= last, "from {last:?} back to {now:?}");
            last = now;
        }
    };
    harness.run(clocks).await;
}

/// Whatever becomes of the caller, and however many there are.
pub async fn a_task_runs_to_its_end(harness: &RuntimeHarness) {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let spawn = |runtime: Arc<dyn Runtime>| async move {
        for number in 0..20 {
            spawner(runtime.clone(), count.clone(), number % 3).await;
        }
        until(&runtime, || count.load(Ordering::SeqCst) == 20).await;
    };
    harness.run(spawn).await;
    assert_eq!(ended.load(Ordering::SeqCst), 20, "of 20 tasks so many came to their end");
}

/// Spawns a task that sleeps and counts, and is over before it.
async fn spawner(runtime: Arc<dyn Runtime>, ended: Arc<AtomicUsize>, time: u64) {
    let sleep = runtime.sleep(Duration::from_millis(time));
    runtime.spawn(Box::pin(async move {
        sleep.await;
        ended.fetch_add(1, Ordering::SeqCst);
    }));
}

async fn until(runtime: &Arc<dyn Runtime>, is: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is() {
            return;
        }
        runtime.sleep(Duration::from_millis(5)).await;
    }
}

/// Neither its caller nor another task sees it. A runtime for tests may be excepted.
pub async fn a_panic_is_the_tasks_own(harness: &RuntimeHarness) {
    if !harness.panics {
        return;
    }
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let spawn = |runtime: Arc<dyn Runtime>| async move {
        runtime.spawn(Box::pin(async { panic!("this panic belongs to the law of panics") }));
        spawner(runtime.clone(), count.clone(), 5).await;
        until(&runtime, || count.load(Ordering::SeqCst) == 1).await;
    };
    harness.run(spawn).await;
    assert_eq!(ended.load(Ordering::SeqCst), 1, "a task beside the one that panicked came to its end");
}

/// UUIDs of version 4, all different.
pub async fn an_id_is_random_and_new(harness: &RuntimeHarness) {
    let ids: BTreeSet<_> = (0..1000).map(|_| harness.runtime.new_id()).collect();
    assert_eq!(ids.len(), 1000, "an id came twice");
    for id in &ids {
        assert_eq!((id.get_version(), id.get_variant()), (Some(Version::Random), Variant::RFC4122), "{id}");
    }
}

//! A deterministic `Runtime`: one thread, virtual time, and one seed that decides order, ids and chance.
//!
//! Tasks belong to groups, so that a process can die: its tasks are dropped where they stand. Time passes only while every
//! task waits, so a day of virtual time costs no more than its events.
//!
//! ```
//! use chatcore_ports::chatcore::port::Runtime;
//! use chatcore_ports::sim::Sim;
//! use std::time::Duration;
//!
//! let sim = Sim::new(7);
//! let runtime = sim.runtime(0);
//! let sleep = runtime.sleep(Duration::from_secs(86_400));
//! assert!(sim.run(sleep));
//! assert_eq!(runtime.elapsed(), Duration::from_secs(86_400));
//! sim.end();
//! ```

mod executor;
mod runtime;

use executor::{Shared, State};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

pub use runtime::SimRuntime;

/// A group of tasks that live and die together; 0 is the world, which never dies.
pub type Group = u32;

/// A task that can be dropped from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(u64);

/// The world of one seed. Clones are the same world. It is the caller's to [`end`](Self::end) it.
#[derive(Clone)]
pub struct Sim {
    shared: Arc<Shared>,
}

impl Sim {
    /// A world that this seed decides.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { shared: Arc::new(Shared::new(seed)) }
    }

    /// A runtime for a process: what is spawned through it belongs to this group.
    #[must_use]
    pub fn runtime(&self, group: Group) -> SimRuntime {
        SimRuntime::new(self.clone(), group)
    }

    /// A number below `end`, and 0 where that is 0.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        self.state().rng.u64(0..end.max(1))
    }

    /// True that often in a thousand.
    #[must_use]
    pub fn chance(&self, in_thousand: u64) -> bool {
        self.below(1000) < in_thousand
    }

    /// A time from `from` to `to` milliseconds, the latter excluded.
    #[must_use]
    pub fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from * 1000 + self.below(to.saturating_sub(from) * 1000))
    }

    /// How many polls were made: a measure of work, and a fingerprint of the run.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.state().polls
    }

    /// Runs a task in a group. In a dead group it is dropped at once.
    pub fn spawn(&self, group: Group, task: impl Future<Output = ()> + Send + 'static) -> TaskId {
        TaskId(self.shared.spawn(group, Box::pin(task)))
    }

    /// Drops all tasks of a group, and from now on each that is spawned into it. A task may kill its own group: it is
    /// dropped at its next wait.
    pub fn kill(&self, group: Group) {
        let dropped = self.state().kill(group);
        drop(dropped); // Without the lock: what is dropped may wake others.
    }

    /// Drops one task.
    pub fn abort(&self, task: TaskId) {
        let dropped = self.state().tasks.remove(&task.0);
        drop(dropped);
    }

    /// Runs everything until `main` is done; false when all tasks wait for each other.
    #[must_use]
    pub fn run(&self, main: impl Future<Output = ()> + Send + 'static) -> bool {
        let TaskId(main) = self.spawn(0, main);
        while self.state().tasks.contains_key(&main) {
            if !self.shared.poll_one() && !self.shared.pass_time() {
                return false;
            }
        }
        true
    }

    /// Drops all tasks: tasks hold the world, and the world holds its tasks.
    pub fn end(&self) {
        let dropped = std::mem::take(&mut self.state().tasks);
        drop(dropped);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sim")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::port::Runtime;
    use std::sync::Mutex;

    type Trace = Arc<Mutex<Vec<(u64, Duration, uuid::Uuid)>>>;

    /// Five tasks in two groups that sleep by chance; the second group dies half-way.
    fn world(seed: u64) -> (u64, Vec<(u64, Duration, uuid::Uuid)>) {
        let (sim, trace) = (Sim::new(seed), Trace::default());
        for number in 0..5 {
            let runtime = sim.runtime(number as Group % 2 + 1);
            let (world, trace) = (sim.clone(), trace.clone());
            sim.spawn(number as Group % 2 + 1, async move {
                for _ in 0..20 {
                    runtime.sleep(world.millis(0, 50)).await;
                    trace.lock().unwrap().push((number, runtime.elapsed(), runtime.new_id()));
                }
            });
        }
        let (world, clock) = (sim.clone(), sim.runtime(0));
        assert!(sim.run(async move {
            clock.sleep(Duration::from_millis(250)).await;
            world.kill(2);
            clock.sleep(Duration::from_secs(10)).await;
        }));
        sim.end();
        (sim.polls(), Arc::into_inner(trace).unwrap().into_inner().unwrap())
    }

    #[test]
    fn a_seed_replays_exactly_and_another_does_not() {
        assert_eq!(world(1), world(1));
        assert_ne!(world(1), world(2));
    }

    #[test]
    fn a_dead_group_does_nothing_more() {
        let (_, trace) = world(3);
        let killed = |number: u64| number % 2 == 1;
        assert!(
            trace.iter().filter(|(number, at, _)| killed(*number) && *at > Duration::from_millis(250)).count() == 0
        );
        assert_eq!(trace.iter().filter(|(number, ..)| !killed(*number)).count(), 60);
    }

    #[test]
    fn tasks_that_wait_for_each_other_end_the_run() {
        let sim = Sim::new(0);
        assert!(!sim.run(std::future::pending()));
        sim.end();
    }

    #[test]
    fn a_dropped_sleep_takes_no_time() {
        let sim = Sim::new(0);
        let runtime = sim.runtime(0);
        assert!(sim.run(async move {
            let long = runtime.sleep(Duration::from_secs(100));
            futures_util::future::select(long, runtime.sleep(Duration::from_secs(1))).await;
        }));
        assert_eq!(sim.runtime(0).elapsed(), Duration::from_secs(1));
    }
}

//! The inside of a world: its tasks, which of them are ready, and its timers.

use super::Group;
use futures_core::future::BoxFuture;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// What all clones of a world share. The list of ready tasks has a lock of its own, since a waker may be called anywhere.
pub(super) struct Shared {
    state: Mutex<State>,
    ready: Arc<Ready>,
}

type Ready = Mutex<Vec<u64>>;

pub(super) struct State {
    pub(super) now: Duration,
    pub(super) rng: fastrand::Rng,
    pub(super) polls: u64,
    pub(super) tasks: BTreeMap<u64, Task>,
    dead: BTreeSet<Group>,
    timers: BinaryHeap<Reverse<(Duration, u64)>>,
    /// Who sleeps on which timer. A timer without a sleeper was dropped, and time does not pass for it.
    sleepers: BTreeMap<u64, Waker>,
    last: u64,
}

pub(super) struct Task {
    group: Group,
    future: BoxFuture<'static, ()>,
    waker: Arc<TaskWaker>,
}

struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            now: Duration::ZERO,
            rng: fastrand::Rng::with_seed(seed),
            polls: 0,
            tasks: BTreeMap::new(),
            dead: BTreeSet::new(),
            timers: BinaryHeap::new(),
            sleepers: BTreeMap::new(),
            last: 0,
        };
        Self { state: Mutex::new(state), ready: Arc::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn spawn(&self, group: Group, future: BoxFuture<'static, ()>) -> u64 {
        let mut state = self.state();
        let id = state.next_id();
        if state.dead.contains(&group) {
            drop(state); // Before the future: what is dropped may wake others.
            return id;
        }
        let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(true), ready: self.ready.clone() });
        state.tasks.insert(id, Task { group, future, waker });
        lock(&self.ready).push(id);
        id
    }

    /// Polls a ready task, whichever chance picks; false when none is ready.
    pub(super) fn poll_one(&self) -> bool {
        let Some(id) = self.pick() else { return false };
        // Out of the map while it is polled, so that the lock is free; one that was dropped meanwhile is not there.
        let Some(mut task) = self.state().tasks.remove(&id) else { return true };
        task.waker.queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(task.waker.clone());
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.put_back(id, task);
        }
        true
    }

    fn pick(&self) -> Option<u64> {
        let mut state = self.state();
        let mut ready = lock(&self.ready);
        if ready.is_empty() {
            return None;
        }
        state.polls += 1;
        let index = state.rng.usize(0..ready.len());
        Some(ready.swap_remove(index))
    }

    fn put_back(&self, id: u64, task: Task) {
        let mut state = self.state();
        if state.dead.contains(&task.group) {
            drop(state); // Before the task, as above.
        } else {
            state.tasks.insert(id, task);
        }
    }

    /// Goes on to the next timer; false when there is none.
    pub(super) fn pass_time(&self) -> bool {
        let Some(waker) = self.state().next_sleeper() else { return false };
        waker.wake();
        true
    }
}

impl State {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Takes all tasks of a group out.
    pub(super) fn kill(&mut self, group: Group) -> Vec<Task> {
        self.dead.insert(group);
        self.tasks.extract_if(.., |_, task| task.group == group).map(|(_, task)| task).collect()
    }

    /// Whoever sleeps on this timer from now on.
    pub(super) fn sleep(&mut self, at: Duration, timer: u64, waker: &Waker) {
        if self.sleepers.insert(timer, waker.clone()).is_none() {
            self.timers.push(Reverse((at, timer)));
        }
    }

    pub(super) fn forget(&mut self, timer: u64) {
        self.sleepers.remove(&timer);
    }

    fn next_sleeper(&mut self) -> Option<Waker> {
        loop {
            let Reverse((at, timer)) = self.timers.pop()?;
            if let Some(waker) = self.sleepers.remove(&timer) {
                self.now = self.now.max(at);
                return Some(waker);
            }
        }
    }
}

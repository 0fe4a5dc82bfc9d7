//! A member of a group at work: a task that polls, one that commits, and one that looks for what is new.

mod ends;
mod rebalance;
mod watch;

use crate::deadline::within;
use crate::error::NAME;
use crate::group::{Group, POLL, POLL_RECORDS};
use crate::lanes::{Lanes, Taken};
use crate::merge;
use crate::record::{Fetched, REPLAY_FOR};
use crate::topic::Part;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use chatcore::watch::Watch;
use ends::Silent;
use futures_util::future::select;
use std::collections::BTreeMap;
use std::error::Error;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as Turns, Notify};
use watch::Asked;

/// As long as acknowledgements gather before they are committed together.
const GATHER: Duration = Duration::from_millis(20);
/// As long a poll waits at most while there are records that may go on, or be fetched, as soon as hands are free.
const SHORT: Duration = Duration::from_millis(20);
/// Between a failure and the next try.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks whether all partitions are answered.
const LOOK: Duration = Duration::from_secs(1);
/// After so long without a good look, or a commit, who waits is told, whatever the fault: it may be one that never passes.
const PATIENCE: Duration = Duration::from_secs(10);
/// A fault that stays is told so often.
const TELL: Duration = Duration::from_secs(3);

/// What the task that reads remembers of its last polls.
struct Polls {
    /// When it was last looked whether all is well, and the faults since all was.
    looked: Duration,
    faults: Faults,
}

/// Since when something may fail, and when that was told.
struct Faults {
    since: Duration,
    told: Option<Duration>,
}

/// A member of a group at work.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) group: Group,
    name: String,
    runtime: Arc<dyn Runtime>,
    handover: Duration,
    call_timeout: Duration,
    lanes: Mutex<Lanes>,
    silent: Silent,
    /// There is something to hand out, or the member has ended.
    ready: Notify,
    /// There is something to commit.
    dirty: Notify,
    /// A hand is free, or the member has ended.
    freed: Notify,
    /// Partitions move to another member, or have moved.
    moved: Notify,
    state: Watch<State>,
    /// Commits go out one after the other, each with what is true when it goes.
    commits: Turns<()>,
}

#[derive(Debug, Default)]
struct State {
    end: Option<End>,
    left: Option<Result<(), BackendError>>,
    /// Its place in the group is known; not so while the group is being rearranged.
    settled: bool,
    /// It gave up the place of this generation, and waits for another.
    gave_up: Option<i32>,
    fault: Option<BackendError>,
    asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It leaves the group.
    Closed,
    /// Nobody holds it: as if its process had died.
    Dropped,
}

impl Member {
    /// Starts the tasks of a member whose group knows it by this name.
    pub(crate) fn start(group: Group, name: &str, runtime: Arc<dyn Runtime>, times: (Duration, Duration)) -> Arc<Self> {
        let (call_timeout, handover) = times;
        let member = Arc::new(Self {
            group,
            name: name.to_owned(),
            runtime: runtime.clone(),
            handover,
            call_timeout,
            lanes: Mutex::default(),
            silent: Silent::default(),
            ready: Notify::new(),
            dirty: Notify::new(),
            freed: Notify::new(),
            moved: Notify::new(),
            state: Watch::default(),
            commits: Turns::default(),
        });
        member.group.tell(&member);
        member.spawn("reads", member.clone().read());
        member.spawn("commits", member.clone().commit());
        member.spawn("watches", member.clone().watch());
        member
    }

    /// Starts a task, with which the member ends where it does not come to its end.
    fn spawn(self: &Arc<Self>, does: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let member = self.clone();
        self.runtime.spawn(Box::pin(async move {
            let mut guard = Guard { member: &member, does, done: false };
            task.await;
            guard.done = true;
        }));
    }

    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next record; `None` once the member has ended. What a dropped call would have taken goes to the next call.
    pub(crate) async fn next(&self) -> Result<Option<Taken>, BackendError> {
        loop {
            let told = self.ready.notified();
            // Each record comes by here: it is read, and what waits for a change is woken by a fault alone.
            let (has_ended, has_fault) = self.state.read(|state| (state.end.is_some(), state.fault.is_some()));
            if has_ended {
                self.ready.notify_one();
                return Ok(None);
            }
            // First, since there may be something to hand out all the time.
            if has_fault && let Some(fault) = self.state.update(|state| state.fault.take()) {
                self.tell_ready();
                return Err(fault);
            }
            if let Some(taken) = self.take() {
                return Ok(Some(taken));
            }
            told.await;
        }
    }

    /// Wakes the next who waits, where there is more.
    fn take(&self) -> Option<Taken> {
        let mut lanes = self.lanes();
        let taken = lanes.take();
        if lanes.is_ready() {
            self.ready.notify_one();
        }
        taken
    }

    /// It was worked off. Answers whether it was still this member's.
    pub(crate) fn done(&self, number: u64) -> bool {
        let mut lanes = self.lanes();
        let done = lanes.done(number);
        if lanes.is_ready() {
            self.ready.notify_one();
        }
        drop(lanes);
        if done {
            self.dirty.notify_one();
            self.freed.notify_waiters();
        }
        done
    }

    /// It was not worked off, and is handed out again.
    pub(crate) fn give_back(&self, number: u64) {
        self.lanes().give_back(number);
        self.freed.notify_waiters();
        self.ready.notify_one();
    }

    /// Comes when this record is another member's, or is to be, which it then is without delay.
    pub(crate) async fn let_go(&self, number: u64) {
        loop {
            let moved = self.moved.notified();
            if self.lanes().let_go(number) {
                return self.freed.notify_waiters();
            }
            moved.await;
        }
    }

    /// Leaves the group. Calls of `next` end.
    pub(crate) async fn close(&self) -> Result<(), BackendError> {
        self.end(End::Closed);
        self.state.wait(|state| state.left.clone()).await
    }

    /// Stops all work, without a word to the group.
    pub(crate) fn drop_place(&self) {
        self.end(End::Dropped);
    }

    fn end(&self, end: End) {
        self.state.update(|state| _ = state.end.get_or_insert(end));
        self.ready.notify_one();
        self.dirty.notify_one();
        self.freed.notify_waiters();
    }

    fn ended(&self) -> bool {
        self.state.read(|state| state.end.is_some())
    }

    async fn read(self: Arc<Self>) {
        let now = self.runtime.elapsed();
        let mut polls = Polls { looked: now, faults: Faults { since: now, told: None } };
        while !self.ended() {
            let ended = pin!(self.state.wait(|state| state.end));
            select(ended, pin!(self.step(&mut polls))).await;
        }
        let mut left = Err(BackendError::later(NAME, "the member has ended; the log says why"));
        if self.state.read(|state| state.end) == Some(End::Closed) {
            left = self.leave().await;
            let mut lanes = self.lanes();
            let parts = lanes.assigned();
            _ = lanes.release(&parts);
        }
        self.state.update(|state| _ = state.left.get_or_insert(left));
    }

    async fn step(self: &Arc<Self>, polls: &mut Polls) {
        self.let_join().await;
        let now = self.runtime.elapsed();
        let mut has_more = false;
        let is_held_up = self.lanes().is_held_up();
        match self.group.poll(if is_held_up { SHORT } else { POLL }).await {
            Ok(records) => {
                has_more = records.len() >= usize::from(POLL_RECORDS);
                if self.lanes().fetched(records, |record| self.is_for_others(record)) {
                    self.dirty.notify_one();
                }
                if now.saturating_sub(polls.looked) >= LOOK {
                    polls.looked = now;
                    self.look(polls).await;
                }
            }
            Err(error) => {
                self.failed(error, &mut polls.faults);
                self.runtime.sleep(PAUSE).await;
            }
        }
        self.do_what_is_asked().await;
        self.hand_over(has_more).await;
    }

    async fn look(&self, polls: &mut Polls) {
        match self.group.is_answered().await {
            true => polls.faults.since = self.runtime.elapsed(),
            false => {
                let why = "no broker lets some of the partitions be read";
                self.failed(BackendError::later(NAME, why), &mut polls.faults);
            }
        }
    }

    /// A short outage is waited out. What somebody has to mend, or does not pass, is told to who waits, now and then.
    fn failed(&self, error: BackendError, faults: &mut Faults) {
        tracing::debug!(group = self.name, error = %error.source, "reading from Kafka, or a commit, failed");
        let now = self.runtime.elapsed();
        let lasts = !error.may_pass() || now.saturating_sub(faults.since) >= PATIENCE;
        if lasts && faults.told.is_none_or(|told| now.saturating_sub(told) >= TELL) {
            faults.told = Some(now);
            self.state.update(|state| state.fault = Some(error));
            self.ready.notify_one();
        }
    }

    /// From the queues to the lanes; and fetching stops or goes on.
    async fn hand_over(self: &Arc<Self>, has_more: bool) {
        let places = self.group.places().await;
        let awaited = {
            let mut lanes = self.lanes();
            for (part, position) in &places {
                position.iter().for_each(|position| lanes.stands_at(*part, *position));
            }
            lanes.admit_certain(has_more)
        };
        self.tell_ready();
        if !awaited.is_empty() {
            self.admit_more(awaited, &places).await;
        }
        let flow = self.lanes().flow();
        for (part, pause) in flow {
            self.group.pause(part, pause).await;
        }
    }

    /// What waits for these goes on where their brokers tell that no more is there, or after a while.
    async fn admit_more(self: &Arc<Self>, mut awaited: Vec<Part>, places: &BTreeMap<Part, Option<i64>>) {
        awaited.retain(|part| matches!(places.get(part), Some(Some(_))));
        let ends = self.ends(awaited.clone()).await;
        self.lanes().admit(&merge::caught_up(awaited, places, &ends), self.runtime.elapsed());
        self.tell_ready();
    }

    fn tell_ready(&self) {
        if self.lanes().is_ready() {
            self.ready.notify_one();
        }
    }

    fn is_for_others(&self, record: &Fetched) -> bool {
        record.header(REPLAY_FOR).is_some_and(|group| group != self.name)
    }

    /// A member that leaves while it is joining would be waited for by the group: so it joins first, if that is soon.
    async fn leave(&self) -> Result<(), BackendError> {
        let joined = async { while !self.state.read(|state| state.settled) && self.group.poll(POLL).await.is_ok() {} };
        select(pin!(joined), self.runtime.sleep(self.call_timeout)).await;
        self.group.leave().await
    }

    async fn commit(self: Arc<Self>) {
        let mut faults = None;
        while !self.ended() {
            self.dirty.notified().await;
            self.runtime.sleep(GATHER).await;
            let _turn = self.commits.lock().await;
            let commits = self.lanes().commits();
            let done = if commits.is_empty() { Ok(()) } else { self.within(self.group.commit(&commits)).await };
            // Whatever the fault: what is not this member's any more is not asked for again, and only the group's word
            // takes it away.
            let Err(error) = done else {
                faults = None;
                continue;
            };
            let why: Box<dyn Error + Send + Sync> = format!("a commit failed: {}", error.source).into();
            let error = BackendError { source: why.into(), ..error };
            self.failed(error, faults.get_or_insert(Faults { since: self.runtime.elapsed(), told: None }));
            self.lanes().not_committed(&commits);
            self.runtime.sleep(PAUSE).await;
            self.dirty.notify_one();
        }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
        within((&self.runtime, self.call_timeout), work).await
    }
}

/// A task at work. Where it panics the member ends, and nobody waits for it any longer.
struct Guard<'a> {
    member: &'a Member,
    does: &'static str,
    done: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let Self { member, does, .. } = self;
        tracing::error!(group = member.name, "the member ends, since its task that {does} broke off");
        let left = Err(BackendError::later(NAME, format!("the task that {does} broke off")));
        member.state.update(|state| _ = state.left.get_or_insert(left));
        member.end(End::Dropped);
    }
}

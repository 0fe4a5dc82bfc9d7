//! Both stores side by side: each call is made on the one and on the other, and what they answer has to be the same.

use crate::call::Call;
use crate::names::Names;
use crate::reply::Reply;
use crate::show::Show;
use crate::subject::{Clock, Opened, Subject};
use chatcore::port::Runtime;
use chatcore_ports::memory::MemoryStore;
use chatcore_ports::sim::{Sim, SimRuntime};
use chatcore_ports::tokio::TokioRuntime;
use std::time::Duration;

/// How much time passes at once. Between two passes there is none that a lease or a time to live would notice, unless the
/// machine is so slow that a store with a clock of its own takes longer than this for what lies between them.
const PASS: Duration = Duration::from_millis(400);

/// What is over after a pass is over for so long, and what is not has so long to go.
const MARGIN: Duration = Duration::from_millis(10);

/// A time that is over after so many passes.
pub(crate) fn passes(count: u32) -> Duration {
    PASS * count - MARGIN
}

/// The time of one call, so that no two stamps are the same.
const TICK: Duration = Duration::from_micros(1);

/// A call that takes longer hangs.
const HANGS: Duration = Duration::from_secs(10);

/// Why a sequence ended early.
#[derive(Debug)]
pub(crate) enum End {
    /// The machine was so slow that a lease may have run out by itself: it says nothing.
    Late,
    /// The two answered differently: what was done, and both answers.
    Differs(String),
}

/// The two stores of a sequence.
pub(crate) struct World {
    ours: Opened,
    theirs: Opened,
    subject: Box<dyn Subject>,
    names: Names,
    sim: Sim,
    real: TokioRuntime,
    /// When each pass was over, in real time.
    passed: Vec<Duration>,
    pub(crate) show: Show,
}

impl World {
    pub(crate) async fn new(sim: &Sim, model: MemoryStore, subject: Box<dyn Subject>) -> Self {
        let (ours, theirs) = (Opened::of(model), subject.open().await);
        let (names, real, show) = (Names::default(), TokioRuntime::current(), Show::default());
        let passed = vec![real.elapsed()];
        Self { ours, theirs, subject, names, sim: sim.clone(), real, passed, show }
    }

    /// Makes a call on both.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Reply, End> {
        self.sleep(TICK);
        let mut ours = call.perform(&self.ours).await;
        let translated = self.names.call(call);
        let theirs = ::tokio::time::timeout(HANGS, translated.perform(&self.theirs)).await;
        let mut theirs = theirs.unwrap_or_else(|_| Reply::Failed("no answer".into()));
        if self.is_late() {
            return Err(End::Late);
        }
        self.names.reply(call, (&mut ours, &mut theirs), self.ahead());
        if ours != theirs {
            return Err(End::Differs(self.show.difference(call, &ours, &theirs)));
        }
        self.show.step(call, &ours);
        Ok(ours)
    }

    /// Lets time pass for both.
    pub(crate) async fn pass(&mut self) {
        self.sleep(PASS);
        if self.subject.clock() == Clock::Real {
            self.real.sleep(PASS).await;
        }
        self.passed.push(self.real.elapsed());
        self.show.note("time passes");
    }

    /// The process of the store under test dies, and another opens it.
    pub(crate) async fn crash(&mut self) {
        drop(std::mem::replace(&mut self.theirs, self.ours.clone()));
        self.theirs = self.subject.open().await;
        self.show.note("crash");
    }

    /// The virtual time; nobody else sleeps in it.
    fn sleep(&self, time: Duration) {
        let clock: SimRuntime = self.sim.runtime(0);
        assert!(self.sim.run(clock.sleep(time)), "a sleep ends");
    }

    /// How far the clock of the store under test is ahead of the virtual one since the beginning, with room for one that
    /// counts in milliseconds; `None` where it goes by the virtual one.
    fn ahead(&self) -> Option<Duration> {
        let (passes, real) = (self.passed.len() as u32 - 1, self.real.elapsed() - self.passed[0]);
        (self.subject.clock() == Clock::Real).then(|| real.saturating_sub(PASS * passes) + MARGIN)
    }

    /// Whether something may have ended that would not have in virtual time: what began after the last pass or the one
    /// before it has to be as young as there.
    fn is_late(&self) -> bool {
        let (now, real) = (self.real.elapsed(), self.subject.clock() == Clock::Real);
        let old = |(back, passed): (u32, &Duration)| now.saturating_sub(*passed + PASS * back) > PASS - 2 * MARGIN;
        real && (0..2).zip(self.passed.iter().rev()).any(old)
    }
}

//! Both stores side by side: each call is made on the one and on the other, and what they answer has to be the same.

use crate::call::Call;
use crate::names::Names;
use crate::reply::Reply;
use crate::show::{REFUSED, Show};
use crate::subject::{Clock, Opened, Subject};
use chatcore::port::Runtime;
use chatcore::turn::Began;
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

/// How soon a call is made again that was refused.
const AGAIN: Duration = Duration::from_millis(5);

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
    /// How far into the next call a process dies, if one does.
    amid: Option<u16>,
    pub(crate) show: Show,
}

impl World {
    pub(crate) async fn new(sim: &Sim, model: MemoryStore, subject: Box<dyn Subject>) -> Self {
        let (ours, theirs) = (Opened::of(model), subject.open().await);
        let (names, real, show) = (Names::default(), TokioRuntime::current(), Show::default());
        let passed = vec![real.elapsed()];
        Self { ours, theirs, subject, names, sim: sim.clone(), real, passed, amid: None, show }
    }

    /// Makes a call on both.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Reply, End> {
        self.sleep(TICK);
        let mut ours = call.perform(&self.ours).await;
        let translated = self.names.call(call);
        let amid = self.amid.take().filter(|_| !matches!(call, Call::Adopt(..)));
        if let Some(far) = amid {
            self.show.note("a process dies amid");
            self.subject.perish(&translated, far).await;
        }
        let (mut theirs, is_again) = self.ask(&translated).await;
        // Turns of a part that refused a look are left to their servers for longer than a sequence waits.
        if self.is_late() || self.subject.refuses() && leaves_some(call, &ours, &theirs) {
            return Err(End::Late);
        }
        if is_again || amid.is_some() {
            told_again(call, &ours, &mut theirs);
        }
        self.names.reply(call, (&mut ours, &mut theirs), self.ahead());
        if ours != theirs {
            return Err(End::Differs(self.show.difference(call, &ours, &theirs)));
        }
        self.show.step(call, &ours);
        Ok(ours)
    }

    /// What the store under test answers, and whether it was asked more than once.
    async fn ask(&mut self, call: &Call) -> (Reply, bool) {
        let mut is_again = false;
        loop {
            let theirs = ::tokio::time::timeout(HANGS, call.perform(&self.theirs)).await;
            let theirs = theirs.unwrap_or_else(|_| Reply::Failed("no answer".into()));
            if !(self.subject.refuses() && matches!(theirs, Reply::Later(_))) || self.is_late() {
                return (theirs, is_again);
            }
            is_again = true;
            self.show.seen.insert(REFUSED);
            self.real.sleep(AGAIN).await;
        }
    }

    /// A process dies amid the next call.
    pub(crate) fn crash_amid_the_next(&mut self, far: u16) {
        self.amid = Some(far);
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

/// Whether fewer orphans were closed than there are.
fn leaves_some(call: &Call, ours: &Reply, theirs: &Reply) -> bool {
    let counts = (ours, theirs);
    matches!(call, Call::CloseOrphans(..)) && matches!(counts, (Reply::Count(all), Reply::Count(some)) if some < all)
}

/// What is not told twice: what is left of a quota, how many sessions were moved, and which orphans were closed.
fn told_again(call: &Call, ours: &Reply, theirs: &mut Reply) {
    match (ours, theirs) {
        (Reply::Began(Began::Started(first)), Reply::Began(Began::Started(again))) => {
            again.left = again.left.or(first.left);
            again.closed |= first.closed;
        }
        (Reply::Adopted(all), Reply::Adopted(rest)) if rest.moved <= all.moved => rest.moved = all.moved,
        (Reply::Count(all), Reply::Count(rest)) if matches!(call, Call::CloseOrphans(..)) && *rest <= *all => {
            *rest = *all
        }
        _ => {}
    }
}

//! Processes that faults are done to, each in a thread of its own and by its own plan.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::ledger::Ledger;
use crate::plan::{Fault, Plan, Step};
use crate::servers::Server as Redis;
use std::thread::{scope, sleep};
use std::time::Duration;
use tokio::time::Instant;

/// Something that faults can be done to. Afterwards it runs.
pub(crate) trait Suffers: Send {
    /// # Errors
    /// What is wrong with how it took it.
    fn suffer(&mut self, fault: Fault, lasts: Duration) -> Result<(), String>;
}

/// Processes, their plans, and what was done to them.
#[derive(Default)]
pub(crate) struct Lanes(Vec<Lane>);

/// A process, its plan, and what was done to it.
struct Lane {
    process: Box<dyn Suffers>,
    name: &'static str,
    plan: Plan,
    next: Option<Step>,
    done: Vec<Fault>,
}

impl Lanes {
    /// One more. Its plan is the only thing that depends on the seed.
    pub(crate) fn add(&mut self, name: &'static str, process: impl Suffers + 'static, plan: Plan) {
        self.0.push(Lane { process: Box::new(process), name, plan, next: None, done: Vec::new() });
    }

    /// Faults for so long, or until it is enough. Afterwards everything runs.
    pub(crate) fn storm(&mut self, length: Duration, ledger: &Ledger) {
        let until = Instant::now() + length;
        let goes_on = &|after| Instant::now() + after < until && !ledger.is_enough();
        scope(|threads| {
            for lane in &mut self.0 {
                threads.spawn(move || lane.storm(goes_on, ledger));
            }
        });
    }

    /// Each fault that was done, and to what.
    pub(crate) fn done(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().flat_map(|lane| lane.done.iter().map(|fault| format!("{} {fault:?}", lane.name)))
    }
}

impl Lane {
    fn storm(&mut self, goes_on: &(dyn Fn(Duration) -> bool + Sync), ledger: &Ledger) {
        loop {
            // What the round has no time for is what the next one begins with.
            let step = self.next.take().unwrap_or_else(|| self.plan.next());
            if !goes_on(step.after) {
                self.next = Some(step);
                return;
            }
            sleep(step.after);
            self.process.suffer(step.fault, step.lasts).unwrap_or_else(|wrong| ledger.violation(wrong));
            self.done.push(step.fault);
        }
    }
}

impl Suffers for Redis {
    fn suffer(&mut self, fault: Fault, lasts: Duration) -> Result<(), String> {
        match fault {
            Fault::Freeze => {
                self.signal("STOP");
                sleep(lasts);
                self.signal("CONT");
            }
            Fault::Flush => drop(self.ask(&["SCRIPT", "FLUSH", "SYNC"])),
            Fault::Cut => drop(self.ask(&["CLIENT", "KILL", "TYPE", "normal"])),
            Fault::CutListeners => drop(self.ask(&["CLIENT", "KILL", "TYPE", "pubsub"])),
            Fault::Kill | Fault::Outage | Fault::Terminate => {
                self.kill();
                sleep(lasts);
                self.run();
            }
        }
        Ok(())
    }
}

//! Sequences by the hundred, several at once; the first that differs is made as short as it can be.

use crate::machine::run;
use crate::op::Sequence;
use crate::sequences::sequences;
use crate::show::Seen;
use crate::subject::Subject;
use crate::world::End;
use chatcore::policy::StoreLimits;
use chatcore_ports::sim::Sim;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use tokio::runtime::{Builder, Runtime};

/// How often a sequence is tried that is too slow.
const TRIES: usize = 5;
/// How many numbers are handed out at most for each sequence that is wanted.
const NUMBERS: u32 = 4;

/// How sequences are run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes {
    /// How many sequences are to say something.
    pub(crate) sequences: u32,
    /// How many at once.
    pub(crate) lanes: u32,
    /// What they are made from: the same seed makes the same ones.
    pub(crate) seed: u32,
    /// Whether calls are made while slots move.
    pub(crate) moves: bool,
    /// How many tries to make the one that differs shorter.
    pub(crate) shrink: u32,
}

/// What came of them.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How many were to say something.
    pub(crate) wanted: u32,
    /// How many said something.
    pub(crate) ran: u32,
    /// How many were too slow to say anything.
    pub(crate) late: u32,
    /// What the stores answered.
    pub(crate) seen: Seen,
    /// What was done, and where the two differ.
    pub(crate) difference: Option<String>,
}

/// What the lanes share.
struct Work<F> {
    lanes: Lanes,
    subject: F,
    next: AtomicU32,
    /// How many are still to be begun.
    left: AtomicU32,
    found: AtomicBool,
    outcome: Mutex<Outcome>,
}

impl Lanes {
    /// Holds stores that this makes against the model, until one differs.
    pub(crate) fn run<F>(self, subject: F) -> Outcome
    where
        F: Fn(&Sim, StoreLimits) -> Box<dyn Subject> + Sync,
    {
        let (next, left, found) = (AtomicU32::new(0), AtomicU32::new(self.sequences), AtomicBool::new(false));
        let outcome = Mutex::new(Outcome { wanted: self.sequences, ..Outcome::default() });
        let work = Work { lanes: self, subject, next, left, found, outcome };
        thread::scope(|scope| {
            let lanes: Vec<_> = (0..self.lanes).map(|_| scope.spawn(|| work.lane())).collect();
            lanes.into_iter().for_each(|lane| lane.join().expect("a lane that ends"));
        });
        work.outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source of one sequence.
    fn source(self, number: u32) -> TestRunner {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&self.seed.to_le_bytes());
        seed[4..8].copy_from_slice(&number.to_le_bytes());
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }
}

impl<F: Fn(&Sim, StoreLimits) -> Box<dyn Subject>> Work<F> {
    /// Takes sequences until there is none, or until one was found that differs.
    fn lane(&self) {
        let (runtime, strategy) =
            (Builder::new_current_thread().enable_all().build().expect("a runtime"), sequences(self.lanes.moves));
        while !self.found.load(Ordering::SeqCst) && self.is_one_left() {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.lanes.sequences.saturating_mul(NUMBERS) {
                return;
            }
            let mut tree = strategy.new_tree(&mut self.lanes.source(number)).expect("a sequence");
            let end = self.one(&runtime, &tree.current());
            let differs = matches!(end, Err(End::Differs(_)));
            self.count(number, end);
            if differs && !self.found.swap(true, Ordering::SeqCst) {
                self.shrink(&runtime, &mut tree);
            }
        }
    }

    /// Takes one of those that are still to be begun.
    fn is_one_left(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// Does a sequence; one that was too slow has other tries.
    fn one(&self, runtime: &Runtime, sequence: &Sequence) -> Result<Seen, End> {
        let mut ends = (0..TRIES).map(|_| runtime.block_on(run(sequence, &self.subject)));
        ends.find(|end| !matches!(end, Err(End::Late))).unwrap_or(Err(End::Late))
    }

    fn count(&self, number: u32, end: Result<Seen, End>) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        match end {
            Ok(seen) => outcome.seen.extend(seen),
            // Another has its place, which this lane takes if no other does.
            Err(End::Late) => {
                outcome.late += 1;
                self.left.fetch_add(1, Ordering::SeqCst);
                return;
            }
            // The first is the one that is made shorter.
            Err(End::Differs(what)) => {
                outcome.difference.get_or_insert_with(|| format!("sequence {number}\n{what}"));
            }
        }
        outcome.ran += 1;
    }

    /// Keeps the shortest sequence that differs, be it in another place.
    fn shrink(&self, runtime: &Runtime, tree: &mut impl ValueTree<Value = Sequence>) {
        let (mut tries, mut shortest) = (self.lanes.shrink, tree.current());
        let mut more = tree.simplify();
        while more && tries > 0 {
            tries -= 1;
            let simpler = tree.current();
            more = if self.still_differs(runtime, &simpler) {
                shortest = simpler;
                tree.simplify()
            } else {
                tree.complicate()
            };
        }
        // Simpler operations need fewer of those before them.
        for place in (0..shortest.1.len()).rev().take(tries as usize) {
            let mut shorter = shortest.clone();
            shorter.1.remove(place);
            if self.still_differs(runtime, &shorter) {
                shortest = shorter;
            }
        }
    }

    fn still_differs(&self, runtime: &Runtime, sequence: &Sequence) -> bool {
        let Err(End::Differs(what)) = self.one(runtime, sequence) else { return false };
        let what = format!("{:?}\n{what}", sequence.0);
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).difference = Some(what);
        true
    }
}

//! Which faults come, drawn from a seed: a lane for each process, so that the plan of one does not depend on how long another
//! took.

use fastrand::Rng;
use std::time::Duration;

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// SIGKILL, and started again.
    Kill,
    /// SIGSTOP, and SIGCONT.
    Freeze,
    /// SIGKILL, and away for long.
    Outage,
    /// SIGTERM, and started again.
    Terminate,
    /// Redis forgets all scripts.
    Flush,
    /// Redis cuts all connections.
    Cut,
    /// Redis cuts those that listen to channels.
    CutListeners,
}

/// A fault, how long after the one before, and how long it lasts.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) after: Duration,
    pub(crate) fault: Fault,
    pub(crate) lasts: Duration,
}

/// The faults of one process. What it is decides which come.
#[derive(Debug)]
pub(crate) struct Plan {
    random: Rng,
    kind: Kind,
}

/// What a lane is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Redis,
    Server,
    Worker,
    Kafka,
    /// A worker that is a member of a group of Kafka's.
    Member,
}

impl Plan {
    /// The plan of a lane.
    pub(crate) fn new(seed: u64, lane: u64, kind: Kind) -> Self {
        Self { random: Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(lane)), kind }
    }

    /// What comes next.
    pub(crate) fn next(&mut self) -> Step {
        let lot = self.random.u32(..100);
        // Many faults last about as long as a lease: that is where turns change hands.
        let (fault, lasts) = match self.kind {
            Kind::Redis => match lot {
                0..40 => (Fault::Kill, 100..1600),
                40..75 => (Fault::Freeze, 300..1900),
                75..85 => (Fault::Flush, 0..1),
                85..93 => (Fault::Cut, 0..1),
                _ => (Fault::CutListeners, 0..1),
            },
            Kind::Server => match lot {
                0..45 => (Fault::Kill, 0..600),
                45..94 => (Fault::Freeze, 600..2000),
                _ => (Fault::Terminate, 0..300),
            },
            Kind::Worker => match lot {
                0..50 => (Fault::Kill, 0..1000),
                50..92 => (Fault::Freeze, 100..2500),
                _ => (Fault::Terminate, 0..300),
            },
            Kind::Kafka => match lot {
                0..45 => (Fault::Kill, 0..2000),
                45..80 => (Fault::Freeze, 300..8000),
                _ => (Fault::Outage, 8000..15_000),
            },
            // A group goes on without a member after six seconds, also without one that is only frozen.
            Kind::Member => match lot {
                0..45 => (Fault::Kill, 0..1000),
                45..85 => (Fault::Freeze, 500..12_000),
                _ => (Fault::Terminate, 0..300),
            },
        };
        let pause = match self.kind {
            Kind::Redis => 500..2500,
            Kind::Server => 200..1500,
            Kind::Worker => 500..3000,
            Kind::Kafka => 1000..8000,
            Kind::Member => 2000..12_000,
        };
        let after = Duration::from_millis(self.random.u64(pause));
        Step { after, fault, lasts: Duration::from_millis(self.random.u64(lasts)) }
    }
}

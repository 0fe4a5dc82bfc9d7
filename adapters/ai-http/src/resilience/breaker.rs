//! A circuit breaker: a gateway that keeps failing is left alone for a while.

use super::{refusal, until_end};
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use futures_util::stream::{self, BoxStream, StreamExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// When a gateway is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerPolicy {
    /// After how many faults in a row; at least 1.
    pub faults: u32,
    /// For how long, before one call is let through to try.
    pub pause: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { faults: 5, pause: Duration::from_secs(5) }
    }
}

/// Passes calls on until too many in a row have failed; then refuses them, and after a pause tries one.
///
/// # Laws
/// - **a fault is an error or an answer that broke off**; a `Done` sets the count to zero, and a stream that its caller
///   drops counts as neither.
/// - **an open breaker calls nobody**: it gives an error at once.
/// - **one call tries** once the pause is over, others are refused meanwhile. Its success closes the breaker, its fault
///   opens it for another pause, and if it is dropped then the next call tries.
/// - **a try that speaks keeps nobody out**: with its first text the breaker closes, however long the answer goes on. Until an
///   answer is whole, one fault opens it again.
/// - **what began before it opened is not counted after**: calls that end late neither close it nor renew its pause.
#[derive(Debug)]
pub struct Breaker<G> {
    inner: Arc<G>,
    circuit: Arc<Circuit>,
}

impl<G: AiGateway> Breaker<G> {
    /// Shields callers from a gateway that fails.
    #[must_use]
    pub fn new(inner: G, policy: BreakerPolicy, runtime: Arc<dyn Runtime>) -> Self {
        let state = Mutex::new(State { round: 0, gate: Gate::Closed { faults: 0 } });
        Self { inner: Arc::new(inner), circuit: Arc::new(Circuit { policy, runtime, state }) }
    }

    /// Whether a call that came now would be refused.
    #[must_use]
    pub fn refuses(&self) -> bool {
        let now = self.circuit.runtime.elapsed();
        match self.circuit.state().gate {
            Gate::Closed { .. } => false,
            Gate::Open { until } => now < until,
            Gate::Trying => true,
        }
    }
}

impl<G: AiGateway> AiGateway for Breaker<G> {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let (inner, circuit) = (Arc::clone(&self.inner), Arc::clone(&self.circuit));
        let enter = async move {
            match circuit.enter() {
                Some(pass) => until_end(inner.answer(prompt), pass, Pass::speaks, Pass::settle),
                None => refusal("the AI has failed too often and is given a rest"),
            }
        };
        stream::once(enter).flatten().boxed()
    }
}

#[derive(Debug)]
struct Circuit {
    policy: BreakerPolicy,
    runtime: Arc<dyn Runtime>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Grows whenever the gate opens or tries, so that calls of an earlier round are told from those that count.
    round: u64,
    gate: Gate,
}

#[derive(Debug)]
enum Gate {
    Closed { faults: u32 },
    Open { until: Duration },
    Trying,
}

impl Circuit {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>) -> Option<Pass> {
        let now = self.runtime.elapsed();
        let mut state = self.state();
        match state.gate {
            Gate::Closed { .. } => {}
            Gate::Open { until } if now >= until => state.turn(Gate::Trying),
            Gate::Open { .. } | Gate::Trying => return None,
        }
        Some(Pass { circuit: Arc::clone(self), round: state.round })
    }

    fn speaks(&self, round: u64) {
        let mut state = self.state();
        if state.round == round && matches!(state.gate, Gate::Trying) {
            tracing::info!("the AI answers again");
            state.gate = Gate::Closed { faults: self.policy.faults.saturating_sub(1) };
        }
    }

    fn succeeded(&self, round: u64) {
        let mut state = self.state();
        if state.round == round {
            if matches!(state.gate, Gate::Trying) {
                tracing::info!("the AI answers again");
            }
            state.gate = Gate::Closed { faults: 0 };
        }
    }

    fn failed(&self, round: u64) {
        let until = self.runtime.elapsed().saturating_add(self.policy.pause);
        let mut state = self.state();
        if state.round != round {
            return;
        }
        match state.gate {
            Gate::Closed { faults } if faults + 1 < self.policy.faults => {
                state.gate = Gate::Closed { faults: faults + 1 }
            }
            _ => {
                tracing::warn!(pause = ?self.policy.pause, "the AI keeps failing and is given a rest");
                state.turn(Gate::Open { until });
            }
        }
    }

    /// A try that told nothing: the next call is the try.
    fn abandoned(&self, round: u64) {
        let until = self.runtime.elapsed();
        let mut state = self.state();
        if state.round == round && matches!(state.gate, Gate::Trying) {
            state.turn(Gate::Open { until });
        }
    }
}

impl State {
    fn turn(&mut self, gate: Gate) {
        self.round += 1;
        self.gate = gate;
    }
}

/// A call that was let through, in the round in which it was.
#[derive(Debug)]
struct Pass {
    circuit: Arc<Circuit>,
    round: u64,
}

impl Pass {
    fn speaks(&self) {
        self.circuit.speaks(self.round);
    }

    fn settle(self, well: bool) {
        if well {
            self.circuit.succeeded(self.round);
        } else {
            self.circuit.failed(self.round);
        }
    }
}

impl Drop for Pass {
    /// After `settle` this finds no try of its round any more, so it does nothing.
    fn drop(&mut self) {
        self.circuit.abandoned(self.round);
    }
}

//! An AI that is slow, silent, broken or well, by chance. Each call says words of its own, so that two attempts can't be mixed up.

use chatcore::message::AiReply;
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use chatcore_ports::sim::{Sim, SimRuntime};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use std::time::Duration;

/// The AI of one server.
#[derive(Debug, Clone)]
pub(crate) struct SimAi {
    sim: Sim,
    runtime: SimRuntime,
}

struct Script {
    ai: SimAi,
    call: u64,
    said: u64,
    words: u64,
    gap: u64,
    end: u64,
}

impl SimAi {
    /// An AI in this world.
    pub(crate) fn new(sim: Sim, runtime: SimRuntime) -> Self {
        Self { sim, runtime }
    }
}

impl AiGateway for SimAi {
    fn answer(&self, _: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let (call, words, end) = (self.sim.below(1 << 40), self.sim.below(8), self.sim.below(100));
        let gap = if self.sim.chance(400) { 1500 } else { 60 };
        let script = Script { ai: self.clone(), call, said: 0, words, gap, end };
        unfold(Some(script), |script| async move { script?.next().await }).boxed()
    }
}

impl Script {
    async fn next(mut self) -> Option<(Result<AiChunk, AiError>, Option<Self>)> {
        self.ai.runtime.sleep(self.ai.sim.millis(0, self.gap)).await;
        if self.said < self.words {
            self.said += 1;
            let word = AiChunk::Text(format!("{:x}:{}é ", self.call, self.said));
            return Some((Ok(word), Some(self)));
        }
        match self.end {
            0..5 => Some((Err(AiError::Failed("broken".into())), None)),
            5..8 => None,
            8..10 => {
                self.ai.runtime.sleep(Duration::from_secs(1000)).await;
                None
            }
            _ => Some((Ok(AiChunk::Done(AiReply::default())), None)),
        }
    }
}

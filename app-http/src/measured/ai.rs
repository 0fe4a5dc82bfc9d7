//! An AI whose answers are measured.

use super::{AI_FIRST_SECONDS, AI_SECONDS};
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use metrics::histogram;
use std::sync::Arc;
use std::time::Duration;

/// An AI whose answers are measured.
#[derive(Debug)]
pub(crate) struct MeasuredAi {
    ai: Arc<dyn AiGateway>,
    runtime: Arc<dyn Runtime>,
}

impl MeasuredAi {
    /// The same AI.
    pub(crate) fn new(ai: Arc<dyn AiGateway>, runtime: Arc<dyn Runtime>) -> Self {
        Self { ai, runtime }
    }
}

impl AiGateway for MeasuredAi {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let runtime = self.runtime.clone();
        let mut asked = Asked { start: runtime.elapsed(), runtime, is_first: true, is_over: false };
        self.ai.answer(prompt).inspect(move |chunk| asked.gave(chunk)).boxed()
    }
}

/// A call of an AI. Where it is dropped before its end, as when a turn is stopped, that is its outcome.
struct Asked {
    runtime: Arc<dyn Runtime>,
    start: Duration,
    is_first: bool,
    is_over: bool,
}

impl Asked {
    fn gave(&mut self, chunk: &Result<AiChunk, AiError>) {
        match chunk {
            Ok(AiChunk::Text(_)) if std::mem::take(&mut self.is_first) => {
                histogram!(AI_FIRST_SECONDS).record(self.took().as_secs_f64());
            }
            Ok(AiChunk::Text(_)) => {}
            Ok(AiChunk::Done(_)) => self.end("answered"),
            Err(AiError::Refused(_)) => self.end("refused"),
            Err(AiError::Failed(_)) => self.end("failed"),
            Err(AiError::Unasked(_)) => self.end("unasked"),
        }
    }

    fn end(&mut self, outcome: &'static str) {
        self.is_over = true;
        histogram!(AI_SECONDS, "outcome" => outcome).record(self.took().as_secs_f64());
    }

    fn took(&self) -> Duration {
        self.runtime.elapsed().saturating_sub(self.start)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_over {
            self.end("dropped");
        }
    }
}

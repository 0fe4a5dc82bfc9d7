//! How AI services are spoken to: each format is a module that writes a question and reads an answer.

mod native;

use crate::error::Failure;
use chatcore::port::{AiChunk, Prompt};
use futures_util::stream::BoxStream;
use reqwest::Response;

/// How an AI service is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// One JSON object there, one back: `{message, session_id, user_id, chat_history}` is answered by
    /// `{response, products?, intent?, confidence?}`.
    #[default]
    Native,
}

impl Wire {
    /// The body of the request.
    pub(crate) fn question(self, prompt: &Prompt, send_context: bool) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Native => native::question(prompt, send_context),
        }
    }

    /// The answer as it comes in.
    pub(crate) fn answer(self, response: Response, max_body: usize) -> BoxStream<'static, Result<AiChunk, Failure>> {
        match self {
            Self::Native => native::answer(response, max_body),
        }
    }
}

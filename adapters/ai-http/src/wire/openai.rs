//! OpenAI's chat completions, as OpenAI and those who speak its format send them.

mod chunk;
#[cfg(test)]
mod tests;

use super::sse::{self, Event};
use super::{Asked, Chunks, Limits, Reading, Said, read, whole};
use crate::error::{Failure, Name};
use crate::tokens::{Spent, Tokens};
use chatcore::message::{AiReply, Role};
use chatcore::port::Prompt;
use chunk::Chunk;
use futures_util::TryFutureExt;
use futures_util::stream;
use reqwest::{Response, Url};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

const PATH: &str = "/chat/completions";
/// How much is read of what a service says beside a status that is no success.
const MAX_REFUSAL: usize = 64 * 1024;
/// Ends a stream, where a service sends it.
const END: &str = "[DONE]";

/// What is asked for in OpenAI's format.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenAi {
    /// The model, as the service calls it.
    pub model: String,
    /// What the model is told before all questions.
    pub system_prompt: Option<String>,
}

impl OpenAi {
    /// A model that is told nothing beside the questions.
    #[must_use]
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), system_prompt: None }
    }
}

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    messages: Vec<Line<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    role: &'a str,
    content: &'a str,
}

/// An address that ends so already is taken as it is.
pub(super) fn address(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    if !path.ends_with(PATH) {
        let path = format!("{path}{PATH}");
        url.set_path(&path);
    }
    url
}

pub(super) fn question(openai: &OpenAi, prompt: &Prompt, asked: Asked) -> serde_json::Result<Vec<u8>> {
    let system = openai.system_prompt.iter().map(|content| Line { role: "system", content });
    // Products alone can be an answer, but not one that a model could read.
    let told = prompt.history.iter().filter(|message| asked.context && !message.content.is_empty());
    let history = told.map(|message| Line { role: message.role.as_str(), content: &message.content });
    let messages = system.chain(history).chain([Line { role: Role::User.as_str(), content: &prompt.text }]).collect();
    let stream_options = (asked.stream && asked.usage).then_some(StreamOptions { include_usage: true });
    serde_json::to_vec(&Question { model: &openai.model, messages, stream: asked.stream, stream_options })
}

/// Some services answer in one piece although they were asked for several. That is one event, and the end.
pub(super) fn answer(response: Response, limits: Limits, spent: Arc<Spent>) -> Chunks {
    let completion = Completion { spent, ..Completion::default() };
    if sse::is_stream(&response) {
        return read(sse::of(response, limits.bytes), limits, completion);
    }
    let event = |data| Ok(Event { name: String::new(), data });
    let events = whole(response, limits.bytes).map_ok(move |all| stream::iter([all, END.into()].map(event)));
    read(events.try_flatten_stream(), limits, completion)
}

/// Its status and what it calls the fault. A service that does not know `stream_options` names them.
pub(super) async fn refusal(mut response: Response) -> Failure {
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_REFUSAL {
            break;
        }
    }
    if matches!(status, 400 | 422) && String::from_utf8_lossy(&body).contains("stream_options") {
        return Failure::NoUsage(status);
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    Failure::Status(status, Name::of(fault(&body)))
}

/// Services differ in whether the fault is a member or all of it.
fn fault(body: &Value) -> &Value {
    body.get("error").unwrap_or(body)
}

/// Some services have the member in each event, and nothing in it where all is well.
fn says_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) => true,
    }
}

/// An answer, as far as it was read.
#[derive(Default)]
struct Completion {
    spent: Arc<Spent>,
    finish: Option<String>,
    has_choice: bool,
    has_text: bool,
    /// The last that came was a reason to end and no text, after some text.
    is_ended: bool,
    tokens: Option<Tokens>,
}

impl Reading for Completion {
    fn event(&mut self, event: Event) -> Result<Said, Failure> {
        if event.data.starts_with(END) {
            return self.finished();
        }
        if event.name == "error" {
            return Err(Failure::reported(fault(&serde_json::from_str(&event.data).unwrap_or_default())));
        }
        self.take(Chunk::parse(&event.data)?)
    }

    /// Not every service says `[DONE]` after the reason, nor ends the connection. But some tell a reason with each piece, or long
    /// before the first.
    fn is_whole(&self) -> bool {
        self.is_ended
    }

    fn over(&mut self, why: Failure) -> Result<Said, Failure> {
        match why {
            Failure::Early if self.finish.is_some() => self.finished(),
            Failure::Broken(_) | Failure::Late(_) if self.is_whole() => self.finished(),
            why => Err(why),
        }
    }
}

impl Completion {
    fn take(&mut self, chunk: Chunk) -> Result<Said, Failure> {
        if let Some(error) = chunk.error.as_ref().filter(|error| says_something(error)) {
            return Err(Failure::reported(error));
        }
        // Where each chunk has a count, it is that of all so far.
        self.tokens = chunk.tokens().or(self.tokens);
        let Some(choice) = chunk.choice() else { return Ok(Said::default()) };
        self.has_choice = true;
        let reason = choice.finish_reason.filter(|reason| !reason.is_empty());
        let is_reason = reason.is_some();
        // Where there are pieces, a message beside or between them is what they came to so far; a piece of nothing is none.
        let had_text = self.has_text;
        let piece = choice.delta.map(chunk::Delta::text).filter(|text| !text.is_empty());
        let whole = || choice.message.filter(|_| !had_text).map(chunk::Delta::text).filter(|text| !text.is_empty());
        let text = piece.or_else(whole);
        self.has_text |= text.is_some();
        self.is_ended = is_reason && had_text && text.is_none();
        // A reason with text behind it was none.
        self.finish = reason.or(self.finish.take().filter(|_| text.is_none()));
        Ok(Said::text(text.unwrap_or_default()))
    }

    fn finished(&mut self) -> Result<Said, Failure> {
        self.spent.add(self.tokens.take().unwrap_or_default());
        match self.finish.as_deref() {
            None if !self.has_choice => Err(Failure::Malformed("it has no choice".into())),
            Some("content_filter") => Err(Failure::Filtered),
            Some("tool_calls" | "function_call") => Err(Failure::Tool),
            Some(reason @ ("error" | "abort" | "insufficient_system_resource")) => {
                Err(Failure::reported(&serde_json::json!({ "code": reason })))
            }
            reason => {
                if reason == Some("length") {
                    tracing::info!("the AI's answer ends where its limit of tokens is");
                }
                Ok(Said { text: String::new(), done: Some(AiReply::default()) })
            }
        }
    }
}

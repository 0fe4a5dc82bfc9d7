//! The native contract: one JSON object as the question, one as the answer, or its text in pieces and then the rest.

use super::sse::{self, Event};
use super::{Chunks, Limits, Reading, Said, read, whole};
use crate::error::Failure;
use chatcore::id::{SessionId, UserId};
use chatcore::message::{AiReply, Message, Products, Role};
use chatcore::port::Prompt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How deep an answer may be nested. Many parsers stop at 127, and histories and events wrap it a few times more.
const MAX_DEPTH: usize = 120;

#[derive(Serialize)]
struct Question<'a> {
    message: &'a str,
    session_id: SessionId,
    #[serde(flatten)]
    context: Option<Context<'a>>,
}

#[derive(Serialize)]
struct Context<'a> {
    user_id: Option<&'a UserId>,
    chat_history: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    role: Role,
    content: &'a str,
}

impl<'a> From<&'a Message> for Line<'a> {
    fn from(message: &'a Message) -> Self {
        Self { role: message.role, content: &message.content }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    response: Option<String>,
    #[serde(borrow)]
    products: Option<&'a RawValue>,
    intent: Option<String>,
    confidence: Option<f64>,
}

#[derive(Deserialize)]
struct Delta {
    text: String,
}

pub(super) fn question(prompt: &Prompt, send_context: bool) -> serde_json::Result<Vec<u8>> {
    let context = send_context.then(|| Context {
        user_id: prompt.owner.user_id(),
        chat_history: prompt.history.iter().map(Line::from).collect(),
    });
    serde_json::to_vec(&Question { message: &prompt.text, session_id: prompt.turn.session, context })
}

pub(super) fn answer(response: Response, limits: Limits) -> Chunks {
    if sse::is_stream(&response) {
        return read(sse::of(response, limits.bytes), limits, Pieces::default());
    }
    let said = async move {
        let (text, reply) = parse(&whole(response, limits.bytes).await?)?;
        let text = text.ok_or_else(|| Failure::Malformed("no text".into()))?;
        Ok(Said { text, done: Some(reply) }.chunks())
    };
    stream::once(said).try_flatten().boxed()
}

/// The text so far.
#[derive(Default)]
struct Pieces(String);

impl Reading for Pieces {
    fn event(&mut self, event: Event) -> Result<Said, Failure> {
        match event.name.as_str() {
            "delta" => {
                let Delta { text } = serde_json::from_str(&event.data).map_err(|error| Failure::of_json(&error))?;
                self.0.push_str(&text);
                Ok(Said::text(text))
            }
            "done" => {
                let (all, reply) = parse(&event.data)?;
                // A service may say the whole text once more, and so what is missing of it.
                let rest = all.as_deref().map_or(Some(""), |all| all.strip_prefix(self.0.as_str()));
                let rest = rest.ok_or_else(|| Failure::Malformed("its text is not that of its pieces".into()))?;
                Ok(Said { text: rest.into(), done: Some(reply) })
            }
            "error" => Err(Failure::reported(&serde_json::from_str(&event.data).unwrap_or_default())),
            _ => Ok(Said::default()),
        }
    }

    fn over(&mut self, why: Failure) -> Result<Said, Failure> {
        Err(why)
    }
}

fn parse(body: &str) -> Result<(Option<String>, AiReply), Failure> {
    if is_deeper_than(MAX_DEPTH, body) {
        return Err(Failure::TooDeep(MAX_DEPTH));
    }
    // serde would take an array as well, member by member.
    if !body.trim_start().starts_with('{') {
        return Err(Failure::Malformed("not an object".into()));
    }
    let Answer { response, products, intent, confidence } =
        serde_json::from_str(body).map_err(|error| Failure::of_json(&error))?;
    let products = products.map_or(Ok(Products::default()), |raw| Products::from_json(raw.get()));
    let products = products.map_err(|invalid| Failure::Malformed(invalid.to_string()))?;
    Ok((response, AiReply { products, intent, confidence }))
}

/// Looks before any parser does, since serde skips over unknown members however deep they are.
fn is_deeper_than(max: usize, json: &str) -> bool {
    let (mut depth, mut inside, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            b'[' | b'{' if !inside => depth += 1,
            b']' | b'}' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return true;
        }
    }
    false
}

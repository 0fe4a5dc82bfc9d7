//! The native contract: one JSON object as the question, one as the answer.

use crate::error::Failure;
use chatcore::id::{SessionId, UserId};
use chatcore::message::{AiReply, Message, Products, Role};
use chatcore::port::{AiChunk, Prompt};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
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
    response: String,
    #[serde(borrow)]
    products: Option<&'a RawValue>,
    intent: Option<String>,
    confidence: Option<f64>,
}

pub(super) fn question(prompt: &Prompt, send_context: bool) -> serde_json::Result<Vec<u8>> {
    let context = send_context.then(|| Context {
        user_id: prompt.owner.user_id(),
        chat_history: prompt.history.iter().map(Line::from).collect(),
    });
    serde_json::to_vec(&Question { message: &prompt.text, session_id: prompt.turn.session, context })
}

pub(super) fn answer(response: Response, max_body: usize) -> BoxStream<'static, Result<AiChunk, Failure>> {
    let read = async move {
        let (text, reply) = parse(&body(response, max_body).await?)?;
        // No text is no chunk: the core then has nothing to show, and says so.
        let text = Some(text).filter(|text| !text.is_empty()).map(AiChunk::Text);
        Ok(stream::iter(text.into_iter().chain([AiChunk::Done(reply)]).map(Ok)))
    };
    stream::once(read).try_flatten().boxed()
}

/// Counts while it reads, after decompression, so that a small body which grows is cut off as well.
async fn body(mut response: Response, max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Failure::of_body)? {
        if piece.len() > max - body.len() {
            return Err(Failure::TooLarge(max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn parse(body: &[u8]) -> Result<(String, AiReply), Failure> {
    let body = std::str::from_utf8(body).map_err(|_| Failure::Malformed("not UTF-8".into()))?;
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

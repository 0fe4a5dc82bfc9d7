//! Who answers.

use app_kit::settings::parse::{self, Parsed};
use app_kit::settings::{Reader, Secret, table as t};
use std::time::Duration;

/// Who answers.
#[derive(Debug, Clone)]
pub struct Ai {
    /// Which kind.
    pub kind: AiKind,
    /// The address of the service, in which some want a key; always there where the kind needs one.
    pub url: Option<Secret>,
    /// The key of the service.
    pub key: Option<Secret>,
    /// The model; always there where the kind needs one.
    pub model: Option<String>,
    /// What a model is told before all messages.
    pub system_prompt: Option<String>,
    /// Whether answers may come in pieces.
    pub stream: bool,
    /// How long one answer may take, from the question to its last word.
    pub timeout: Duration,
    /// What stands in for an answer.
    pub fallback: String,
    /// Whether user and history go along.
    pub send_context: bool,
    /// How long the demo thinks.
    pub demo_delay: Duration,
    /// Whether `AI` says which kind, rather than what else is given.
    pub is_chosen: bool,
}

/// Kinds of AIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AiKind {
    /// A shop assistant over a few dozen products, built in.
    Demo,
    /// A service that speaks our own contract.
    Native,
    /// A service of models that speaks OpenAI's format.
    OpenAi,
}

impl Ai {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let (url, key) = (reader.optional(&t::AI_API_URL, url), reader.optional(&t::AI_API_KEY, key));
        let default = if matches!(url, Some(None)) { "demo" } else { "native" };
        let kind = reader.get_or(&t::AI, default, ai_kind);
        let (model, system_prompt) =
            (reader.optional(&t::AI_MODEL, parse::text), reader.optional(&t::AI_SYSTEM_PROMPT, parse::text));
        let stream = reader.get(&t::AI_STREAM, parse::boolean);
        let (named, needed): (_, &[_]) = match kind {
            Some(AiKind::Native) => ("native", &[(&t::AI_API_URL, url == Some(None))]),
            Some(AiKind::OpenAi) => {
                ("openai", &[(&t::AI_API_URL, url == Some(None)), (&t::AI_MODEL, model == Some(None))])
            }
            Some(AiKind::Demo) | None => ("demo", &[]),
        };
        for (missing, _) in needed.iter().filter(|(_, is_missing)| *is_missing) {
            reader.fault(missing, format!("is missing; AI={named} needs it"));
        }
        let is_chosen = reader.is_given(&t::AI);
        let (ignored, rule): (&[&'static t::Spec], _) = match kind {
            // Who gives one of these means a service: its address was forgotten, or its name is misspelt.
            Some(AiKind::Demo) => (
                &[&t::AI_API_KEY, &t::AI_MODEL, &t::AI_SYSTEM_PROMPT],
                "is given without AI_API_URL: the demo AI would answer; AI=demo if that is meant",
            ),
            Some(AiKind::Native) => (
                &[&t::AI_MODEL, &t::AI_SYSTEM_PROMPT],
                "is for AI=openai, which is not set; AI=native if that is meant",
            ),
            Some(AiKind::OpenAi) | None => (&[], ""),
        };
        for spec in ignored.iter().filter(|_| !is_chosen) {
            if reader.is_given(spec) {
                reader.fault(spec, rule);
            }
        }
        let (timeout, fallback) =
            (reader.get(&t::AI_TIMEOUT, parse::some_time), reader.get(&t::AI_FALLBACK_MESSAGE, parse::text));
        let send_context = reader.get(&t::AI_SEND_CONTEXT, parse::boolean);
        let demo_delay = reader.get(&t::AI_DEMO_DELAY, parse::duration);
        Some(Self {
            kind: kind?,
            url: url?,
            key: key?,
            model: model?,
            system_prompt: system_prompt?,
            stream: stream?,
            timeout: timeout?,
            fallback: fallback?,
            send_context: send_context?,
            demo_delay: demo_delay?,
            is_chosen,
        })
    }

    pub(super) fn warning(&self, debug: bool) -> Option<String> {
        let is_forgotten = !debug && self.kind == AiKind::Demo && !self.is_chosen;
        is_forgotten.then(|| "the demo AI makes up all answers: set AI_API_URL, or AI=demo if that is meant".to_owned())
    }
}

fn ai_kind(text: &str) -> Parsed<AiKind> {
    match text.to_lowercase().as_str() {
        "demo" => Ok(AiKind::Demo),
        "native" => Ok(AiKind::Native),
        "openai" => Ok(AiKind::OpenAi),
        _ => Err("demo, native or openai"),
    }
}

/// As it can be sent in a header.
fn key(text: &str) -> Parsed<Secret> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible { Ok(Secret::new(text)) } else { Err("visible ASCII characters alone, without spaces and line ends") }
}

/// The adapter looks closer; this much can be told with all other faults.
fn url(text: &str) -> Parsed<Secret> {
    let rule = "a URL like https://ai.example/chat, without user and password";
    let uri: actix_web::http::Uri = text.parse().map_err(|_| rule)?;
    let good = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    let names_nobody = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if good && names_nobody { Ok(Secret::new(text)) } else { Err(rule) }
}

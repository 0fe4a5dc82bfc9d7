//! A chunk of an answer, or all of it: what is read of it. Any member may be null or missing, and there may be others.

use crate::error::Failure;
use crate::tokens::Tokens;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Chunk {
    choices: Option<Vec<Choice>>,
    /// Nothing is lost to anybody where a count is odd.
    usage: Option<Value>,
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    index: Option<u64>,
    pub(super) delta: Option<Delta>,
    /// In an answer in one piece; some send it beside each delta, with the text so far.
    pub(super) message: Option<Delta>,
    pub(super) finish_reason: Option<String>,
}

/// What is thought, called or refused in it is not shown.
#[derive(Deserialize)]
pub(super) struct Delta {
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

impl Chunk {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        // serde would take an array as well, member by member.
        if !text.trim_start().starts_with('{') {
            return Err(Failure::Malformed("not an object".into()));
        }
        serde_json::from_str(text).map_err(|error| Failure::of_json(&error))
    }

    pub(super) fn tokens(&self) -> Option<Tokens> {
        let usage = self.usage.as_ref()?.as_object()?;
        let count = |of: &str| usage.get(of).and_then(Value::as_u64).unwrap_or_default();
        Some(Tokens { prompt: count("prompt_tokens"), completion: count("completion_tokens") })
    }

    /// One was asked for, so there is one, or none in a chunk of something else.
    pub(super) fn choice(self) -> Option<Choice> {
        self.choices?.into_iter().find(|choice| choice.index.unwrap_or_default() == 0)
    }
}

impl Delta {
    pub(super) fn text(self) -> String {
        match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                parts.into_iter().filter(|part| part.r#type == "text").filter_map(|part| part.text).collect()
            }
        }
    }
}

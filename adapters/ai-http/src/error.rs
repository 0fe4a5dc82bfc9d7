//! What can go wrong. No text here holds words of a user, of the AI, or a secret: at most places, sizes and states.

use chatcore::port::AiError;
use serde_json::Value;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The longest word of a fault that is passed on.
const MAX_NAME: usize = 64;
/// What services call faults of the one question, by number or by name.
const REFUSALS: [&str; 6] = ["400", "413", "422", "content_filter", "context_length_exceeded", "invalid_request_error"];

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The address; with what it must be.
    #[error("the address of the AI must be {0}")]
    Url(&'static str),
    /// The key has characters that no header can carry.
    #[error("the key of the AI must be visible ASCII characters")]
    ApiKey,
    /// TLS could not be set up, for want of the system's certificates for example.
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the AI could not be asked: the request could not be written")]
    Request,
    #[error("the AI could not be reached: {0}")]
    Connect(String),
    #[error("the connection to the AI broke: {0}")]
    Broken(String),
    #[error("the AI answered with status {0}{1}")]
    Status(u16, Name),
    #[error("the AI answered with status {0}, for it counts no tokens")]
    NoUsage(u16),
    #[error("the AI reports a fault{name}")]
    Reported { name: Name, is_refusal: bool },
    #[error("the AI's answer was cut off by a filter")]
    Filtered,
    #[error("the AI's answer ends too early")]
    Early,
    #[error("the AI's answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the AI's answer is nested deeper than {0} levels")]
    TooDeep(usize),
    #[error("the AI's answer is malformed: {0}")]
    Malformed(String),
    #[error("the AI calls a tool, and none was offered")]
    Tool,
    #[error("the AI did not answer within {0:?}")]
    Late(Duration),
    #[error("the AI's answer takes longer than {0:?}")]
    TooLong(Duration),
}

impl Failure {
    /// A call that failed before its answer was read.
    pub(crate) fn of_call(error: reqwest::Error) -> Self {
        if error.is_connect() { Self::Connect(causes(error)) } else { Self::Broken(causes(error)) }
    }

    /// A connection that failed while the answer was read.
    pub(crate) fn of_body(error: reqwest::Error) -> Self {
        Self::Broken(causes(error))
    }

    /// What a service reports in place of an answer, or of the rest of one.
    pub(crate) fn reported(fault: &Value) -> Self {
        let is_refusal = told(fault).any(|told| REFUSALS.contains(&told.as_str()));
        Self::Reported { name: Name::of(fault), is_refusal }
    }

    /// The kind and the place only: serde's own words quote what it read.
    pub(crate) fn of_json(error: &serde_json::Error) -> Self {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "not the members that were agreed",
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "no JSON",
        };
        Self::Malformed(format!("{kind} (line {}, column {})", error.line(), error.column()))
    }
}

impl From<Failure> for AiError {
    /// Where only the one question is not answered: a status by which a service refuses it, an answer of another kind, or one that
    /// is too long. By all others the service is itself at fault, or we are.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Status(400 | 413 | 422, _)
            | Failure::NoUsage(_)
            | Failure::Filtered
            | Failure::Tool
            | Failure::TooLong(_)
            | Failure::Reported { is_refusal: true, .. } => Self::Refused(failure.to_string()),
            _ => Self::Failed(failure.to_string()),
        }
    }
}

/// What a service calls a fault: words and numbers. Anything else could be a text of somebody, and is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Name(Vec<String>);

impl Name {
    pub(crate) fn of(fault: &Value) -> Self {
        let is_name = |told: &String| {
            (1..=MAX_NAME).contains(&told.len())
                && told.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        Self(told(fault).filter(is_name).collect())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0.join(", ")) }
    }
}

/// What a fault is called by: a problem's members, or those of OpenAI's errors.
fn told(fault: &Value) -> impl Iterator<Item = String> {
    ["code", "type", "status"].into_iter().filter_map(|member| match fault.get(member)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// The error and its causes in one line, without the address, whose path or query may hold a key.
pub(crate) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

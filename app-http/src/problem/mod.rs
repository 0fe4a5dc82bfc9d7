//! What went wrong, as `application/problem+json` (RFC 9457): the only shape of an error that this program gives.
//!
//! `detail` is a plain string at top level, `code` is stable and for programs, `errors` points to the faulty members.

mod from;
mod kind;

pub use kind::Kind;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use chatcore::id::{MessageId, SessionId};
use chatcore::turn::TurnId;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Something that went wrong with a request.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldFault>,
    turn: Option<TurnId>,
    retry: Option<Duration>,
    /// The policy of `RateLimit-Policy` that it violates.
    policy: Option<&'static str>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// What is wrong with it.
    pub detail: Cow<'static, str>,
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
}

/// Where a part of a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the body: a JSON pointer behind `#`.
    Pointer(String),
    /// In the path or the query: its name.
    Parameter(&'static str),
    /// Among the headers: its name.
    Header(&'static str),
}

impl Problem {
    /// A problem that says what its kind says.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, detail: kind.detail().into(), errors: Vec::new(), turn: None, retry: kind.retry(), policy: None }
    }

    /// Faults of parts of the request; at least one.
    #[must_use]
    pub fn faults(errors: Vec<FieldFault>) -> Self {
        let details: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Self { detail: details.join("; ").into(), errors, ..Self::new(Kind::ValidationFailed) }
    }

    /// A fault of one part of the request.
    #[must_use]
    pub fn fault(place: Place, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::faults(vec![FieldFault { detail: detail.into(), place }])
    }

    /// What the framework would have said with a bare status.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        Self::new(match status {
            StatusCode::NOT_FOUND => Kind::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Kind::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Kind::BodyTooLarge,
            status if status.is_client_error() => Kind::MalformedRequest,
            _ => Kind::Internal,
        })
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same, in other words.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The same, naming the turn that it is about.
    #[must_use]
    pub fn with_turn(self, turn: Option<TurnId>) -> Self {
        Self { turn, ..self }
    }

    /// The same, to be tried again after this time.
    #[must_use]
    pub fn with_retry(self, after: Duration) -> Self {
        Self { retry: Some(after), ..self }
    }

    /// The same, naming the policy that allows no more.
    #[must_use]
    pub fn with_policy(self, name: &'static str) -> Self {
        Self { policy: Some(name), ..self }
    }

    /// Makes this the answer whose status and headers are given; other headers of it stay. Gives the body.
    pub fn write(&self, status: &mut StatusCode, headers: &mut HeaderMap) -> BoxBody {
        *status = self.kind.status();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if *status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64));
            headers.insert(HeaderName::from_static("retry-after-ms"), HeaderValue::from(after.as_millis() as u64));
        }
        BoxBody::new(serde_json::to_string(self).unwrap_or_default())
    }

    fn body(&self) -> Body<'_> {
        Body {
            r#type: self.kind.uri(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            code: self.kind.code(),
            errors: &self.errors,
            policies: self.policy.as_slice(),
            message_id: self.turn.map(|turn| turn.message),
            session_id: self.turn.map(|turn| turn.session),
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldFault],
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    policies: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body().serialize(serializer)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.kind.status());
        let mut status = response.status();
        let body = self.write(&mut status, response.headers_mut());
        response.set_body(body)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Pointer(pointer) if pointer == "#" => write!(f, "the body {}", self.detail),
            Place::Pointer(pointer) => write!(f, "{} {}", pointer.trim_start_matches("#/"), self.detail),
            Place::Parameter(name) | Place::Header(name) => write!(f, "{name} {}", self.detail),
        }
    }
}

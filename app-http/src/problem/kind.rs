//! The kinds of problems: a closed list, which the API's document repeats.

use actix_web::http::StatusCode;
use std::time::Duration;

/// A kind of problem. Its code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is explained by its row in the table below")]
pub enum Kind {
    MalformedRequest,
    MalformedJson,
    NotAuthenticated,
    InvalidToken,
    TokenExpired,
    WrongCredentials,
    UserIdMismatch,
    AccessDenied,
    NotFound,
    SessionNotFound,
    TurnNotFound,
    MethodNotAllowed,
    RequestTimeout,
    TurnInProgress,
    SessionFull,
    TooManySessions,
    BodyTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
    IdempotencyKeyReused,
    QuotaExceeded,
    TooManyLogins,
    TooManyStreams,
    Internal,
    StoreUnavailable,
    OutboxFull,
    Overloaded,
    Stopping,
}

/// Status, code, title, and what is said where there is nothing more to say.
type Row = (u16, &'static str, &'static str, &'static str);

impl Kind {
    /// As programs tell it.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// Its name on the web: that of draft-ietf-httpapi-ratelimit-headers where that has one.
    #[must_use]
    pub fn uri(self) -> String {
        const REGISTRY: &str = "https://iana.org/assignments/http-problem-types";
        match self {
            Self::QuotaExceeded => format!("{REGISTRY}#quota-exceeded"),
            Self::Overloaded => format!("{REGISTRY}#temporary-reduced-capacity"),
            other => format!("urn:chatcore:problem:{}", other.code()),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A few words, always the same.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// What is said where there is nothing more to say.
    #[must_use]
    pub fn detail(self) -> &'static str {
        self.row().3
    }

    /// When to try again, where waiting helps and nothing better is known.
    #[must_use]
    pub fn retry(self) -> Option<Duration> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1))
    }

    fn row(self) -> Row {
        match self {
            Self::MalformedRequest => (400, "malformed_request", "Malformed request", "The request is malformed"),
            Self::MalformedJson => (400, "malformed_json", "Malformed JSON", "The body is not JSON"),
            Self::NotAuthenticated => (401, "not_authenticated", "Not authenticated", "Not authenticated"),
            Self::InvalidToken => (401, "invalid_token", "Invalid token", "The token is not valid"),
            Self::TokenExpired => (401, "token_expired", "Token expired", "The token has expired"),
            Self::WrongCredentials => (401, "wrong_credentials", "Wrong credentials", "Incorrect username or password"),
            Self::UserIdMismatch => (403, "user_id_mismatch", "User ID mismatch", "User ID mismatch"),
            Self::AccessDenied => (403, "access_denied", "Access denied", "Access denied"),
            Self::NotFound => (404, "not_found", "Not found", "Not Found"),
            Self::SessionNotFound => (404, "session_not_found", "Session not found", "Session not found"),
            Self::TurnNotFound => (404, "turn_not_found", "Turn not found", "Turn not found"),
            Self::MethodNotAllowed => (405, "method_not_allowed", "Method not allowed", "Method Not Allowed"),
            Self::RequestTimeout => (408, "request_timeout", "Request timeout", "The body did not come in time"),
            Self::TurnInProgress => {
                (409, "turn_in_progress", "Turn in progress", "A message of this session is being answered")
            }
            Self::SessionFull => (409, "session_full", "Session full", "The session holds as many messages as it may"),
            Self::TooManySessions => {
                (409, "too_many_sessions", "Too many sessions", "You have as many sessions as one may have")
            }
            Self::BodyTooLarge => (413, "body_too_large", "Body too large", "The body is too large"),
            Self::UnsupportedMediaType => {
                (415, "unsupported_media_type", "Unsupported media type", "The body must be application/json")
            }
            Self::ValidationFailed => (422, "validation_failed", "Validation failed", "The request is not valid"),
            Self::IdempotencyKeyReused => {
                let detail = "The idempotency key was used for another message";
                (422, "idempotency_key_reused", "Idempotency key reused", detail)
            }
            Self::QuotaExceeded => (429, "quota_exceeded", "Quota exceeded", "Too many messages"),
            Self::TooManyLogins => (429, "too_many_logins", "Too many logins", "Too many wrong passwords"),
            Self::TooManyStreams => {
                (429, "too_many_streams", "Too many streams", "You read as many streams at once as one may")
            }
            Self::Internal => (500, "internal_error", "Internal error", "Something went wrong here"),
            Self::StoreUnavailable => {
                (503, "store_unavailable", "Store unavailable", "The store is not available; try again")
            }
            Self::OutboxFull => {
                (503, "outbox_full", "Outbox full", "Too many events wait for the bus; try again later")
            }
            Self::Overloaded => (503, "overloaded", "Overloaded", "Too much is asked at once; try again"),
            Self::Stopping => (503, "stopping", "Stopping", "The server is stopping; try again"),
        }
    }
}

//! What the core says, as problems.

use super::{Kind, Place, Problem};
use crate::rate_limit::{ADDRESS, CHAT};
use chatcore::ChatError;
use chatcore::chat::InvalidMessage;
use chatcore::error::{AccessError, BackendError};
use chatcore::guests::GuestError;
use chatcore::login::LoginError;
use chatcore::port::TokenError;
use chatcore::turn::Refusal;
use std::time::Duration;

impl From<ChatError> for Problem {
    fn from(error: ChatError) -> Self {
        let turn = error.turn();
        let problem = match error {
            ChatError::Invalid(invalid) => Self::from(invalid),
            ChatError::Refused(refusal) => Self::from(refusal),
            ChatError::Running { .. } => in_progress(),
            ChatError::Unavailable { source: Some(error), .. } => Self::from(error),
            ChatError::Gone => Self::new(Kind::SessionNotFound),
            ChatError::Overloaded => Self::new(Kind::Overloaded),
            ChatError::Stopping { .. } => Self::new(Kind::Stopping),
            // The store is still being asked; the key will tell.
            _ => Self::new(Kind::StoreUnavailable),
        };
        problem.with_turn(turn)
    }
}

impl From<InvalidMessage> for Problem {
    fn from(invalid: InvalidMessage) -> Self {
        let detail = match invalid {
            InvalidMessage::Empty => "must not be empty".into(),
            InvalidMessage::Nul => "must not hold the character U+0000".into(),
            InvalidMessage::TooLong { max } => format!("must be at most {max} bytes long"),
            other => other.to_string(),
        };
        Self::fault(Place::Pointer("#/message".into()), detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy { .. } => in_progress(),
            Refusal::KeyReused => Self::new(Kind::IdempotencyKeyReused),
            Refusal::NotFound => Self::new(Kind::SessionNotFound),
            Refusal::NotYours => Self::new(Kind::AccessDenied),
            Refusal::SessionFull => Self::new(Kind::SessionFull),
            Refusal::TooManySessions => Self::new(Kind::TooManySessions),
            Refusal::Throttled { retry_after } => exceeded(CHAT, retry_after),
            Refusal::Overloaded => Self::new(Kind::OutboxFull),
            _ => Self::new(Kind::Overloaded),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NotYours => Self::new(Kind::AccessDenied),
            AccessError::Backend(error) => Self::from(error),
            _ => Self::new(Kind::SessionNotFound),
        }
    }
}

impl From<GuestError> for Problem {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::Throttled { retry_after } => exceeded(ADDRESS, retry_after),
            GuestError::Backend(error) => Self::from(error),
            GuestError::Chat(error) => Self::from(error),
            _ => Self::new(Kind::Overloaded),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::WrongCredentials => Self::new(Kind::WrongCredentials),
            LoginError::Throttled { retry_after } => Self::new(Kind::TooManyLogins).with_retry(retry_after),
            LoginError::Users(error) => {
                tracing::warn!(%error, source = %error.source, "a password could not be checked");
                Self::new(Kind::Overloaded)
            }
            LoginError::Backend(error) => Self::from(error),
            _ => Self::new(Kind::Overloaded),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        Self::new(if error == TokenError::Expired { Kind::TokenExpired } else { Kind::InvalidToken })
    }
}

/// What the technology said is for the log, not for the caller.
impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        tracing::warn!(%error, source = %error.source, "a request could not be served");
        Self::new(Kind::StoreUnavailable)
    }
}

fn exceeded(policy: &'static str, retry_after: Duration) -> Problem {
    Problem::new(Kind::QuotaExceeded).with_retry(retry_after).with_policy(policy)
}

/// The rest of the lease is no hint: turns are short. Some jitter keeps those who wait from coming back together.
#[expect(clippy::disallowed_methods, reason = "how long a client is asked to wait decides nothing here")]
fn in_progress() -> Problem {
    let jitter = getrandom::u32().unwrap_or_default() % 81;
    Problem::new(Kind::TurnInProgress).with_retry(Duration::from_millis(u64::from(20 + jitter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_log_in_for_now_is_told_nothing_of_messages() {
        let busy = LoginError::Users(BackendError::later("users", "too many logins at once"));
        let problem = Problem::from(busy);
        assert_eq!((problem.kind(), &*problem.to_string()), (Kind::Overloaded, "Too much is asked at once; try again"));
    }
}

//! Tokens: who somebody is, signed.

use crate::error::BackendError;
use crate::id::UserId;
use std::fmt::Debug;
use time::OffsetDateTime;

/// What a token says. Times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who.
    pub subject: UserId,
    /// Since when; not valid before.
    pub issued_at: OffsetDateTime,
    /// Until when; not valid from this instant on.
    pub expires_at: OffsetDateTime,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It was never ours, or was altered.
    #[error("the token is not valid")]
    Invalid,
}

/// Tokens: who somebody is, signed.
///
/// # Laws
/// - **an issued token is verified** to the claims that went in.
/// - **an altered token is invalid**, whichever byte was altered.
/// - **an expired token is expired** from `expires_at` on, and not valid before `issued_at`.
pub trait TokenIssuer: Debug + Send + Sync + 'static {
    /// Signs claims.
    ///
    /// # Errors
    /// The key cannot sign.
    fn issue(&self, claims: &Claims) -> Result<String, BackendError>;

    /// Reads a token back.
    ///
    /// # Errors
    /// It is not valid at `now`.
    fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, TokenError>;
}

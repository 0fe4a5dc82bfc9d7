//! The in-memory `TokenIssuer`: claims in plain text with a seal behind them.

use chatcore::error::BackendError;
use chatcore::id::UserId;
use chatcore::port::{Claims, TokenError, TokenIssuer};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use time::OffsetDateTime;

/// Issues tokens that any issuer of the same secret and the same build verifies. For tests and demos: the seal is a hash of
/// 64 bits, no cryptography. `Debug` does not show the secret.
#[derive(Clone)]
pub struct MemoryTokens {
    secret: String,
}

impl MemoryTokens {
    /// An issuer with this secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self { secret: secret.into() }
    }

    fn seal(&self, claims: &str) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.secret, claims, &self.secret).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The claims of a token whose seal is unbroken.
    fn open(&self, token: &str) -> Option<Claims> {
        let (claims, seal) = token.rsplit_once('.')?;
        if seal != self.seal(claims) {
            return None;
        }
        let mut parts = claims.splitn(3, '.');
        let mut time = || OffsetDateTime::from_unix_timestamp(parts.next()?.parse().ok()?).ok();
        let (issued_at, expires_at) = (time()?, time()?);
        let subject = UserId::parse(String::from_utf8(from_hex(parts.next()?)?).ok()?).ok()?;
        Some(Claims { subject, issued_at, expires_at })
    }
}

impl TokenIssuer for MemoryTokens {
    fn issue(&self, claims: &Claims) -> Result<String, BackendError> {
        let times = (claims.issued_at.unix_timestamp(), claims.expires_at.unix_timestamp());
        let text = format!("{}.{}.{}", times.0, times.1, to_hex(claims.subject.as_str().as_bytes()));
        Ok(format!("{text}.{}", self.seal(&text)))
    }

    fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, TokenError> {
        let claims = self.open(token).filter(|claims| claims.issued_at <= now).ok_or(TokenError::Invalid)?;
        if claims.expires_at <= now { Err(TokenError::Expired) } else { Ok(claims) }
    }
}

impl fmt::Debug for MemoryTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryTokens")
    }
}

/// A subject may hold any character; a token holds only those that fit into a header.
fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(byte).collect()
}

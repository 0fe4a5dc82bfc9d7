//! Tokens as JSON Web Tokens, signed with HMAC-SHA-256 and nothing else.

use chatcore::error::BackendError;
use chatcore::id::UserId;
use chatcore::port::{Claims, TokenError, TokenIssuer};
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use time::OffsetDateTime;
use zeroize::Zeroize;

/// The longest token that is looked at, in bytes. A longer one is refused before anything is computed.
const MAX_TOKEN: usize = 4096;

/// What tokens are signed with and what they say about their origin.
///
/// `Debug` does not show the secret, and the secret's memory is wiped when this is dropped.
pub struct JwtConfig {
    /// The key of the signature. It should hold at least 32 random bytes; whoever knows it can be anybody. With an empty
    /// one nothing is signed and nothing accepted.
    pub secret: Vec<u8>,
    /// The claim `iss`: written into each token, and asked of each. `None`: not written, and any is accepted.
    pub issuer: Option<String>,
    /// The claim `aud`: written into each token, and asked of each. `None`: not written, and a token that is meant for
    /// some audience is refused.
    pub audience: Option<String>,
}

impl fmt::Debug for JwtConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (issuer, audience) = (&self.issuer, &self.audience);
        f.debug_struct("JwtConfig").field("issuer", issuer).field("audience", audience).finish_non_exhaustive()
    }
}

impl Drop for JwtConfig {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Issues and verifies tokens.
///
/// A token carries `sub` (the user's id), `iat` and `nbf` (both `issued_at`) and `exp`, and `iss` and `aud` where they are
/// configured. Times are whole seconds; a fraction is cut off. Verifying is strict:
/// - The algorithm is HS256, whatever the header says. A header with anything beside `alg` and `typ: "JWT"` is refused, so
///   that no `kid`, `jwk`, `jku`, `x5u` or `crit` can mean something to anybody.
/// - `sub`, `nbf` and `exp` must be there, and `iss` and `aud` where they are configured. A claim of a wrong type is
///   refused, `null` too.
/// - There is no leeway: a token is good from `nbf` on, and no longer at `exp`. Time is the argument alone.
/// - A token of more than 4,096 bytes is refused unread.
///
/// ```
/// use chatcore::port::{Claims, TokenError, TokenIssuer};
/// use chatcore::id::UserId;
/// use chatcore_auth::{JwtConfig, JwtIssuer};
/// use time::{Duration, OffsetDateTime};
///
/// let issuer = JwtIssuer::new(JwtConfig { secret: vec![7; 32], issuer: None, audience: None });
/// let issued_at = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
/// let claims = Claims { subject: UserId::parse("user_123")?, issued_at, expires_at: issued_at + Duration::HOUR };
/// let token = issuer.issue(&claims)?;
/// assert_eq!(issuer.verify(&token, issued_at), Ok(claims));
/// assert_eq!(issuer.verify(&token, issued_at + Duration::HOUR), Err(TokenError::Expired));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct JwtIssuer {
    config: JwtConfig,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

impl JwtIssuer {
    /// An issuer with this key.
    #[must_use]
    pub fn new(config: JwtConfig) -> Self {
        // jsonwebtoken panics on first use where a program's crates ask for two providers and nobody chose one. An error
        // means that the program chose one itself, which is as good.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
        let (signing, verifying) = (EncodingKey::from_secret(&config.secret), DecodingKey::from_secret(&config.secret));
        let validation = validation(&config);
        Self { config, signing, verifying, validation }
    }
}

impl fmt::Debug for JwtIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtIssuer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl TokenIssuer for JwtIssuer {
    fn issue(&self, claims: &Claims) -> Result<String, BackendError> {
        let (iat, exp) = (claims.issued_at.unix_timestamp(), claims.expires_at.unix_timestamp());
        if self.config.secret.is_empty() || iat < 0 || exp < 0 {
            return Err(BackendError::never("jwt", "needs a secret, and times after 1970"));
        }
        let (iss, aud) = (self.config.issuer.as_deref(), self.config.audience.as_deref());
        let written = Written { sub: claims.subject.as_str(), iat, nbf: iat, exp, iss, aud };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &written, &self.signing)
            .map_err(|error| BackendError::never("jwt", error))?;
        match token.len() {
            ..=MAX_TOKEN => Ok(token),
            _ => Err(BackendError::never("jwt", "the token would be too long: shorten the issuer or the audience")),
        }
    }

    fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, TokenError> {
        let claims = self.read(token).ok_or(TokenError::Invalid)?;
        if now < claims.issued_at {
            Err(TokenError::Invalid)
        } else if now >= claims.expires_at {
            Err(TokenError::Expired)
        } else {
            Ok(claims)
        }
    }
}

impl JwtIssuer {
    /// What a token of ours says, whenever it is good.
    fn read(&self, token: &str) -> Option<Claims> {
        if self.config.secret.is_empty() || token.len() > MAX_TOKEN {
            return None;
        }
        let data = jsonwebtoken::decode::<Read>(token, &self.verifying, &self.validation).ok()?;
        let typ = data.header.typ.clone().filter(|typ| typ == "JWT");
        if data.header != (Header { typ, ..Header::new(Algorithm::HS256) }) {
            return None;
        }
        Some(Claims {
            subject: UserId::parse(data.claims.sub).ok()?,
            issued_at: OffsetDateTime::from_unix_timestamp(data.claims.nbf).ok()?,
            expires_at: OffsetDateTime::from_unix_timestamp(data.claims.exp).ok()?,
        })
    }
}

/// What jsonwebtoken checks: the algorithm, the signature, that claims are there, whose token it is and for whom. Not the
/// time: it would ask the system's clock.
fn validation(config: &JwtConfig) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let mut required = vec!["sub", "nbf", "exp"];
    if let Some(issuer) = &config.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    if let Some(audience) = &config.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}

#[derive(Serialize)]
struct Written<'a> {
    sub: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// The claims with their types; jsonwebtoken overlooks a wrong one where it does not need the claim.
#[derive(Deserialize)]
struct Read {
    sub: String,
    nbf: i64,
    exp: i64,
    #[serde(default, rename = "iat", deserialize_with = "not_null")]
    _iat: Option<i64>,
    #[serde(default, rename = "iss", deserialize_with = "not_null")]
    _iss: Option<String>,
    #[serde(default, rename = "aud", deserialize_with = "not_null")]
    _aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(#[expect(dead_code, reason = "read for its type alone")] String),
    Several(#[expect(dead_code, reason = "read for its type alone")] Vec<String>),
}

fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

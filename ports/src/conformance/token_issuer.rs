//! The laws of `TokenIssuer`.

use super::chat::user_id;
use super::law::laws;
use chatcore::port::{Claims, TokenError, TokenIssuer};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

laws! {
    $
    /// Makes one test of each law of [`TokenIssuer`](chatcore::port::TokenIssuer). Takes an async expression that
    /// gives a [`TokenHarness`](crate::conformance::TokenHarness), or an `Option` of one.
    token_issuer_laws, token_issuer, TokenHarness:
    an_issued_token_is_verified,
    an_altered_token_is_invalid,
    an_expired_token_is_expired,
}

/// An issuer, and a second one whose tokens the first must not accept.
#[derive(Debug, Clone)]
pub struct TokenHarness {
    /// The issuer.
    pub issuer: Arc<dyn TokenIssuer>,
    /// One of the same kind with another key.
    pub stranger: Arc<dyn TokenIssuer>,
}

/// 2026-01-01, and an hour of validity.
fn claims(subject: &str) -> Claims {
    let issued_at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    Claims { subject: user_id(subject), issued_at, expires_at: issued_at + Duration::from_secs(3600) }
}

fn issue(issuer: &Arc<dyn TokenIssuer>, claims: &Claims) -> String {
    issuer.issue(claims).expect("the key can sign")
}

/// To the claims that went in, whatever the subject looks like; and every token is told from every other's.
pub async fn an_issued_token_is_verified(harness: &TokenHarness) {
    let longest = "x".repeat(128);
    for subject in ["user_123", "tenant/ann@example.com", "Nguyễn \"Ann\" \\ 漢🙂", "0", &longest] {
        let claims = claims(subject);
        let token = issue(&harness.issuer, &claims);
        for at in [claims.issued_at, claims.expires_at - Duration::from_secs(1)] {
            assert_eq!(harness.issuer.verify(&token, at), Ok(claims.clone()), "{subject} at {at}");
        }
        let stranger = harness.stranger.verify(&token, claims.issued_at);
        assert_eq!(stranger, Err(TokenError::Invalid), "another key accepts a token of {subject}");
    }
}

/// Whichever byte was altered, and however; cut off, made longer, empty, or signed by another key.
pub async fn an_altered_token_is_invalid(harness: &TokenHarness) {
    let token = issue(&harness.issuer, &claims("user_123"));
    for (index, byte) in token.bytes().enumerate() {
        // A neighbour in the alphabet, another letter, a dot, and what no token holds.
        for other in [byte ^ 1, byte ^ 2, b'A', b'z', b'.', b'=', b' ', b'~'] {
            let mut altered = token.clone().into_bytes();
            altered[index] = other;
            if other != byte && other.is_ascii() {
                invalid(harness, &String::from_utf8_lossy(&altered), &format!("byte {index} altered"));
            }
        }
        invalid(harness, &token[..index], "cut off");
        invalid(harness, &token[index + 1..], "its beginning cut off");
    }
    for (junk, how) in [
        (format!("{token}A"), "longer"),
        (format!("{token}."), "longer"),
        (format!(" {token}"), "a space before it"),
        (issue(&harness.stranger, &claims("user_123")), "signed by another key"),
        ("\u{0}".into(), "no token"),
        ("🙂.🙂.🙂".into(), "no token"),
    ] {
        invalid(harness, &junk, how);
    }
}

fn invalid(harness: &TokenHarness, token: &str, how: &str) {
    let verified = harness.issuer.verify(token, claims("user_123").issued_at);
    assert_eq!(verified, Err(TokenError::Invalid), "{how}: {token}");
}

/// From `expires_at` on it has expired, and before `issued_at` it is not valid yet: to the second.
pub async fn an_expired_token_is_expired(harness: &TokenHarness) {
    let claims = claims("user_123");
    let token = issue(&harness.issuer, &claims);
    let second = Duration::from_secs(1);
    for late in [claims.expires_at, claims.expires_at + second, claims.expires_at + second * 10_000_000] {
        assert_eq!(harness.issuer.verify(&token, late), Err(TokenError::Expired), "at {late}");
    }
    for early in [claims.issued_at - second, claims.issued_at - second * 10_000_000] {
        assert_eq!(harness.issuer.verify(&token, early), Err(TokenError::Invalid), "at {early}");
    }
    let altered = format!("{token}A");
    assert_eq!(harness.issuer.verify(&altered, claims.expires_at), Err(TokenError::Invalid), "altered and expired");
}

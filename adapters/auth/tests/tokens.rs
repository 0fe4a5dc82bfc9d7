//! Every way to forge a token that we know, by name, and every altered bit.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod forged;

use chatcore::id::UserId;
use chatcore::port::{Claims, TokenError, TokenIssuer};
use chatcore_auth::{JwtConfig, JwtIssuer};
use forged::{Forger, HEADER, mutations};
use serde_json::json;
use time::{Duration, OffsetDateTime};

const SECRET: &[u8] = b"a secret of more than thirty-two bytes";
/// Far from today, so that a look at the system's clock would show.
const START: i64 = 4_000_000_000;

fn issuer(issuer: Option<&str>, audience: Option<&str>) -> JwtIssuer {
    let (issuer, audience) = (issuer.map(Into::into), audience.map(Into::into));
    JwtIssuer::new(JwtConfig { secret: SECRET.to_vec(), issuer, audience })
}

fn strict() -> JwtIssuer {
    issuer(Some("shop"), Some("chat"))
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(START + seconds).unwrap()
}

fn claims() -> Claims {
    Claims { subject: UserId::parse("user_123").unwrap(), issued_at: at(0), expires_at: at(3600) }
}

fn forger() -> Forger {
    Forger { secret: SECRET.to_vec(), start: START }
}

/// What makes the forgeries below mean something: the same by these helpers, but with nothing wrong, is accepted.
#[test]
fn a_token_of_another_issuer_with_our_key_and_our_rules_is_accepted() {
    let tokens = [
        forger().with_header(HEADER),
        forger().with_header(r#"{"alg":"HS256"}"#),
        forger().without("iat"),
        forger().with(json!({"aud": ["other", "chat"], "name": "Anna", "roles": ["a"]})),
    ];
    for token in tokens {
        assert_eq!(strict().verify(&token, at(1)), Ok(claims()), "{token}");
    }
}

#[test]
fn every_forgery_is_invalid() {
    let token = strict().issue(&claims()).unwrap();
    for (name, forged) in forger().forgeries(&token) {
        assert_eq!(strict().verify(&forged, at(1)), Err(TokenError::Invalid), "{name}");
    }
}

#[test]
fn every_missing_or_mistyped_claim_is_invalid() {
    for (wrong, token) in forger().wrong_claims() {
        assert_eq!(strict().verify(&token, at(1)), Err(TokenError::Invalid), "{wrong}");
    }
    let plain = issuer(None, None);
    for changes in [json!({"aud": "chat"}), json!({"aud": 7}), json!({"aud": null}), json!({"iss": 7})] {
        let token = forger().with(changes.clone());
        assert_eq!(plain.verify(&token, at(1)), Err(TokenError::Invalid), "not configured: {changes}");
    }
}

#[test]
fn a_token_with_any_bit_turned_is_invalid() {
    for issuer in [issuer(None, None), strict()] {
        let token = issuer.issue(&claims()).unwrap();
        assert_eq!(issuer.verify(&token, at(1)), Ok(claims()));
        for bit in 0..token.len() * 8 {
            let mut altered = token.clone().into_bytes();
            altered[bit / 8] ^= 1 << (bit % 8);
            // A byte above 127 is no UTF-8 by itself. It can only come as the letter of that number, or replaced.
            let as_letters: String = altered.iter().copied().map(char::from).collect();
            for altered in [as_letters, String::from_utf8_lossy(&altered).into_owned()] {
                assert_eq!(issuer.verify(&altered, at(1)), Err(TokenError::Invalid), "bit {bit}: {altered}");
            }
        }
    }
}

#[test]
fn a_thousand_random_mutations_are_invalid() {
    let token = strict().issue(&claims()).unwrap();
    let other = strict().issue(&Claims { subject: UserId::parse("admin").unwrap(), ..claims() }).unwrap();
    for altered in mutations(1000, &token, &other, 1) {
        assert_eq!(strict().verify(&altered, at(1)), Err(TokenError::Invalid), "{altered}");
    }
}

#[test]
fn a_token_is_good_from_its_first_instant_to_just_before_its_last() {
    let token = strict().issue(&claims()).unwrap();
    let tick = Duration::NANOSECOND;
    for (now, expected) in [
        (at(0) - tick, Err(TokenError::Invalid)),
        (at(0), Ok(claims())),
        (at(3600) - tick, Ok(claims())),
        (at(3600), Err(TokenError::Expired)),
        (at(3600 * 24 * 365), Err(TokenError::Expired)),
    ] {
        assert_eq!(strict().verify(&token, now), expected, "{now}");
    }
}

#[test]
fn the_longest_strangest_user_ids_come_back() {
    for id in ["\"".repeat(128), "\\".repeat(128), "ồ".repeat(42), "tenant:7/ü 名".into(), ".".into()] {
        let claims = Claims { subject: UserId::parse(id).unwrap(), ..claims() };
        let token = strict().issue(&claims).unwrap();
        assert_eq!(strict().verify(&token, at(1)), Ok(claims));
    }
}

#[test]
fn what_could_not_be_verified_is_not_issued() {
    let empty = JwtIssuer::new(JwtConfig { secret: Vec::new(), issuer: None, audience: None });
    assert!(!empty.issue(&claims()).expect_err("no secret").may_pass());
    let unsigned = issuer(None, None).issue(&claims()).unwrap();
    assert_eq!(empty.verify(&unsigned, at(1)), Err(TokenError::Invalid));

    let long = "x".repeat(4096);
    assert!(issuer(Some(&long), None).issue(&claims()).is_err());
    let before_1970 = OffsetDateTime::UNIX_EPOCH - Duration::SECOND;
    assert!(strict().issue(&Claims { issued_at: before_1970, ..claims() }).is_err());
}

#[test]
fn debug_shows_nothing_of_the_secret() {
    let config = || JwtConfig { secret: b"Sesame".to_vec(), issuer: Some("shop".into()), audience: None };
    for shown in [format!("{:?}", config()), format!("{:#?}", JwtIssuer::new(config()))] {
        assert!(shown.contains("shop"), "{shown}");
        assert!(!shown.contains("Sesame") && !shown.contains("83") && !shown.contains("secret"), "{shown}");
    }
}

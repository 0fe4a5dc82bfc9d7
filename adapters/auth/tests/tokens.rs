//! Every way to forge a token that we know, by name, and every altered bit.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use chatcore::id::UserId;
use chatcore::port::{Claims, TokenError, TokenIssuer};
use chatcore_auth::{JwtConfig, JwtIssuer};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
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

/// base64 as tokens have it: the URL alphabet without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().chain([0, 0, 0].iter()).take(3).fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let letters = (0..=group.len()).map(|place| char::from(LETTERS[bits >> (18 - 6 * place) & 63]));
        text.extend(letters);
    }
    text
}

/// A token out of these texts, signed with the true key by this algorithm.
fn signed_by(algorithm: Algorithm, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", base64(header.as_bytes()), base64(payload.as_bytes()));
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(SECRET), algorithm).unwrap();
    format!("{message}.{signature}")
}

const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

fn good() -> Value {
    json!({"sub": "user_123", "iat": START, "nbf": START, "exp": START + 3600, "iss": "shop", "aud": "chat"})
}

fn with_header(header: &str) -> String {
    signed_by(Algorithm::HS256, header, &good().to_string())
}

/// The good claims with some of them replaced.
fn with(changes: Value) -> String {
    let mut claims = good();
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    signed_by(Algorithm::HS256, HEADER, &claims.to_string())
}

fn without(claim: &str) -> String {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(claim).unwrap();
    signed_by(Algorithm::HS256, HEADER, &claims.to_string())
}

/// What makes the forgeries below mean something: the same by these helpers, but with nothing wrong, is accepted.
#[test]
fn a_token_of_another_issuer_with_our_key_and_our_rules_is_accepted() {
    let tokens = [
        with_header(HEADER),
        with_header(r#"{"alg":"HS256"}"#),
        without("iat"),
        with(json!({"aud": ["other", "chat"], "name": "Anna", "roles": ["a"]})),
    ];
    for token in tokens {
        assert_eq!(strict().verify(&token, at(1)), Ok(claims()), "{token}");
    }
}

#[test]
fn every_forgery_is_invalid() {
    let token = strict().issue(&claims()).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let none = base64(br#"{"typ":"JWT","alg":"none"}"#);
    let other_key = JwtIssuer::new(JwtConfig {
        secret: b"another secret of more than thirty-two bytes".to_vec(),
        issuer: Some("shop".into()),
        audience: Some("chat".into()),
    });
    let head = |extra: &str| with_header(&format!(r#"{{"typ":"JWT","alg":"HS256",{extra}}}"#));
    let jwk = format!(r#""jwk":{{"kty":"oct","k":"{}"}}"#, base64(b"their key"));
    let forgeries = [
        ("the empty text", String::new()),
        ("only dots", "..".into()),
        ("one part", header.into()),
        ("two parts", message.into()),
        ("four parts", format!("{token}.{signature}")),
        ("an empty header", format!(".{payload}.{signature}")),
        ("an empty payload", format!("{header}..{signature}")),
        ("a header of non-Latin letters", format!("đầu.{payload}.{signature}")),
        ("alg none without a signature", format!("{none}.{payload}.")),
        ("alg none with our signature", format!("{none}.{payload}.{signature}")),
        ("alg None in mixed case", with_header(r#"{"alg":"nOnE"}"#)),
        ("alg hs256 in lower case", with_header(r#"{"alg":"hs256"}"#)),
        ("no alg", with_header(r#"{"typ":"JWT"}"#)),
        ("two algs", with_header(r#"{"alg":"none","alg":"HS256"}"#)),
        ("alg RS256 over our key: confusion", with_header(r#"{"alg":"RS256"}"#)),
        ("alg HS512, well signed", signed_by(Algorithm::HS512, r#"{"alg":"HS512"}"#, &good().to_string())),
        ("alg HS384, well signed", signed_by(Algorithm::HS384, r#"{"alg":"HS384"}"#, &good().to_string())),
        ("HS512's signature under alg HS256", signed_by(Algorithm::HS512, HEADER, &good().to_string())),
        ("another key", other_key.issue(&claims()).unwrap()),
        ("no signature", format!("{message}.")),
        ("half a signature", format!("{message}.{}", &signature[..22])),
        ("a signature of zeros", format!("{message}.{}", base64(&[0; 32]))),
        ("another user under our signature", {
            let payload = base64(good().to_string().replace("user_123", "admin").as_bytes());
            format!("{header}.{payload}.{signature}")
        }),
        ("a kid", head(r#""kid":"../../dev/null""#)),
        ("a jwk", head(&jwk)),
        ("a jku", head(r#""jku":"https://evil.example/keys""#)),
        ("an x5u", head(r#""x5u":"https://evil.example/cert""#)),
        ("an x5c", head(r#""x5c":["AAAA"]"#)),
        ("a crit", head(r#""crit":["exp"]"#)),
        ("an unknown member in the header", head(r#""b64":false"#)),
        ("a foreign typ", with_header(r#"{"typ":"JWE","alg":"HS256"}"#)),
        ("a typ that is no text", with_header(r#"{"typ":7,"alg":"HS256"}"#)),
        ("a header that is an array", with_header(r#"["HS256"]"#)),
        ("a header that is no JSON", with_header("HS256")),
        ("a payload that is an array", signed_by(Algorithm::HS256, HEADER, "[]")),
        ("a payload that is no JSON", signed_by(Algorithm::HS256, HEADER, "user_123")),
        ("a payload nested too deep", signed_by(Algorithm::HS256, HEADER, &"[".repeat(2000))),
        ("two subs", {
            let payload = good().to_string().replacen('{', r#"{"sub":"admin","#, 1);
            signed_by(Algorithm::HS256, HEADER, &payload)
        }),
        ("padding", format!("{token}=")),
        ("padding inside", format!("{header}=.{payload}.{signature}")),
        ("white space before", format!(" {token}")),
        ("a line end behind", format!("{token}\n")),
        ("a scheme before", format!("Bearer {token}")),
        (
            "the other base64 alphabet",
            token.replace('_', "/").replace('-', "+") + if token.contains(['_', '-']) { "" } else { "/" },
        ),
        ("more than 4096 bytes", with(json!({"fill": "x".repeat(3000)}))),
        ("ten megabytes", "e".repeat(10 << 20)),
    ];
    for (name, forged) in forgeries {
        assert_eq!(strict().verify(&forged, at(1)), Err(TokenError::Invalid), "{name}");
    }
}

#[test]
fn every_missing_or_mistyped_claim_is_invalid() {
    for claim in ["sub", "nbf", "exp", "iss", "aud"] {
        assert_eq!(strict().verify(&without(claim), at(1)), Err(TokenError::Invalid), "no {claim}");
    }
    let wrong = [
        json!({"sub": 123}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": "a\u{0}b"}),
        json!({"sub": "x".repeat(129)}),
        json!({"sub": ["user_123"]}),
        json!({"exp": (START + 3600).to_string()}),
        json!({"exp": START as f64 + 3600.5}),
        json!({"exp": null}),
        json!({"exp": -1}),
        json!({"exp": true}),
        json!({"exp": u64::MAX}),
        json!({"exp": i64::MAX}),
        json!({"nbf": START.to_string()}),
        json!({"nbf": null}),
        json!({"nbf": -1}),
        json!({"nbf": u64::MAX}),
        json!({"iat": "yesterday"}),
        json!({"iat": null}),
        json!({"iss": "another"}),
        json!({"iss": ["shop"]}),
        json!({"iss": null}),
        json!({"aud": "another"}),
        json!({"aud": []}),
        json!({"aud": ["another"]}),
        json!({"aud": {"chat": true}}),
        json!({"aud": null}),
    ];
    for changes in wrong {
        assert_eq!(strict().verify(&with(changes.clone()), at(1)), Err(TokenError::Invalid), "{changes}");
    }
    let plain = issuer(None, None);
    for changes in [json!({"aud": "chat"}), json!({"aud": 7}), json!({"aud": null}), json!({"iss": 7})] {
        assert_eq!(plain.verify(&with(changes.clone()), at(1)), Err(TokenError::Invalid), "not configured: {changes}");
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

/// Replaces, adds, takes out, cuts off, or goes on with another valid token.
fn mutate(token: &mut Vec<u8>, other: &str, random: &mut fastrand::Rng) {
    let place = random.usize(..=token.len());
    match random.u8(..5) {
        0 if place < token.len() => token[place] = random.u8(b' '..127),
        1 if place < token.len() => drop(token.remove(place)),
        2 => token.truncate(place),
        3 => token.splice(place.., other.bytes().skip(place)).for_each(drop),
        _ => token.insert(place, random.u8(b' '..127)),
    }
}

#[test]
fn a_thousand_random_mutations_are_invalid() {
    let token = strict().issue(&claims()).unwrap();
    let other = strict().issue(&Claims { subject: UserId::parse("admin").unwrap(), ..claims() }).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut tried = 0;
    while tried < 1000 {
        let mut altered = token.clone().into_bytes();
        (0..random.usize(1..=4)).for_each(|_| mutate(&mut altered, &other, &mut random));
        let altered = String::from_utf8(altered).unwrap();
        if altered != token && altered != other {
            assert_eq!(strict().verify(&altered, at(1)), Err(TokenError::Invalid), "{altered}");
            tried += 1;
        }
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

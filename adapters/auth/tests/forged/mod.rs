//! Tokens that are not ours but look as if: for whoever verifies tokens, whether behind a function or behind HTTP.

use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// A header as ours have it.
pub(crate) const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

/// Makes tokens of the issuer `shop` for the audience `chat`, good for an hour, and bad ones that differ from them.
pub(crate) struct Forger {
    /// The key of those who verify.
    pub(crate) secret: Vec<u8>,
    /// From when on the tokens are good, in Unix seconds.
    pub(crate) start: i64,
}

impl Forger {
    /// The claims of a good token.
    pub(crate) fn good(&self) -> Value {
        let start = self.start;
        json!({"sub": "user_123", "iat": start, "nbf": start, "exp": start + 3600, "iss": "shop", "aud": "chat"})
    }

    /// The good claims under another header.
    pub(crate) fn with_header(&self, header: &str) -> String {
        self.signed_by(Algorithm::HS256, header, &self.good().to_string())
    }

    /// The good claims with some of them replaced.
    pub(crate) fn with(&self, changes: Value) -> String {
        let mut claims = self.good();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.signed_by(Algorithm::HS256, HEADER, &claims.to_string())
    }

    /// The good claims without one of them.
    pub(crate) fn without(&self, claim: &str) -> String {
        let mut claims = self.good();
        claims.as_object_mut().unwrap().remove(claim).unwrap();
        self.signed_by(Algorithm::HS256, HEADER, &claims.to_string())
    }

    /// A token out of these texts, signed with the true key by this algorithm.
    fn signed_by(&self, algorithm: Algorithm, header: &str, payload: &str) -> String {
        signed(&self.secret, algorithm, header, payload)
    }

    /// What no one may accept who accepts this good token.
    pub(crate) fn forgeries(&self, token: &str) -> Vec<(&'static str, String)> {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, payload) = message.split_once('.').unwrap();
        let none = base64(br#"{"typ":"JWT","alg":"none"}"#);
        let head = |extra: &str| self.with_header(&format!(r#"{{"typ":"JWT","alg":"HS256",{extra}}}"#));
        let jwk = format!(r#""jwk":{{"kty":"oct","k":"{}"}}"#, base64(b"their key"));
        vec![
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
            ("alg None in mixed case", self.with_header(r#"{"alg":"nOnE"}"#)),
            ("alg hs256 in lower case", self.with_header(r#"{"alg":"hs256"}"#)),
            ("no alg", self.with_header(r#"{"typ":"JWT"}"#)),
            ("two algs", self.with_header(r#"{"alg":"none","alg":"HS256"}"#)),
            ("alg RS256 over our key: confusion", self.with_header(r#"{"alg":"RS256"}"#)),
            (
                "alg HS512, well signed",
                self.signed_by(Algorithm::HS512, r#"{"alg":"HS512"}"#, &self.good().to_string()),
            ),
            (
                "alg HS384, well signed",
                self.signed_by(Algorithm::HS384, r#"{"alg":"HS384"}"#, &self.good().to_string()),
            ),
            ("HS512's signature under alg HS256", self.signed_by(Algorithm::HS512, HEADER, &self.good().to_string())),
            (
                "another key",
                signed(
                    b"another secret of more than thirty-two bytes",
                    Algorithm::HS256,
                    HEADER,
                    &self.good().to_string(),
                ),
            ),
            ("no signature", format!("{message}.")),
            ("half a signature", format!("{message}.{}", &signature[..22])),
            ("a signature of zeros", format!("{message}.{}", base64(&[0; 32]))),
            ("another user under our signature", {
                let payload = base64(self.good().to_string().replace("user_123", "admin").as_bytes());
                format!("{header}.{payload}.{signature}")
            }),
            ("a kid", head(r#""kid":"../../dev/null""#)),
            ("a jwk", head(&jwk)),
            ("a jku", head(r#""jku":"https://evil.example/keys""#)),
            ("an x5u", head(r#""x5u":"https://evil.example/cert""#)),
            ("an x5c", head(r#""x5c":["AAAA"]"#)),
            ("a crit", head(r#""crit":["exp"]"#)),
            ("an unknown member in the header", head(r#""b64":false"#)),
            ("a foreign typ", self.with_header(r#"{"typ":"JWE","alg":"HS256"}"#)),
            ("a typ that is no text", self.with_header(r#"{"typ":7,"alg":"HS256"}"#)),
            ("a header that is an array", self.with_header(r#"["HS256"]"#)),
            ("a header that is no JSON", self.with_header("HS256")),
            ("a payload that is an array", self.signed_by(Algorithm::HS256, HEADER, "[]")),
            ("a payload that is no JSON", self.signed_by(Algorithm::HS256, HEADER, "user_123")),
            ("a payload nested too deep", self.signed_by(Algorithm::HS256, HEADER, &"[".repeat(2000))),
            ("two subs", {
                let payload = self.good().to_string().replacen('{', r#"{"sub":"admin","#, 1);
                self.signed_by(Algorithm::HS256, HEADER, &payload)
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
            ("more than 4096 bytes", self.with(json!({"fill": "x".repeat(3000)}))),
            ("ten megabytes", "e".repeat(10 << 20)),
        ]
    }

    /// Tokens without a claim that must be there, or with one of a wrong type, time, issuer or audience; and what is wrong.
    pub(crate) fn wrong_claims(&self) -> Vec<(String, String)> {
        let missing = ["sub", "nbf", "exp", "iss", "aud"].map(|claim| (format!("no {claim}"), self.without(claim)));
        let wrong = [
            json!({"sub": 123}),
            json!({"sub": null}),
            json!({"sub": ""}),
            json!({"sub": "a\u{0}b"}),
            json!({"sub": "x".repeat(129)}),
            json!({"sub": ["user_123"]}),
            json!({"exp": (self.start + 3600).to_string()}),
            json!({"exp": self.start as f64 + 3600.5}),
            json!({"exp": null}),
            json!({"exp": -1}),
            json!({"exp": true}),
            json!({"exp": u64::MAX}),
            json!({"exp": i64::MAX}),
            json!({"nbf": self.start.to_string()}),
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
        let wrong = wrong.into_iter().map(|changes| (changes.to_string(), self.with(changes)));
        missing.into_iter().chain(wrong).collect()
    }
}

fn signed(secret: &[u8], algorithm: Algorithm, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", base64(header.as_bytes()), base64(payload.as_bytes()));
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(secret), algorithm).unwrap();
    format!("{message}.{signature}")
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

/// So many tokens, each of them altered in one to four places. None is one of these two.
pub(crate) fn mutations(count: usize, token: &str, other: &str, seed: u64) -> impl Iterator<Item = String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let altered = move || {
        let mut altered = token.as_bytes().to_vec();
        (0..random.usize(1..=4)).for_each(|_| mutate(&mut altered, other, &mut random));
        String::from_utf8(altered).unwrap()
    };
    std::iter::repeat_with(altered).filter(move |altered| altered != token && altered != other).take(count)
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

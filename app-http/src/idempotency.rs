//! The idempotency key of a message, from its header or its body.

use crate::problem::{Place, Problem};
use actix_web::http::header::HeaderMap;
use chatcore::id::Key;

const HEADER: &str = "Idempotency-Key";

/// The one key that a message has. The header's value may stand in quotes, as the draft asks, or bare.
///
/// # Errors
/// A malformed key, several headers, or a header that says something else than the body.
pub fn key(headers: &HeaderMap, of_body: Option<Key>) -> Result<Option<Key>, Problem> {
    let fault = |detail: &'static str| Problem::fault(Place::Header(HEADER), detail);
    let mut values = headers.get_all(HEADER);
    let Some(value) = values.next() else { return Ok(of_body) };
    if values.next().is_some() {
        return Err(fault("must be given once"));
    }
    let text = value.to_str().ok().and_then(unquoted);
    let key = text.and_then(|text| Key::parse(text).ok());
    let key = key.ok_or_else(|| fault("must be 1 to 255 visible ASCII characters, bare or in quotes"))?;
    if of_body.is_some_and(|of_body| of_body != key) {
        let pointer = Place::Pointer("#/client_message_id".into());
        return Err(Problem::fault(pointer, "must be the same as the header Idempotency-Key, or be left out"));
    }
    Ok(Some(key))
}

/// The string of a structured field, or the text as it is.
fn unquoted(text: &str) -> Option<String> {
    let text = text.trim();
    let Some(inner) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let (mut letters, mut string) = (inner.chars(), String::new());
    loop {
        match letters.next()? {
            '"' => return letters.as_str().is_empty().then_some(string),
            '\\' => string.push(letters.next().filter(|letter| matches!(letter, '"' | '\\'))?),
            letter => string.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_stand_in_quotes() {
        for (given, meant) in [
            ("abc", Some("abc")),
            (r#""abc""#, Some("abc")),
            (r#""a\"b\\c""#, Some(r#"a"b\c"#)),
            (r#""abc"#, None),
            (r#""a"b"#, None),
            (r#""a\b""#, None),
        ] {
            assert_eq!(unquoted(given).as_deref(), meant, "{given}");
        }
    }
}

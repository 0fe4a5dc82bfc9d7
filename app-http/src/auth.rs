//! Who calls: the bearer token of a request, or the device of a guest, before anything else of it is looked at.

use crate::problem::{Kind, Place, Problem};
use crate::state::State;
use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use chatcore::error::Invalid;
use chatcore::id::{DeviceId, UserId};
use chatcore::owner::Owner;
use std::future::{Ready, ready};
use std::time::Duration;

const DEVICE: &str = "X-Device-Id";

/// Schemes that a browser answers to by itself, as where a proxy in front asked for a password: no token of ours stands behind
/// them. One behind any other word, or behind none, may be meant as one.
const OF_BROWSERS: [&str; 4] = ["Basic", "Digest", "Negotiate", "NTLM"];

/// Who calls. As the first argument of a handler it is decided before the path, the query and the body are read.
#[derive(Debug, Clone)]
pub struct Caller(pub Owner);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request))
    }
}

fn caller(request: &HttpRequest) -> Result<Caller, Problem> {
    named(request)?.map(Caller).ok_or_else(|| Problem::new(Kind::NotAuthenticated))
}

/// Who the headers name; `None` where they name nobody, and a guest may still be named by the body.
///
/// # Errors
/// A token or a device that is not good, or no token where guests may not call.
pub fn named(request: &HttpRequest) -> Result<Option<Owner>, Problem> {
    Ok(match user(request)? {
        Some((user, _)) => Some(Owner::User(user)),
        None => device_of_header(request.headers())?.map(Owner::Guest),
    })
}

/// How long the token of a request is good; `None` where it is a guest's.
///
/// # Errors
/// It is not good any more.
pub fn good_for(request: &HttpRequest) -> Result<Option<Duration>, Problem> {
    Ok(user(request)?.map(|(_, time)| time))
}

/// Whose token the request carries, and how long it is good; `None` where it carries none, and guests may call.
fn user(request: &HttpRequest) -> Result<Option<(UserId, Duration)>, Problem> {
    let state = request.app_data::<Data<State>>().ok_or_else(|| Problem::new(Kind::Internal))?;
    state.check_open()?;
    if state.guests.is_some() && !may_hold_token(request.headers()) {
        return Ok(None);
    }
    let token = bearer(request.headers()).ok_or_else(|| Problem::new(Kind::NotAuthenticated))?;
    Ok(Some(state.login.verify(token)?))
}

/// The device that the header `X-Device-Id` names.
fn device_of_header(headers: &HeaderMap) -> Result<Option<DeviceId>, Problem> {
    let fault = |detail: String| Problem::fault(Place::Header(DEVICE), detail);
    let mut values = headers.get_all(DEVICE);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(fault("must be given once".into()));
    }
    let device = device(value.to_str().unwrap_or_default().to_owned());
    device.map(Some).map_err(|invalid| fault(format!("must be {}", invalid.rule)))
}

/// A device as clients may name it.
///
/// # Errors
/// It is too short to be hard to guess, or has letters that no device has.
pub fn device(text: String) -> Result<DeviceId, Invalid> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let rule = "8 to 128 of A-Z a-z 0-9 . _ : -";
    let is_good = text.len() >= 8 && text.bytes().all(plain);
    let good = is_good.then(|| DeviceId::parse(text).ok()).flatten();
    good.ok_or(Invalid { what: "device id", rule })
}

/// Whether there is an `Authorization` that is not for somebody else.
fn may_hold_token(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(AUTHORIZATION);
    match (all.next(), all.next()) {
        (None, _) => false,
        (Some(only), None) => {
            let scheme = only.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
            !OF_BROWSERS.iter().any(|other| scheme.eq_ignore_ascii_case(other.as_bytes()))
        }
        (Some(_), Some(_)) => true,
    }
}

/// The token of the one `Authorization: Bearer` header. Two headers are none: which of them a proxy looked at is unknown.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION);
    let (only, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn of(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| headers.append(AUTHORIZATION, HeaderValue::from_static(value)));
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn only_one_header_of_a_scheme_of_browsers_is_not_for_us() {
        let may = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| headers.append(AUTHORIZATION, HeaderValue::from_static(value)));
            may_hold_token(&headers)
        };
        for other in ["Basic YTpi", "basic YTpi", "Basic", "Digest username=\"a\"", "NEGOTIATE abc", "ntlm abc"] {
            assert!(!may(&[other]), "{other}");
        }
        assert!(!may(&[]));
        for ours in ["", "Bearer abc", "Bearer", "a.b.c", "JWT a.b.c", "Token abc", "Basicabc", " Basic abc"] {
            assert!(may(&[ours]), "{ours}");
        }
        assert!(may(&["Basic YTpi", "Basic YTpi"]) && may(&["Basic YTpi", "Bearer abc"]), "two headers");
    }

    #[test]
    fn one_bearer_header_is_read_in_any_case_and_nothing_else() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(of(&[good]).as_deref(), Some("abc"), "{good}");
        }
        for bad in ["", "abc", "Bearer", "Bearer ", "Basic abc", "Bearerabc"] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!(of(&["Bearer abc", "Bearer abc"]), None, "two headers");
        assert_eq!(of(&[]), None);
    }
}

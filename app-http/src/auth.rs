//! Who calls: the bearer token of a request, before anything else of it is looked at.

use crate::problem::{Kind, Problem};
use crate::startup::State;
use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use chatcore::owner::Owner;
use std::future::{Ready, ready};

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
    let token = bearer(request.headers()).ok_or_else(|| Problem::new(Kind::NotAuthenticated))?;
    let state = request.app_data::<Data<State>>().ok_or_else(|| Problem::new(Kind::Internal))?;
    Ok(Caller(Owner::User(state.login.verify(token)?)))
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

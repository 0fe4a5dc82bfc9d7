//! Logging in.

use crate::body::Body;
use crate::dto::{LoginIn, TokenOut};
use crate::problem::Problem;
use crate::startup::State;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

/// `POST /auth/login`
pub(super) async fn login(
    state: Data<State>,
    request: HttpRequest,
    Body(LoginIn(credentials)): Body<LoginIn>,
) -> Result<HttpResponse, Problem> {
    let address = request.peer_addr().map_or_else(String::new, |peer| peer.ip().to_string());
    let logged_in = state.login.login(&credentials, &address).await?;
    let (access_token, expires_in) = (logged_in.token, logged_in.expires_in.as_secs());
    let mut response = HttpResponse::Ok().json(TokenOut { access_token, token_type: "bearer", expires_in });
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

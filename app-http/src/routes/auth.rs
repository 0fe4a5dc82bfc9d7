//! Logging in.

use crate::address::address;
use crate::body::Body;
use crate::dto::{LoginIn, TokenOut};
use crate::problem::Problem;
use crate::state::State;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

/// `POST /auth/login`
pub(super) async fn login(
    state: Data<State>,
    request: HttpRequest,
    Body(LoginIn { credentials, device_id }): Body<LoginIn>,
) -> Result<HttpResponse, Problem> {
    state.check_open()?;
    let logged_in = state.login.login(&credentials, &address(&request, &state.trusted)).await?;
    if let Some(guest) = device_id {
        // A login that fails here is made again, and goes on where this one was.
        state.chat.adopt(&guest, &logged_in.user.id).await?;
    }
    let (access_token, expires_in) = (logged_in.token, logged_in.expires_in.as_secs());
    let mut response = HttpResponse::Ok().json(TokenOut { access_token, token_type: "bearer", expires_in });
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

//! What is done around every request: its id, errors in one shape, headers that protect the caller, and bodies that nobody read.

use crate::access::Asked;
use crate::address::{is_over_tls, look_for_proxy};
use crate::body::SharedBody;
use crate::connection::{Connection, Sent, Served};
use crate::problem::{MEDIA_TYPE, Problem};
use crate::protect::protect;
use crate::state::State;
use crate::upgrade;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Version};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest};
use chatcore::id::RequestId;
use futures_util::future::{Either, select};
use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the caller of a browser is told that asks first.
const NOT_ALLOWED: &str = "This origin, method or header is not allowed; see CORS_ALLOWED_ORIGINS";

/// How long the rest of a body is read away, so that its sender comes to read the answer.
const DRAIN: Duration = Duration::from_secs(2);

/// The id of a request, among its extensions.
#[derive(Debug, Clone)]
pub struct Id(RequestId);

impl Id {
    /// That of a request, which it has where it came through here.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Option<RequestId> {
        request.extensions().get::<Self>().map(|id| id.0.clone())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Among the extensions of an answer: it is no error that needs a shape.
#[derive(Debug)]
pub struct AsIs;

/// Serves a request.
///
/// # Errors
/// Those of the framework, which makes an answer of them.
pub async fn around(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Sent>, Error> {
    let mut served = request.conn_data::<Rc<Connection>>().cloned().map(Connection::serve);
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        let response = next.call(request).await?.map_into_boxed_body();
        return Ok(response.map_body(|_, body| Sent::new(body, served)));
    };
    served.iter().for_each(|served| served.hold(state.awaited()));
    let (id, version) = (request_id(&request, &state), request.version());
    let mut asked = Asked::new(&request, id.clone(), state.clone());
    request.extensions_mut().insert(id.clone());
    let over_tls = is_over_tls(request.request(), &state.trusted);
    look_for_proxy(request.request(), &state.trusted);
    let is_refused_upgrade = upgrade::refuse(&mut request);
    let mut unread = SharedBody::of(&mut request, served.as_ref().map(Served::gate));
    // At the level of errors, so that whatever is logged has it.
    let span = tracing::error_span!("request", request_id = %id);
    let response = next.call(request).instrument(span).instrument(asked.trace()).await;
    let response = response.inspect_err(|error| asked.is_answered(None, error.as_response_error().status_code()))?;
    let mut response = uniform(response.map_into_boxed_body());
    let is_read = match response.status() {
        StatusCode::REQUEST_TIMEOUT => false,
        _ => matches!(select(pin!(SharedBody::drain(&mut unread)), state.runtime.sleep(DRAIN)).await, Either::Left(_)),
    };
    // Of a body that somebody holds the framework reads no more than it has, and closes the connection soon.
    let unread = unread.filter(|_| !is_read);
    sign(&mut response, &id);
    protect(response.headers_mut(), over_tls);
    // An older client knows no chunks: for it a stream ends with its connection.
    let is_endless = version == Version::HTTP_10 && response.response().body().size() == BodySize::Stream;
    if is_endless {
        response.response_mut().head_mut().no_chunking(true);
    }
    if state.is_leaving() || !is_read || is_refused_upgrade || is_endless {
        // A connection that is kept would end while its client sends the next request, or have to wait for the rest of a body.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        served.iter_mut().for_each(Served::is_last);
    }
    asked.is_answered(response.request().match_pattern(), response.status());
    Ok(response.map_body(|_, body| Sent::new(body, served).beside(unread)))
}

/// The caller's, if it is one; else a new one.
fn request_id(request: &ServiceRequest, state: &State) -> Id {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let good = given.and_then(|given| RequestId::parse(given).ok());
    Id(good.unwrap_or_else(|| RequestId::made(state.runtime.new_id())))
}

/// Errors that the framework made itself get the shape of all others; the headers that it set stay.
fn uniform(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let problem = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == MEDIA_TYPE);
    let as_is = response.response().extensions().get::<AsIs>().is_some();
    if problem || as_is || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    // The framework refuses what no setting allows.
    let asked = response.request();
    let is_preflight = asked.method() == Method::OPTIONS && asked.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    response.map_body(|head, _| {
        let mut status = StatusCode::OK;
        let problem = Problem::of_status(head.status);
        let problem = if is_preflight { problem.with_detail(NOT_ALLOWED) } else { problem };
        let body = problem.write(&mut status, head.headers_mut());
        head.status = status;
        body
    })
}

fn sign(response: &mut ServiceResponse<BoxBody>, id: &Id) {
    if let Ok(value) = HeaderValue::from_str(id.0.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

//! The bodies of requests: JSON within its limit, and what nobody reads.

use crate::framing;
use crate::members::Members;
use crate::one_by_one::Gate;
use crate::problem::{Kind, Problem};
use crate::state::State;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::Version;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::{Stream, StreamExt};
use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What can be read from the members of a JSON object.
pub trait FromMembers: Sized {
    /// The longest body that is read for it, in bytes; `BODY_MAX_BYTES` may allow less.
    const MAX_BODY: usize = usize::MAX;

    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong with the members.
    fn from_members(members: Members) -> Result<Self, Problem>;
}

/// A JSON body. Nothing of it is read before the arguments that stand before it in a handler are there.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: FromMembers> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            check_type(&request)?;
            let read = timeout(BODY_TIME, read(&request, payload, T::MAX_BODY)).await;
            let bytes = read.map_err(|_| Problem::new(Kind::RequestTimeout))??;
            T::from_members(Members::parse(&bytes)?).map(Self)
        })
    }
}

/// A body without a type is taken for JSON, as the FastAPI system did.
fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let is_encoded = |coding: &HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if request.headers().get_all(CONTENT_ENCODING).any(is_encoded) {
        let problem = Problem::new(Kind::UnsupportedMediaType);
        return Err(problem.with_detail("A body with a Content-Encoding is not read: send it as it is"));
    }
    let Some(given) = request.headers().get(CONTENT_TYPE) else { return Ok(()) };
    let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    json.then_some(()).ok_or_else(|| Problem::new(Kind::UnsupportedMediaType))
}

/// How long a body is to be, in bytes, where that is told.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

async fn read(request: &HttpRequest, mut payload: Payload, max: usize) -> Result<Vec<u8>, Problem> {
    let max = max.min(request.app_data::<Data<State>>().map_or(0, |state| state.max_body));
    let announced = announced(request.headers()).map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > max) {
        return Err(Problem::new(Kind::BodyTooLarge));
    }
    let (mut body, whole) = (Vec::new(), announced.unwrap_or(max));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Kind::MalformedRequest))?;
        if body.len() + chunk.len() > max {
            return Err(Problem::new(Kind::BodyTooLarge));
        }
        append(&mut body, &chunk, whole);
    }
    Ok(body)
}

/// What waits for the rest of a body takes no more memory than has come, or twice as much, and never more than the whole.
fn append(body: &mut Vec<u8>, chunk: &[u8], whole: usize) {
    let needed = body.len() + chunk.len();
    if needed > body.capacity() {
        let room = needed.max(whole.min(body.capacity() * 2));
        body.reserve_exact(room - body.len());
    }
    body.extend_from_slice(chunk);
}

/// The body of a request, which its handler may read, and who waits for its end. It comes once one of them waits.
#[derive(Clone)]
pub(crate) struct SharedBody {
    payload: Rc<RefCell<Payload>>,
    gate: Option<Rc<Gate>>,
}

impl fmt::Debug for SharedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBody").finish_non_exhaustive()
    }
}

impl SharedBody {
    /// `None` where the request has none.
    pub(crate) fn of(request: &mut ServiceRequest, gate: Option<Rc<Gate>>) -> Option<Self> {
        if matches!(request.parts_mut().1, Payload::None) {
            return None;
        }
        let is_chunked = request.version() == Version::HTTP_11 && request.chunked().unwrap_or(false);
        let body = framing::Body::new(announced(request.headers()).filter(|_| !is_chunked));
        gate.iter().for_each(|gate| gate.has_body(body));
        let body = Self { payload: Rc::new(RefCell::new(request.take_payload())), gate };
        request.set_payload(Payload::Stream { payload: Box::pin(body.clone()) });
        Some(body)
    }

    /// Reads what is left of it.
    pub(crate) async fn drain(body: &mut Option<Self>) {
        let Some(body) = body else { return };
        while let Some(Ok(_)) = body.next().await {}
    }
}

impl Stream for SharedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.payload.borrow_mut().poll_next_unpin(context);
        if next.is_pending() {
            self.gate.iter().for_each(|gate| gate.want_body());
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_takes_no_more_memory_than_it_is_long_however_it_comes() {
        for (whole, piece) in [(1, 1), (100_000, 1), (262_144, 1460), (262_144, 32_768), (1 << 20, 1 << 20), (9, 4)] {
            let (mut body, sent) = (Vec::new(), vec![b'x'; whole]);
            let mut moved = 0;
            for chunk in sent.chunks(piece) {
                let before = body.capacity();
                append(&mut body, chunk, whole);
                assert!(body.capacity() <= whole && body.capacity() <= 2 * body.len(), "{whole} by {piece}");
                moved += usize::from(before != body.capacity());
            }
            assert!(body == sent && moved <= 20, "{whole} by {piece}: moved {moved} times");
        }
    }
}

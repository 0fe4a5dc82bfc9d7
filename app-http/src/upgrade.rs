//! Requests that ask for another protocol: `Connection: upgrade`, `Upgrade: websocket`, `CONNECT`. There is none, so they are
//! answered as if they had not asked (RFC 9110, 7.8), and their connection ends with the answer, which says so: the framework
//! takes what comes behind for the other protocol's.

use crate::body::announced;
use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{TRANSFER_ENCODING, UPGRADE};
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Refuses another protocol, and answers whether one was asked for. The body is then as long as the request says, which the framework
/// did not look at.
pub(crate) fn refuse(request: &mut ServiceRequest) -> bool {
    // A body in chunks says itself where it ends.
    let is_other = request.method() == Method::CONNECT || is_websocket(request);
    let is_endless = is_other && !request.headers().contains_key(TRANSFER_ENCODING);
    if is_endless {
        let payload = request.take_payload();
        match announced(request.headers()).unwrap_or_default() {
            0 => request.set_payload(Payload::None),
            left => request.set_payload(Payload::Stream { payload: Box::pin(Announced { payload, left }) }),
        }
    }
    is_other || request.head().upgrade()
}

fn is_websocket(request: &ServiceRequest) -> bool {
    let mut asked = request.headers().get_all(UPGRADE).filter_map(|value| value.to_str().ok());
    asked.any(|asked| asked.trim().eq_ignore_ascii_case("websocket"))
}

/// So much of a stream.
struct Announced {
    payload: Payload,
    left: u64,
}

impl Stream for Announced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let next = match ready!(self.payload.poll_next_unpin(context)) {
            Some(Ok(mut bytes)) => {
                bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= bytes.len() as u64;
                Some(Ok(bytes))
            }
            Some(error) => Some(error),
            None => Some(Err(PayloadError::Incomplete(None))),
        };
        Poll::Ready(next)
    }
}

//! Decorators of any [`AiGateway`](chatcore::port::AiGateway): a breaker that gives a failing one a rest, and a
//! bulkhead that limits how many calls go on at once. Both are timed by the `Runtime` port alone.

mod breaker;
mod bulkhead;

pub use breaker::{Breaker, BreakerPolicy};
pub use bulkhead::{Bulkhead, BulkheadPolicy};

use chatcore::port::{AiChunk, AiError};
use futures_util::stream::{self, BoxStream, StreamExt};

type Chunks = BoxStream<'static, Result<AiChunk, AiError>>;

/// Passes chunks on up to the end of the answer, be it `Done`, an error, or that it broke off, and ends there.
///
/// `token` is kept as long as the answer goes on, and told when the first text comes; `ended` gets it back with whether the AI is
/// well: its answer is whole, or it refused the question. In a stream that is dropped before its end, the token is just dropped,
/// after the chunks.
fn until_end<T: Send + 'static>(chunks: Chunks, token: T, speaks: fn(&T), ended: fn(T, bool)) -> Chunks {
    let next = move |held: Option<Held<T>>| async move {
        let mut held = held?;
        let chunk = held.chunks.next().await;
        if let Some(Ok(AiChunk::Text(_))) = chunk {
            if !held.has_text {
                held.has_text = true;
                speaks(&held.token);
            }
            return chunk.map(|chunk| (chunk, Some(held)));
        }
        let Held { chunks, token, .. } = held;
        drop(chunks);
        ended(token, matches!(chunk, Some(Ok(AiChunk::Done(_)) | Err(AiError::Refused(_)))));
        chunk.map(|chunk| (chunk, None))
    };
    stream::unfold(Some(Held { chunks, token, has_text: false }), next).boxed()
}

/// The fields are dropped in this order.
struct Held<T> {
    chunks: Chunks,
    token: T,
    has_text: bool,
}

fn refusal(why: &'static str) -> Chunks {
    stream::iter([Err(AiError::Unasked(why.into()))]).boxed()
}

//! Deadlines: neither client keeps one by itself.

use crate::error::NAME;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use futures_util::future::{Either, select};
use std::sync::Arc;
use std::time::Duration;

/// Does some work, or gives it up when the time is over.
pub(crate) async fn within<T, E: From<BackendError>>(
    (runtime, time): (&Arc<dyn Runtime>, Duration),
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    // On the heap: the clients nest their futures deeper than the compiler follows.
    match select(Box::pin(work), runtime.sleep(time)).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => Err(BackendError::later(NAME, "no answer in time").into()),
    }
}

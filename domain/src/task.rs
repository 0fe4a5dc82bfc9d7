//! Work that goes on when whoever asked for it has gone, and work that may not take long.

use crate::port::Runtime;
use crate::watch::Watch;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// Made before the task: whatever becomes of that, its caller is told.
struct Telling<T>(Arc<Watch<Option<Option<T>>>>);

impl<T> Drop for Telling<T> {
    fn drop(&mut self) {
        self.0.update(|cell| {
            cell.get_or_insert(None);
        });
    }
}

/// What a task of its own comes to; `None` where it ended without a result.
pub(crate) async fn in_task<T: Send + 'static>(
    runtime: &dyn Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let told = Arc::new(Watch::new(None));
    let telling = Telling(told.clone());
    let task = async move {
        let result = work.await;
        telling.0.update(|cell| *cell = Some(Some(result)));
    };
    // What it logs is its caller's.
    runtime.spawn(Box::pin(task.in_current_span()));
    told.wait(|cell| cell.is_some().then_some(())).await;
    told.update(Option::take).flatten()
}

/// What the work comes to; `None` when the time is over first.
pub(crate) async fn within<T>(runtime: &dyn Runtime, time: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), runtime.sleep(time)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

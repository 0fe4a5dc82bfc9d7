//! The way of one answer from a thread to a task.

use chatcore::error::BackendError;
use chatcore::watch::Watch;
use std::sync::Arc;

/// What a call gives.
type Answer<T> = Result<T, BackendError>;

/// The thread's end.
pub(crate) struct Reply<T>(Arc<Watch<Option<Answer<T>>>>);

/// The task's end.
pub(crate) struct Awaited<T>(Arc<Watch<Option<Answer<T>>>>);

/// Both ends. An answer that its caller did not wait for is dropped with the last of them.
pub(crate) fn reply<T>() -> (Reply<T>, Awaited<T>) {
    let slot = Arc::new(Watch::new(None));
    (Reply(slot.clone()), Awaited(slot))
}

impl<T> Reply<T> {
    pub(crate) fn send(self, answer: Answer<T>) {
        self.0.update(|slot| *slot = Some(answer));
    }

    /// Whether nobody waits any more.
    pub(crate) fn abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl<T> Awaited<T> {
    /// The answer, once it is there. Waits for ever where the thread has ended; the caller has a deadline.
    pub(crate) async fn answer(self) -> Answer<T> {
        loop {
            self.0.wait(|slot| slot.is_some().then_some(())).await;
            if let Some(answer) = self.0.update(Option::take) {
                return answer;
            }
        }
    }
}

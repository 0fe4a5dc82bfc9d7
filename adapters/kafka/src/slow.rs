//! Partitions that did not answer in time, as when who leads them is away: events of others do not wait for them.

use crate::Kafka;
use crate::record;
use crate::topic::Part;
use chatcore::error::BackendError;
use chatcore::event::Event;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Partitions without an answer: the last fault, and whether a scout is on its way.
#[derive(Debug, Default)]
pub(crate) struct Slow(Mutex<BTreeMap<Part, (BackendError, bool)>>);

impl Slow {
    /// What came of trying a partition: how it failed where that took long.
    pub(crate) fn note(&self, part: Part, failed: Option<BackendError>) {
        let mut slow = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failed {
            Some(error) => _ = slow.insert(part, (error, false)),
            None => _ = slow.remove(&part),
        }
    }

    /// How a partition failed, and whether the caller is to send a scout.
    fn turn(&self, part: Part) -> Option<(BackendError, bool)> {
        let mut slow = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (error, under_way) = slow.get_mut(&part)?;
        Some((error.clone(), !std::mem::replace(under_way, true)))
    }
}

/// One that is on its way. What it found is noted when it ends; that is what was known before where it ends by a panic.
struct Scout<'a> {
    slow: &'a Slow,
    part: Part,
    failed: Option<BackendError>,
}

impl Drop for Scout<'_> {
    fn drop(&mut self) {
        self.slow.note(self.part, self.failed.take());
    }
}

impl Kafka {
    /// Why nothing is to wait for this partition; `None` where all is well. Its first event goes ahead alone: once there is an
    /// answer to that, the partition is as any other, and the event comes a second time.
    pub(crate) fn scout(&self, part: Part, event: &Event) -> Option<BackendError> {
        let (error, to_send) = self.inner.slow.turn(part)?;
        if to_send {
            let (kafka, event) = (self.clone(), event.clone());
            let before = error.clone();
            let scout = async move {
                let inner = &kafka.inner;
                let (topic, start) = (inner.config.topics.name(part.topic), inner.runtime.elapsed());
                let mut scout = Scout { slow: &inner.slow, part, failed: Some(before) };
                let done = inner.link.append(topic, part.number, || vec![record::of_event(&event)]).await;
                scout.failed = done.err().filter(|_| kafka.took_long(start)).map(BackendError::from);
            };
            self.inner.runtime.spawn(Box::pin(scout));
        }
        Some(error)
    }

    /// Whether what began then took so long that others should not wait for its like.
    pub(crate) fn took_long(&self, start: Duration) -> bool {
        self.inner.runtime.elapsed().saturating_sub(start) >= self.inner.config.call_timeout / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Topic;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    #[test]
    fn after_a_scout_that_never_came_back_another_is_sent() {
        let (slow, part) = (Slow::default(), Part { number: 0, topic: Topic::Requests });
        let is_sent = || slow.turn(part).map(|(_, to_send)| to_send);
        assert_eq!(is_sent(), None, "nothing is wrong with it");
        let error = BackendError::later("broker", "it does not answer");
        slow.note(part, Some(error.clone()));
        assert_eq!([is_sent(), is_sent()], [Some(true), Some(false)], "one at a time");
        let lost = catch_unwind(AssertUnwindSafe(|| {
            let _scout = Scout { slow: &slow, part, failed: Some(error) };
            resume_unwind(Box::new("it fell over"));
        }));
        assert!(lost.is_err());
        assert_eq!([is_sent(), is_sent()], [Some(true), Some(false)]);
        drop(Scout { slow: &slow, part, failed: None });
        assert_eq!(is_sent(), None, "it found all well");
    }
}

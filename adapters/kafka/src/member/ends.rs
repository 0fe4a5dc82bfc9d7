//! Where logs end, which is asked between two polls: a broker that does not answer holds up what is read from the others once, and is
//! then asked beside.

use super::{Member, PAUSE};
use crate::topic::Part;
use futures_util::future::select;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Partitions whose ends could not be had in time. As long as there is one, a task asks for them.
#[derive(Debug, Default)]
pub(super) struct Silent(Mutex<BTreeSet<Part>>);

impl Silent {
    /// Those of which an answer may be waited for.
    fn others(&self, mut parts: Vec<Part>) -> Vec<Part> {
        let silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|part| !silent.contains(part));
        parts
    }

    /// What came of asking for these. Answers whether a task is to ask on.
    fn note(&self, asked: &[Part], ends: &BTreeMap<Part, i64>) -> bool {
        let mut silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = silent.is_empty();
        silent.extend(asked.iter().filter(|part| !ends.contains_key(part)));
        is_first && !silent.is_empty()
    }

    fn parts(&self) -> Vec<Part> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// These answered, or are not this member's any more. Answers whether all did.
    fn forget(&self, is_done: impl Fn(&Part) -> bool) -> bool {
        let mut silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        silent.retain(|part| !is_done(part));
        silent.is_empty()
    }
}

impl Member {
    /// Where the logs end of which that can be had soon.
    pub(super) async fn ends(self: &Arc<Self>, parts: Vec<Part>) -> BTreeMap<Part, i64> {
        let asked = self.silent.others(parts);
        let ends = self.group.ends_soon(&asked).await;
        if self.silent.note(&asked, &ends) {
            tracing::debug!(group = self.name, "where some partitions end is not told in time, and is asked beside");
            self.spawn("asks where partitions end", self.clone().listen());
        }
        ends
    }

    /// Until all have answered.
    async fn listen(self: Arc<Self>) {
        let ended = pin!(self.state.wait(|state| state.end));
        let all_answer = async {
            loop {
                let ends = self.group.ends_within(&self.silent.parts(), self.call_timeout).await;
                let own = self.lanes().assigned();
                if self.silent.forget(|part| ends.contains_key(part) || !own.contains(part)) {
                    return;
                }
                self.runtime.sleep(PAUSE).await;
            }
        };
        select(ended, pin!(all_answer)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Topic;

    #[test]
    fn a_broker_that_does_not_answer_is_waited_for_once_and_then_asked_by_one_task() {
        let [here, away, gone] = [0, 1, 2].map(|number| Part { number, topic: Topic::Requests });
        let (silent, all) = (Silent::default(), vec![here, away, gone]);
        let ends = BTreeMap::from([(here, 7)]);
        assert_eq!(silent.others(all.clone()), all);
        assert!(!silent.note(&[here], &ends), "all is well");
        assert!(silent.note(&all[..2], &ends), "a task is to ask on");
        assert!(!silent.note(&[here, gone], &ends), "there is one");
        assert_eq!((silent.others(all.clone()), silent.parts()), (vec![here], vec![away, gone]));
        assert!(!silent.forget(|part| *part == away), "of one nothing is known yet");
        assert_eq!(silent.others(all.clone()), [here, away]);
        assert!(silent.forget(|part| *part == gone), "the task ends");
        assert!(silent.note(&[away], &ends), "another is to begin");
    }
}

//! What a member looks for beside its reading, since the client does not: partitions that were added, those that can be read
//! again after their broker was away, and topics that were made anew. What follows from it is done between two polls.

use super::Member;
use crate::topic::{Part, Topic};
use chatcore::error::BackendError;
use futures_util::future::select;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks for partitions that were added.
const ADDED: Duration = Duration::from_secs(10);

/// What the task that reads is asked to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Have the client ask for its place anew.
    rejoin: bool,
    /// Have it read these at once.
    read: BTreeSet<Part>,
    /// Read these from their start.
    anew: BTreeSet<Topic>,
}

/// What was seen at the last looks.
struct Seen {
    /// Partitions that were overdue, and where they were read on.
    overdue: BTreeMap<Part, Option<i64>>,
    /// When it was looked for partitions that were added.
    at: Duration,
    counts: BTreeMap<Topic, usize>,
}

impl Member {
    pub(super) async fn watch(self: Arc<Self>) {
        let mut seen = Seen { overdue: BTreeMap::new(), at: self.runtime.elapsed(), counts: BTreeMap::new() };
        while !self.ended() {
            let ended = pin!(self.state.wait(|state| state.end));
            select(ended, pin!(self.look_around(&mut seen))).await;
        }
    }

    async fn look_around(&self, seen: &mut Seen) {
        self.runtime.sleep(LOOK).await;
        let mut done = self.within(self.look_for_overdue(&mut seen.overdue)).await;
        done = done.and(self.within(self.look_for_anew()).await);
        let now = self.runtime.elapsed();
        if now.saturating_sub(seen.at) >= ADDED {
            seen.at = now;
            done = done.and(self.within(self.look_for_added(&mut seen.counts)).await);
        }
        if let Err(error) = done {
            tracing::debug!(group = self.name, error = %error.source, "what is new of the partitions is not known yet");
        }
    }

    /// The client asks ever less often for a partition that failed, also when the others flow. One that is overdue at two looks does
    /// not get on by itself.
    async fn look_for_overdue(&self, before: &mut BTreeMap<Part, Option<i64>>) -> Result<(), BackendError> {
        let last = std::mem::take(before);
        let now = self.group.overdue().await?;
        let stuck: Vec<Part> =
            now.iter().filter(|(part, at)| last.get(part) == Some(at)).map(|(part, _)| *part).collect();
        if !stuck.is_empty() {
            self.state.update(|state| state.asked.read.extend(stuck));
        }
        *before = now;
        Ok(())
    }

    /// The client reads on at the offset that it had, also in a topic that was deleted and made again meanwhile: what is below was
    /// never read there.
    async fn look_for_anew(&self) -> Result<(), BackendError> {
        let went_back = self.lanes().went_back.clone();
        let told = self.group.made_anew().await?;
        let (anew, same): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, anew)| *anew);
        self.state.update(|state| state.asked.anew.extend(anew.into_iter().map(|(topic, _)| topic)));
        let mut lanes = self.lanes();
        for (topic, _) in same.iter().filter(|(topic, _)| went_back.contains(topic)) {
            lanes.went_back.remove(topic);
        }
        drop(lanes);
        if !went_back.is_empty() {
            // What was not committed before this was known.
            self.dirty.notify_one();
        }
        Ok(())
    }

    /// By the classic protocol the group's leader has to see partitions that were added, and to ask for a new share. Who leads is
    /// not told: where a member asks that does not, it is given what it had.
    async fn look_for_added(&self, counts: &mut BTreeMap<Topic, usize>) -> Result<(), BackendError> {
        if !self.group.is_classic() {
            return Ok(());
        }
        let now = self.group.partitions().await;
        if now == *counts {
            return Ok(());
        }
        let Some(shared) = self.group.shared().await? else { return Ok(()) };
        let mut parts =
            now.iter().flat_map(|(topic, count)| (0..).take(*count).map(|number| Part { number, topic: *topic }));
        if parts.any(|part| !shared.contains(&part)) {
            tracing::info!(group = self.name, "partitions were added, and are to be shared");
            self.state.update(|state| state.asked.rejoin = true);
        }
        *counts = now;
        Ok(())
    }

    /// Between two polls, since the client's own place must not move meanwhile.
    pub(super) async fn do_what_is_asked(&self) {
        if self.state.read(|state| state.asked == Asked::default()) {
            return;
        }
        let Asked { rejoin, read, anew } = self.state.update(|state| std::mem::take(&mut state.asked));
        self.group.nudge(&read).await;
        for topic in anew {
            tracing::warn!(group = self.name, ?topic, "a topic was made anew, and is read from its start");
            let parts = self.lanes().begin_anew(topic);
            for part in parts {
                self.group.begin_anew(part).await;
            }
            // Else whoever has a partition next would go on where it was committed in the topic before.
            self.dirty.notify_one();
        }
        if !rejoin {
            return;
        }
        if let Err(error) = self.within(self.group.rejoin()).await {
            tracing::debug!(group = self.name, error = %error.source, "cannot ask for a new share yet");
            self.state.update(|state| state.asked.rejoin = true);
        }
    }
}

//! What a member looks for beside its reading, since the client does not.

use super::Member;
use crate::topic::{Part, Topic};
use chatcore::error::BackendError;
use futures_util::future::select;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks for partitions that were added.
const ADDED: Duration = Duration::from_secs(10);

/// How many partitions each topic had when all of them had a member, or the client was made to see to that.
type Counts = BTreeMap<Topic, usize>;

impl Member {
    pub(super) async fn watch(self: Arc<Self>) {
        let mut counts = Counts::new();
        while !self.ended() {
            let ended = pin!(self.state.wait(|state| state.end));
            select(ended, pin!(self.look_around(&mut counts))).await;
        }
    }

    async fn look_around(&self, counts: &mut Counts) {
        self.runtime.sleep(ADDED).await;
        if let Err(error) = self.within(self.look_for_added(counts)).await {
            tracing::debug!(group = self.name, error = %error.source, "whether partitions were added is not known yet");
        }
    }

    /// By the classic protocol the group's leader has to see partitions that were added, and to ask for a new share. Who leads is
    /// not told: where a member asks that does not, it is given what it had.
    async fn look_for_added(&self, counts: &mut Counts) -> Result<(), BackendError> {
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
            self.state.update(|state| state.rejoin = true);
        }
        *counts = now;
        Ok(())
    }

    /// Only between two polls. Where it fails it is tried again.
    pub(super) async fn rejoin(&self) {
        match self.within(self.group.rejoin()).await {
            Ok(()) => self.state.update(|state| state.rejoin = false),
            Err(error) => tracing::debug!(group = self.name, error = %error.source, "cannot ask for a new share yet"),
        }
    }
}

//! What the group gives to a member and takes from it. The client that reads waits for each of these calls.

use super::Member;
use crate::attempts::Before;
use crate::lanes::Commit;
use crate::topic::Part;
use chatcore::error::BackendError;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// Between two looks whether there is a new place.
const LOOK: Duration = Duration::from_millis(20);
/// So long after that it is known to the client.
const KNOWN: Duration = Duration::from_millis(200);
/// Meanwhile the client is asked so often whether it still waits, or has failed.
const LONG: Duration = Duration::from_secs(2);

impl Member {
    /// Partitions are this member's. That is noted beside their commits, so that a death will be seen.
    pub(crate) async fn assigned(&self, parts: &[Part]) {
        let known = self.within(self.known(parts)).await;
        let known = known.unwrap_or_else(|error| {
            tracing::warn!(group = self.name, error = %error.source, "who had the records before is not known");
            parts.iter().map(|part| (*part, None, Before::default())).collect()
        });
        let mut commits = Vec::new();
        for (part, position, before) in known {
            commits.extend(position.map(|position| Commit { part, position, beside: before.open(position) }));
            self.lanes().assign(part, position, before);
        }
        let turn = self.commits.lock().await;
        if let Err(error) = self.within(self.group.commit(&commits)).await {
            tracing::debug!(group = self.name, error = %error.source, "the new holder could not be noted");
        }
        drop(turn);
        tracing::info!(group = self.name, partitions = parts.len(), "partitions are assigned");
        self.state.update(|state| (state.settled, state.gave_up) = (true, None));
        self.warn_of_gone(&commits).await;
    }

    /// Says what was deleted, as retention does, before the group had read it. The client goes on behind that without a word.
    async fn warn_of_gone(&self, places: &[Commit]) {
        let parts: Vec<Part> = places.iter().map(|place| place.part).collect();
        let starts = self.group.starts_soon(&parts).await;
        for Commit { part, position, .. } in places {
            let gone = starts.get(part).map_or(0, |start| start - position);
            if gone > 0 {
                let (topic, partition) = (self.group.name(part.topic), part.number);
                tracing::warn!(group = self.name, topic, partition, gone, "events were deleted before they were read");
            }
        }
    }

    async fn known(&self, parts: &[Part]) -> Result<Vec<(Part, Option<i64>, Before)>, BackendError> {
        let committed = self.group.committed(parts).await?;
        let open: Vec<Part> =
            committed.iter().filter(|(_, (_, beside))| Before::is_open(beside)).map(|(part, _)| *part).collect();
        let ends = if open.is_empty() { Default::default() } else { self.group.ends(&open).await? };
        let mut known = Vec::new();
        for part in parts {
            known.push(match committed.get(part) {
                Some((at, beside)) => (*part, Some(*at), Before::read(beside, ends.get(part).copied().unwrap_or(*at))),
                None => (*part, self.group.position(*part).await, Before::default()),
            });
        }
        Ok(known)
    }

    /// Partitions move to others, once what is in hand of them is worked off, or was waited for long enough.
    pub(crate) async fn revoked(&self, parts: &[Part]) {
        self.state.update(|state| state.settled = false);
        self.lanes().leave(parts);
        self.moved.notify_waiters();
        let free = pin!(self.until_free(parts));
        if let Either::Right(_) = select(free, self.runtime.sleep(self.handover)).await {
            tracing::warn!(group = self.name, "records in hand are given to another member");
        }
        // By the newer protocol a place is given up and taken bit by bit, between polls.
        let generation = if self.group.is_classic() { self.group.generation().await } else { None };
        self.state.update(|state| state.gave_up = generation);
        let _turn = self.commits.lock().await;
        let commits = self.lanes().release(parts);
        self.moved.notify_waiters();
        if let Err(error) = self.within(self.group.commit(&commits)).await {
            tracing::warn!(group = self.name, error = %error.source, "the last commit failed; records come again");
        }
    }

    /// Waits until the client has its new place, or for a while. A heartbeat that waited behind its join is answered as one of an old
    /// place, just before the new one is known: a poll at that moment would take the place to be lost, and ask as somebody
    /// new, for whom the group would wait until the session of the one before is over.
    pub(super) async fn let_join(&self) {
        let Some(before) = self.state.read(|state| state.gave_up) else { return };
        let end = self.runtime.elapsed().saturating_add(LONG);
        while self.runtime.elapsed() < end {
            self.runtime.sleep(LOOK).await;
            if self.group.generation().await != Some(before) {
                self.state.update(|state| state.gave_up = None);
                return self.runtime.sleep(KNOWN).await;
            }
        }
    }

    async fn until_free(&self, parts: &[Part]) {
        loop {
            let freed = self.freed.notified();
            if self.ended() || !self.lanes().holds(parts) {
                return;
            }
            freed.await;
        }
    }

    /// The group went on without this member: nothing of it counts.
    pub(crate) fn lost(&self, parts: &[Part]) {
        tracing::warn!(group = self.name, partitions = parts.len(), "partitions are lost");
        self.state.update(|state| state.settled = false);
        _ = self.lanes().release(parts);
        self.moved.notify_waiters();
    }
}

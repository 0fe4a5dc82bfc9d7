//! Places in the logs: where they start and end, what is committed, and where the client goes on.

use super::fault::failed;
use super::{Group, part_of};
use crate::topic::Part;
use chatcore::error::BackendError;
use krafka::admin::{ListConsumerGroupOffsetsOptions, ListOffsetsOptions, ListedOffset, OffsetSpec};
use krafka::consumer::{PartitionLag, TopicPartition};
use krafka::error::KrafkaError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long those wait who ask between two polls.
const SOON: Duration = Duration::from_millis(500);

/// What the brokers told of each partition.
type Listed = BTreeMap<Part, Result<i64, BackendError>>;

impl Group {
    /// Partitions that hold something to read of which nothing has come for a while, as who leads them has just told, and where
    /// they are read on; and those of which that is not known yet.
    pub(crate) async fn overdue(&self) -> Result<BTreeMap<Part, Option<i64>>, BackendError> {
        let paused = self.consumer.paused_partitions().await;
        let waits = |(named, lag): (TopicPartition, PartitionLag)| {
            let waits = lag.stale && !paused.contains(&(named.topic.clone(), named.partition));
            Some((part_of(&self.config, &named).filter(|_| waits)?, lag.position))
        };
        let waiting: BTreeMap<Part, Option<i64>> = self.consumer.lag().await.into_iter().filter_map(waits).collect();
        let placed: Vec<Part> = waiting.iter().filter(|(_, at)| at.is_some()).map(|(part, _)| *part).collect();
        // Brokers that do not answer must not keep those from it that do.
        let ends = self.listed(&placed, OffsetSpec::Latest, self.config.call_timeout / 2).await?;
        let more = |(part, at): &(Part, Option<i64>)| {
            at.is_none() || ends.get(part).is_some_and(|end| end.as_ref().ok() > at.as_ref())
        };
        Ok(waiting.into_iter().filter(more).collect())
    }

    /// Makes the client ask for these partitions at once: after failures it would wait for up to 30 s. Only between two polls.
    pub(crate) async fn nudge(&self, parts: &BTreeSet<Part>) {
        let places = self.places().await;
        let placeless: Vec<Part> = parts.iter().filter(|part| places.get(part) == Some(&None)).copied().collect();
        if let Err(error) = self.find_places(&placeless).await {
            tracing::debug!(error = %error.source, "where partitions are to be read on is not known yet");
        }
        for part in parts.iter().filter(|part| !placeless.contains(part)) {
            let (topic, number) = (self.config.topics.name(part.topic), part.number);
            let position = self.consumer.position(topic, number).await;
            // One of which it holds something does not wait.
            let waits = position.is_some() && position == self.consumer.fetch_position(topic, number).await;
            if let Some(position) = position.filter(|_| waits) {
                _ = self.consumer.seek(topic, number, position).await;
            }
        }
    }

    /// Takes the places from what is committed. Where nothing is, the client asks at once where the log starts.
    async fn find_places(&self, parts: &[Part]) -> Result<(), BackendError> {
        if parts.is_empty() {
            return Ok(());
        }
        let committed = self.committed(parts).await?;
        for part in parts {
            match committed.get(part) {
                Some((at, _)) => {
                    _ = self.consumer.seek(self.config.topics.name(part.topic), part.number, *at).await;
                }
                None => self.begin_anew(*part).await,
            }
        }
        Ok(())
    }

    /// What the group has committed, and what stands beside it.
    pub(crate) async fn committed(&self, parts: &[Part]) -> Result<BTreeMap<Part, (i64, String)>, BackendError> {
        let named = parts.iter().map(|part| self.named(part)).collect();
        let options = ListConsumerGroupOffsetsOptions::default().timeout(self.config.call_timeout).partitions(named);
        let offsets = self.admin.list_consumer_group_offsets(self.id.clone(), options).await.map_err(failed)?;
        let mut committed = BTreeMap::new();
        for (part, offset) in offsets {
            let offset = offset.map_err(failed)?;
            let known = part_of(&self.config, &part).zip(offset.offset.filter(|offset| *offset >= 0));
            committed.extend(known.map(|(part, at)| (part, (at, offset.metadata.unwrap_or_default()))));
        }
        Ok(committed)
    }

    /// Where the logs end.
    pub(crate) async fn ends(&self, parts: &[Part]) -> Result<BTreeMap<Part, i64>, BackendError> {
        self.offsets(parts, OffsetSpec::Latest).await
    }

    /// Where the logs start.
    pub(crate) async fn starts(&self, parts: &[Part]) -> Result<BTreeMap<Part, i64>, BackendError> {
        self.offsets(parts, OffsetSpec::Earliest).await
    }

    async fn offsets(&self, parts: &[Part], of: OffsetSpec) -> Result<BTreeMap<Part, i64>, BackendError> {
        let listed = self.listed(parts, of, self.config.call_timeout).await?;
        listed.into_iter().map(|(part, offset)| Ok((part, offset?))).collect()
    }

    /// Where the logs start of which that can be had soon.
    pub(crate) async fn starts_soon(&self, parts: &[Part]) -> BTreeMap<Part, i64> {
        self.had(parts, OffsetSpec::Earliest, SOON).await
    }

    /// Where the logs end of which that can be had that soon.
    pub(crate) async fn ends_soon(&self, parts: &[Part]) -> BTreeMap<Part, i64> {
        self.ends_within(parts, SOON).await
    }

    /// Where the logs end of which that can be had within this time.
    pub(crate) async fn ends_within(&self, parts: &[Part], limit: Duration) -> BTreeMap<Part, i64> {
        self.had(parts, OffsetSpec::Latest, limit).await
    }

    async fn had(&self, parts: &[Part], of: OffsetSpec, limit: Duration) -> BTreeMap<Part, i64> {
        let listed = self.listed(parts, of, limit).await.unwrap_or_default();
        listed.into_iter().filter_map(|(part, offset)| Some((part, offset.ok()?))).collect()
    }

    async fn listed(&self, parts: &[Part], of: OffsetSpec, timeout: Duration) -> Result<Listed, BackendError> {
        if parts.is_empty() {
            return Ok(Listed::new());
        }
        let specs = parts.iter().map(|part| (self.named(part), of));
        let options = ListOffsetsOptions::default().timeout(timeout);
        let listed = self.admin.list_offsets(specs, options).await.map_err(failed)?;
        let offset = |(named, listed): (TopicPartition, Result<ListedOffset, KrafkaError>)| {
            Some((part_of(&self.config, &named)?, listed.map(|listed| listed.offset).map_err(failed)))
        };
        Ok(listed.into_iter().filter_map(offset).collect())
    }
}

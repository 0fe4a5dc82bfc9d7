//! The topics: which there are, how many partitions each has, and making those that are missing.

use crate::Kafka;
use crate::error::{Failed, NAME};
use crate::partition::partition_of;
use crate::topic::{Part, Topic};
use chatcore::error::BackendError;
use chatcore::event::Event;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;

/// So old may what is known of the topics be: partitions may have been added.
const FRESH: Duration = Duration::from_secs(30);

/// Between two looks for a topic that was made.
const LOOK: Duration = Duration::from_millis(50);

/// How many partitions each topic of events has that is there.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    /// Or why it cannot be had.
    partitions: BTreeMap<Topic, Result<i32, BackendError>>,
    /// Topics that are not there, or that may not be seen, and why they could not be made.
    refused: BTreeMap<String, BackendError>,
    seen: Duration,
}

/// What came of making those that are missing.
#[derive(Debug, Default)]
struct Made {
    done: Vec<String>,
    refused: BTreeMap<String, BackendError>,
}

impl Counts {
    /// As many in every topic.
    #[cfg(test)]
    pub(crate) fn of_each(count: i32) -> Self {
        let partitions = Topic::ALL.map(|topic| (topic, Ok(count))).into();
        Self { partitions, refused: BTreeMap::new(), seen: Duration::ZERO }
    }

    /// Where an event goes, or why its topic cannot be had.
    pub(crate) fn part_of(&self, event: &Event) -> Result<Part, BackendError> {
        let topic = Topic::of(event);
        Ok(Part { number: partition_of(event.session.to_string().as_bytes(), self.of(topic)?), topic })
    }

    /// How many partitions a topic has, or why it cannot be had.
    pub(crate) fn of(&self, topic: Topic) -> Result<i32, BackendError> {
        self.partitions[&topic].clone()
    }

    /// All partitions of events.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let there = self.partitions.iter().filter_map(|(topic, count)| Some((*topic, *count.as_ref().ok()?)));
        there.flat_map(|(topic, count)| (0..count).map(move |number| Part { number, topic }))
    }

    /// Why one of these topics cannot be used.
    pub(crate) fn refusal(&self, needed: &[&str]) -> Option<BackendError> {
        needed.iter().find_map(|name| self.refused.get(*name).cloned())
    }
}

impl Kafka {
    /// Makes the topics that are missing, the dead letters' too, and answers their names. Those that are there stay as they
    /// are. Every program may call it, at any time; the bus does so by itself before it is first used.
    ///
    /// # Errors
    /// No broker answers in time, or it refuses.
    pub async fn create_topics(&self) -> Result<Vec<String>, BackendError> {
        let Made { done, refused } = self.within(self.make_missing()).await?;
        refused.into_values().next().map_or(Ok(done), Err)
    }

    async fn make_missing(&self) -> Result<Made, BackendError> {
        let (link, config) = (&self.inner.link, &self.inner.config);
        let there = link.topics(config.call_timeout).await?;
        let mut made = Made::default();
        let missing = config.topics.all().into_iter().filter(|name| !there.contains_key(*name));
        let creations = missing.map(|name| {
            // Letters are listed by their age, which only one partition keeps.
            let partitions = if name == config.topics.dlq { 1 } else { config.partitions };
            link.create(name, partitions, config.replication).map(move |created| (name, created)).boxed()
        });
        for (name, created) in join_all(creations).await {
            match created {
                Ok(()) => made.done.push(name.to_owned()),
                Err(Failed::Exists) => {}
                Err(failed) => {
                    let error = BackendError::from(failed);
                    tracing::warn!(topic = name, error = %error.source, "a topic is missing and cannot be made");
                    made.refused.insert(name.to_owned(), error);
                }
            }
        }
        if !made.done.is_empty() {
            tracing::info!(topics = ?made.done, "made topics");
        }
        Ok(made)
    }

    /// As [`known`](Self::known), where all that are needed can be had.
    pub(crate) async fn counts(&self, needed: &[&str]) -> Result<Counts, BackendError> {
        let counts = self.known(needed, Duration::ZERO).await?;
        counts.refusal(needed).map_or(Ok(counts), Err)
    }

    /// What is known of the topics; asks, and makes those that are missing, where that is nothing or old, or is so old that it
    /// is to be tried `again` to have one that is needed. Some may be without rights, or missing.
    pub(crate) async fn known(&self, needed: &[&str], again: Duration) -> Result<Counts, BackendError> {
        self.within(async {
            let mut known = self.inner.counts.lock().await;
            let now = self.inner.runtime.elapsed();
            let is_good = |counts: &&Counts| match now.saturating_sub(counts.seen) {
                age if age < again => true,
                age => age < FRESH && counts.refusal(needed).is_none(),
            };
            if let Some(counts) = known.as_ref().filter(is_good) {
                return Ok(counts.clone());
            }
            let Made { mut refused, .. } = self.make_missing().await?;
            let there = self.told(&mut refused).await?;
            self.inner.refused.note_unmade(&refused);
            let count = |topic| {
                let name = self.inner.config.topics.name(topic);
                let missing = || BackendError::later(NAME, "the topic is missing");
                (topic, there.get(name).copied().ok_or_else(|| refused.get(name).cloned().unwrap_or_else(missing)))
            };
            let partitions = Topic::ALL.map(count).into();
            let seen = self.inner.runtime.elapsed();
            Ok(known.insert(Counts { partitions, refused, seen }).clone())
        })
        .await
    }

    /// The topics that the brokers tell of, once those are among them that were not refused, or soon it is clear that some
    /// are not told of.
    async fn told(&self, refused: &mut BTreeMap<String, BackendError>) -> Result<BTreeMap<String, i32>, BackendError> {
        let (runtime, timeout) = (&self.inner.runtime, self.inner.config.call_timeout);
        let end = runtime.elapsed().saturating_add(timeout / 2);
        loop {
            let there = self.inner.link.topics(timeout).await?;
            let is_told = |name: &str| there.contains_key(name) || refused.contains_key(name);
            let untold: Vec<_> =
                self.inner.config.topics.of_events().into_iter().filter(|name| !is_told(name)).collect();
            if untold.is_empty() {
                return Ok(there);
            }
            // One that was made a moment ago may not be told of yet.
            if runtime.elapsed() >= end {
                let why =
                    || BackendError::later(NAME, "the topic is there, and is not told of: may this user describe it?");
                refused.extend(untold.into_iter().map(|name| (name.to_owned(), why())));
                return Ok(there);
            }
            runtime.sleep(LOOK).await;
        }
    }

    /// After a failure: a topic may be gone. Who holds the lock is asking already.
    pub(crate) fn forget_topics(&self) {
        if let Ok(mut known) = self.inner.counts.try_lock() {
            *known = None;
        }
    }
}

//! The topics: which there are, how many partitions each has, and making those that are missing.

use crate::Kafka;
use crate::error::Failed;
use crate::partition::partition_of;
use crate::topic::{Part, Topic};
use chatcore::error::BackendError;
use chatcore::event::Event;
use std::collections::BTreeMap;
use std::time::Duration;

/// So old may what is known of the topics be: partitions may have been added.
const FRESH: Duration = Duration::from_secs(30);

/// Between two looks for a topic that was made.
const LOOK: Duration = Duration::from_millis(50);

/// How many partitions each topic of events has that is there.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    partitions: BTreeMap<Topic, i32>,
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
        let partitions = Topic::ALL.map(|topic| (topic, count)).into();
        Self { partitions, refused: BTreeMap::new(), seen: Duration::ZERO }
    }

    /// Where an event goes, whose topic was asked for.
    pub(crate) fn part_of(&self, event: &Event) -> Part {
        let topic = Topic::of(event);
        let number = partition_of(event.session.to_string().as_bytes(), self.partitions[&topic]);
        Part { number, topic }
    }

    /// All partitions of events.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.partitions.iter().flat_map(|(topic, count)| (0..*count).map(|number| Part { number, topic: *topic }))
    }

    /// Why one of these topics cannot be used.
    fn refusal(&self, needed: &[&str]) -> Option<BackendError> {
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
        for name in config.topics.all().into_iter().filter(|name| !there.contains_key(*name)) {
            // Letters are listed by their age, which only one partition keeps.
            let partitions = if name == config.topics.dlq { 1 } else { config.partitions };
            match link.create(name, partitions, config.replication).await {
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

    /// What is known of the topics; asks, and makes those that are missing, where that is nothing or old. An error where one
    /// that is needed cannot be had; others may be without rights, or missing.
    pub(crate) async fn counts(&self, needed: &[&str]) -> Result<Counts, BackendError> {
        self.within(async {
            let mut known = self.inner.counts.lock().await;
            let now = self.inner.runtime.elapsed();
            let good = |counts: &&Counts| now.saturating_sub(counts.seen) < FRESH && counts.refusal(needed).is_none();
            if let Some(counts) = known.as_ref().filter(good) {
                return Ok(counts.clone());
            }
            let Made { refused, .. } = self.make_missing().await?;
            let partitions = loop {
                let there = self.inner.link.topics(self.inner.config.call_timeout).await?;
                let of = |topic| Some((topic, *there.get(self.inner.config.topics.name(topic))?));
                let had = |topic: &Topic| !refused.contains_key(self.inner.config.topics.name(*topic));
                // A topic that was made a moment ago may not be told of yet.
                match Topic::ALL.into_iter().filter(had).map(of).collect() {
                    Some(partitions) => break partitions,
                    None => self.inner.runtime.sleep(LOOK).await,
                }
            };
            let counts = known.insert(Counts { partitions, refused, seen: now });
            counts.refusal(needed).map_or(Ok(counts.clone()), Err)
        })
        .await
    }

    /// After a failure: a topic may be gone. Who holds the lock is asking already.
    pub(crate) fn forget_topics(&self) {
        if let Ok(mut known) = self.inner.counts.try_lock() {
            *known = None;
        }
    }
}

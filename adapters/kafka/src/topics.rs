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
const FRESH: Duration = Duration::from_secs(300);

/// Between two looks for a topic that was made.
const LOOK: Duration = Duration::from_millis(50);

/// How many partitions each topic of events has.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    partitions: BTreeMap<Topic, i32>,
    seen: Duration,
}

impl Counts {
    /// As many in every topic.
    #[cfg(test)]
    pub(crate) fn of_each(count: i32) -> Self {
        Self { partitions: Topic::ALL.map(|topic| (topic, count)).into(), seen: Duration::ZERO }
    }

    /// Where an event goes.
    pub(crate) fn part_of(&self, event: &Event) -> Part {
        let topic = Topic::of(event);
        let number = partition_of(event.session.to_string().as_bytes(), self.of(topic));
        Part { number, topic }
    }

    /// All partitions of events.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        Topic::ALL.into_iter().flat_map(|topic| (0..self.of(topic)).map(move |number| Part { number, topic }))
    }

    fn of(&self, topic: Topic) -> i32 {
        self.partitions[&topic]
    }
}

impl Kafka {
    /// Makes the topics that are missing, the dead letters' too, and answers their names. Those that are there stay as they
    /// are. Every program may call it, at any time; the bus does so by itself before it is first used.
    ///
    /// # Errors
    /// No broker answers in time, or it refuses.
    pub async fn create_topics(&self) -> Result<Vec<String>, BackendError> {
        self.within(self.make_missing()).await
    }

    async fn make_missing(&self) -> Result<Vec<String>, BackendError> {
        let (link, config) = (&self.inner.link, &self.inner.config);
        let there = link.topics(config.call_timeout).await?;
        let mut made = Vec::new();
        for name in config.topics.all().into_iter().filter(|name| !there.contains_key(*name)) {
            // Letters are listed by their age, which only one partition keeps.
            let partitions = if name == config.topics.dlq { 1 } else { config.partitions };
            match link.create(name, partitions, config.replication).await {
                Ok(()) => made.push(name.to_owned()),
                Err(Failed::Exists) => {}
                Err(failed) => return Err(failed.into()),
            }
        }
        if !made.is_empty() {
            tracing::info!(topics = ?made, "made topics");
        }
        Ok(made)
    }

    /// What is known of the topics; asks, and makes those that are missing, where that is nothing or old.
    pub(crate) async fn counts(&self) -> Result<Counts, BackendError> {
        self.within(async {
            let mut known = self.inner.counts.lock().await;
            let now = self.inner.runtime.elapsed();
            if let Some(counts) = known.as_ref().filter(|counts| now.saturating_sub(counts.seen) < FRESH) {
                return Ok(counts.clone());
            }
            self.make_missing().await?;
            let partitions = loop {
                let there = self.inner.link.topics(self.inner.config.call_timeout).await?;
                let of = |topic| Some((topic, *there.get(self.inner.config.topics.name(topic))?));
                // A topic that was made a moment ago may not be told of yet.
                match Topic::ALL.into_iter().map(of).collect() {
                    Some(partitions) => break partitions,
                    None => self.inner.runtime.sleep(LOOK).await,
                }
            };
            Ok(known.insert(Counts { partitions, seen: now }).clone())
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

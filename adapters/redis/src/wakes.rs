//! News of the outboxes: in which partitions to look.

use crate::Redis;
use crate::hub::Listening;
use crate::keys::Partition;
use chatcore::error::BackendError;
use futures_util::FutureExt;
use futures_util::future::{select_all, try_join_all};
use std::time::Duration;

/// How often everything is looked at while somebody waits: a message may have been lost, or a holder have died.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Listens for news in all partitions.
#[derive(Debug)]
pub(crate) struct Wakes {
    places: Vec<Place>,
    ready: bool,
}

#[derive(Debug)]
struct Place {
    partition: Partition,
    listening: Listening,
    heard: u64,
}

impl Wakes {
    /// Listens from now on.
    pub(crate) fn new(redis: &Redis) -> Self {
        let keys = &redis.inner.keys;
        let place = |partition| {
            let listening = redis.inner.hub.listen(keys.wake_channel(partition));
            Place { partition, listening, heard: 0 }
        };
        Self { places: keys.partitions().map(place).collect(), ready: false }
    }

    /// Where there may be news. At first that is everywhere, as soon as nothing can be missed any more.
    ///
    /// # Errors
    /// The channels cannot be listened to now.
    pub(crate) async fn next(&mut self) -> Result<Vec<Partition>, BackendError> {
        if !self.ready {
            let heard = try_join_all(self.places.iter().map(|place| place.listening.ready())).await?;
            self.places.iter_mut().zip(heard).for_each(|(place, heard)| place.heard = heard);
            self.ready = true;
            return Ok(self.places.iter().map(|place| place.partition).collect());
        }
        let (first, _, _) = select_all(self.places.iter().map(|place| place.more().boxed())).await;
        first?;
        // Whoever looks looks everywhere at once.
        let mut news = Vec::new();
        for place in &mut self.places {
            if let Some(heard) = place.more().now_or_never() {
                place.heard = heard?;
                news.push(place.partition);
            }
        }
        Ok(news)
    }
}

impl Place {
    async fn more(&self) -> Result<u64, BackendError> {
        self.listening.more(self.heard).await
    }
}

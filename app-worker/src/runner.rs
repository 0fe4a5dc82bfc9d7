//! The worker's loops: lanes that consume, until they are told to stop.

use crate::measured;
use crate::pulse::Pulse;
use chatcore::consume::{Consumed, Consumer};
use chatcore::port::{Runtime, Subscription};
use futures_util::future::{Either, join_all, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a lane waits after the bus failed.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the bus may take to let the worker go; at most half of the grace.
const CLOSING: Duration = Duration::from_secs(2);

/// Lanes over one subscription.
#[derive(Debug)]
pub struct Runner {
    /// Takes one delivery a step.
    pub consumer: Consumer,
    /// Where they come from.
    pub subscription: Arc<dyn Subscription>,
    /// Time.
    pub runtime: Arc<dyn Runtime>,
    /// Is told how the loops are.
    pub pulse: Arc<Pulse>,
    /// How many events are worked off at once; those of one session always one after the other.
    pub lanes: usize,
    /// How long all of it may take once the worker was told to stop.
    pub grace: Duration,
}

impl Runner {
    /// Consumes until `stop` is done; then works off what was taken, gives back the rest and leaves the group.
    ///
    /// # Errors
    /// The bus ended the subscription by itself: whoever watches over the worker has to start it again.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), &'static str> {
        let closing = CLOSING.min(self.grace / 2);
        let lanes = pin!(join_all((0..self.lanes).map(|_| self.lane())));
        let mut ended = Err("the bus takes no more events out of the group; the log says why");
        if let Either::Right(((), lanes)) = select(lanes, pin!(stop)).await {
            ended = Ok(());
            tracing::info!("stopping: no more events are taken");
            self.pulse.stop();
            self.consumer.stop();
            if let Either::Right(_) = select(lanes, self.runtime.sleep(self.grace - closing)).await {
                tracing::warn!("handlers were still at work when the time to stop was over; their events come again");
            }
        }
        match select(self.subscription.close(), self.runtime.sleep(closing)).await {
            Either::Left((Ok(()), _)) => tracing::info!("left the group"),
            Either::Left((Err(error), _)) => {
                tracing::warn!(%error, source = %error.source, "could not leave the group")
            }
            Either::Right(_) => tracing::warn!("the bus took too long to let the worker go"),
        }
        ended
    }

    async fn lane(&self) {
        loop {
            let step = self.consumer.step().await;
            measured::count(&step);
            match step {
                Ok(Consumed::Closed) => return,
                Ok(Consumed::Revoked) => tracing::info!("an event went to another worker meanwhile"),
                Ok(_) => {}
                Err(error) => {
                    self.pulse.failed();
                    tracing::warn!(%error, source = %error.source, "the bus failed; trying again");
                    self.runtime.sleep(PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use chatcore::error::BackendError;
    use chatcore::event::Malformed;
    use chatcore::port::{Acked, Delivery, DeliveryId, EventBus, Place};
    use chatcore_ports::memory::MemoryBus;
    use chatcore_ports::tokio::TokioRuntime;
    use futures_util::future::{pending, ready};
    use std::sync::Mutex;

    /// It hands out records all the time, and says after 3, 6 and 9 s that it cannot commit, as on Kafka.
    #[derive(Debug)]
    struct Uncommitted(Arc<dyn Runtime>, Mutex<u64>);

    #[async_trait]
    impl Subscription for Uncommitted {
        async fn next(&self) -> Result<Option<Delivery>, BackendError> {
            self.0.sleep(Duration::from_millis(10)).await;
            let seconds = self.0.elapsed().as_secs();
            let told = std::mem::replace(&mut *self.1.lock().unwrap(), seconds);
            if told < seconds && [3, 6, 9].contains(&seconds) {
                return Err(BackendError::later("kafka", "it takes no commits"));
            }
            let place = Place { topic: "t".into(), partition: 0, offset: 0 };
            let event = Err(Malformed::NewerVersion);
            Ok(Some(Delivery { id: DeliveryId("1".into()), place, key: String::new(), attempt: 1, event }))
        }

        async fn ack(&self, _: &DeliveryId) -> Result<Acked, BackendError> {
            Ok(Acked::Done)
        }

        async fn park(&self, _: &DeliveryId, _: &str, _: u32) -> Result<Acked, BackendError> {
            Ok(Acked::Done)
        }

        async fn lag(&self) -> Result<u64, BackendError> {
            Ok(0)
        }

        async fn close(&self) -> Result<(), BackendError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_fails_while_it_hands_out_events_is_unwell_all_the_time() {
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
        let subscription = Arc::new(Uncommitted(runtime.clone(), Mutex::default()));
        let consumer = Consumer::new(subscription.clone(), Vec::new(), runtime.clone(), 1);
        let pulse = Arc::new(Pulse::new(runtime.clone()));
        let grace = Duration::from_secs(5);
        let runner = Runner { consumer, subscription, runtime: runtime.clone(), pulse: pulse.clone(), lanes: 2, grace };
        let mut looks = Vec::new();
        let look = async {
            for _ in 0..160 {
                runtime.sleep(Duration::from_millis(100)).await;
                looks.push(pulse.is_well());
            }
        };
        select(pin!(runner.run(pending())), pin!(look)).await;
        assert!(looks[..29].iter().all(|well| *well), "{looks:?}");
        assert!(looks[31..149].iter().all(|well| !well), "{looks:?}");
        assert!(looks[152..].iter().all(|well| *well), "{looks:?}");
    }

    #[tokio::test]
    async fn a_worker_whose_bus_ends_by_itself_has_failed() {
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
        let bus = MemoryBus::new(runtime.clone());
        for by_itself in [true, false] {
            let subscription = bus.subscribe("workers").await.unwrap();
            let consumer = Consumer::new(subscription.clone(), Vec::new(), runtime.clone(), 1);
            let (runtime, pulse) = (runtime.clone(), Arc::new(Pulse::new(runtime.clone())));
            let grace = Duration::from_secs(5);
            let runner = Runner { consumer, subscription: subscription.clone(), runtime, pulse, lanes: 2, grace };
            let ended = if by_itself {
                // As after a panic of the task that reads.
                subscription.close().await.unwrap();
                runner.run(pending()).await
            } else {
                runner.run(ready(())).await
            };
            assert_eq!(ended.is_err(), by_itself, "{ended:?}");
        }
    }
}

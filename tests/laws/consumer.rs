//! Laws of `Consumer`.

use async_trait::async_trait;
use chatcore::consume::{Consumed, Consumer, EventHandler, Unhandled};
use chatcore::error::BackendError;
use chatcore::event::{Event, EventBody};
use chatcore::id::{SessionId, UserId};
use chatcore::owner::Owner;
use chatcore::port::{
    Acked, DeadLetters, DeadLettersPage, Delivery, DeliveryId, EventBus, Place, Runtime, Subscription,
};
use chatcore_ports::memory::MemoryBus;
use chatcore_ports::sim::{Sim, SimRuntime};
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Fails so many times.
#[derive(Debug)]
struct Failing(AtomicU32);

#[async_trait]
impl EventHandler for Failing {
    async fn handle(&self, _: &Event, _: &Place) -> Result<(), Unhandled> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_or(Ok(()), |_| Err("the disk is full".into()))
    }
}

async fn bus_with_one_event(runtime: &Arc<SimRuntime>) -> MemoryBus {
    let bus = MemoryBus::new(runtime.clone());
    let (session, owner) = (SessionId::from(runtime.new_id()), Owner::User(UserId::parse("u").unwrap()));
    let (at, body) = (runtime.now(), EventBody::SessionDeleted);
    bus.publish(&[Event { session, owner, seq: 1, at, request_id: None, body }]).await.unwrap();
    bus
}

/// Panics so many times, with words of the message.
#[derive(Debug)]
struct Panicking(AtomicU32);

#[async_trait]
impl EventHandler for Panicking {
    async fn handle(&self, event: &Event, _: &Place) -> Result<(), Unhandled> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left.is_err(), "no {event:?}");
        Ok(())
    }
}

/// What a consumer that tries three times makes of an event; and the reasons of the letters.
fn consumed(handler: impl EventHandler) -> (Consumed, Vec<String>) {
    let sim = Sim::new(7);
    let runtime = Arc::new(sim.runtime(0));
    let told = Arc::new(Mutex::new(None));
    let tell = told.clone();
    assert!(sim.run(async move {
        let bus = bus_with_one_event(&runtime).await;
        let handlers: Vec<Arc<dyn EventHandler>> = vec![Arc::new(handler)];
        let subscription = bus.subscribe("workers").await.unwrap();
        let consumed = Consumer::new(subscription, handlers, runtime, 3).step().await.unwrap();
        let letters = bus.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
        *tell.lock().unwrap() = Some((consumed, letters.into_iter().map(|letter| letter.reason).collect()));
    }));
    let told = told.lock().unwrap().take();
    told.unwrap()
}

#[test]
fn a_handler_that_fails_is_tried_again_and_then_the_event_is_parked_with_its_reason() {
    let failing = |failures| consumed(Failing(AtomicU32::new(failures)));
    assert_eq!(failing(2), (Consumed::Handled, vec![]));
    assert_eq!(failing(3), (Consumed::Parked, vec!["the disk is full".to_owned()]));
}

#[test]
fn a_handler_that_panics_has_failed_and_its_words_are_in_no_letter() {
    let panicking = |panics| consumed(Panicking(AtomicU32::new(panics)));
    assert_eq!(panicking(2), (Consumed::Handled, vec![]));
    assert_eq!(panicking(3), (Consumed::Parked, vec!["the handler panicked".to_owned()]));
}

/// Never gets done with its first calls, as if its process died in them.
#[derive(Debug)]
struct DiesAtFirst(AtomicU32);

#[async_trait]
impl EventHandler for DiesAtFirst {
    async fn handle(&self, _: &Event, _: &Place) -> Result<(), Unhandled> {
        if self.0.fetch_add(1, Ordering::Relaxed) < 7 {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[test]
fn only_failures_of_a_handler_count_and_not_deliveries_that_a_crash_cut_off() {
    let sim = Sim::new(7);
    let runtime = Arc::new(sim.runtime(0));
    assert!(sim.run(async move {
        let bus = bus_with_one_event(&runtime).await;
        let handlers: Vec<Arc<dyn EventHandler>> = vec![Arc::new(DiesAtFirst(AtomicU32::new(0)))];
        let mut consumed = None;
        for _ in 0..8 {
            let subscription = bus.subscribe("workers").await.unwrap();
            let consumer = Consumer::new(subscription.clone(), handlers.clone(), runtime.clone(), 3);
            let dies = runtime.sleep(Duration::from_secs(1));
            if let Either::Left((step, _)) = select(std::pin::pin!(consumer.step()), dies).await {
                consumed = Some(step.unwrap());
            }
            subscription.close().await.unwrap();
        }
        assert_eq!(consumed, Some(Consumed::Handled), "the eighth delivery");
        assert!(bus.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap().is_empty());
    }));
}

/// Says this, one after the other, and then does it; and when it was asked.
#[derive(Debug)]
struct Says {
    runtime: Arc<SimRuntime>,
    words: Mutex<VecDeque<Unhandled>>,
    asked: Mutex<Vec<Duration>>,
}

#[async_trait]
impl EventHandler for Says {
    async fn handle(&self, _: &Event, _: &Place) -> Result<(), Unhandled> {
        self.asked.lock().unwrap().push(self.runtime.elapsed());
        self.words.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

/// What a consumer that is stopped after so long makes of an event whose handler says this, with the pauses between its tries, and how
/// many letters there are. Then another consumer.
fn said(words: impl IntoIterator<Item = Unhandled>, stops: Duration) -> ([Consumed; 2], Vec<Duration>, usize) {
    let sim = Sim::new(7);
    let runtime = Arc::new(sim.runtime(0));
    let told = Arc::new(Mutex::new(None));
    let (tell, words) = (told.clone(), Mutex::new(words.into_iter().collect()));
    assert!(sim.run(async move {
        let bus = bus_with_one_event(&runtime).await;
        let says = Arc::new(Says { runtime: runtime.clone(), words, asked: Mutex::default() });
        let consume = async || {
            let subscription = bus.subscribe("workers").await.unwrap();
            let consumer = Consumer::new(subscription.clone(), vec![says.clone()], runtime.clone(), 3);
            let step = async {
                let consumed = consumer.step().await.unwrap();
                subscription.close().await.unwrap();
                consumed
            };
            let stop = async {
                runtime.sleep(stops).await;
                consumer.stop();
            };
            futures_util::future::join(step, stop).await.0
        };
        let consumed = [consume().await, consume().await];
        let letters = bus.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
        let asked = says.asked.lock().unwrap();
        let pauses = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        *tell.lock().unwrap() = Some((consumed, pauses, letters.len()));
    }));
    let told = told.lock().unwrap().take();
    told.unwrap()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn what_is_away_is_waited_for_as_long_as_it_takes_and_is_no_reason_to_park() {
    let mixed = (0..2000).map(|number| match number {
        40 | 1500 => Unhandled::Failed("the disk is full".into()),
        _ => Unhandled::away("nobody is there"),
    });
    let (consumed, pauses, letters) = said(mixed, DAY);
    assert_eq!((consumed, letters), ([Consumed::Handled, Consumed::Closed], 0));
    for (number, pause) in pauses.iter().enumerate() {
        let whole = Duration::from_millis(100 << number.min(6));
        assert!(whole / 2 < *pause && *pause <= whole, "{number}: {pause:?}");
    }
    assert!(pauses[10..20].windows(2).any(|pair| pair[0] != pair[1]), "lanes do not come back all at once");
}

#[test]
fn who_asks_to_be_left_alone_is_left_alone_within_bounds() {
    for (asks, waited) in [(1, 1), (90, 90), (3600, 300), (u64::MAX, 300)] {
        let retry_after = Some(Duration::from_secs(asks));
        let (consumed, pauses, _) = said([Unhandled::Away { reason: "busy".into(), retry_after }], DAY);
        let waited = Duration::from_secs(waited);
        assert_eq!(consumed[0], Consumed::Handled);
        assert!(pauses[0] > waited && pauses[0] <= waited + Duration::from_millis(100), "{asks}: {pauses:?}");
    }
}

#[test]
fn what_a_handler_refuses_is_parked_at_once() {
    let (consumed, pauses, letters) = said([Unhandled::Refused("not this".into())], DAY);
    assert_eq!((consumed, pauses.len(), letters), ([Consumed::Parked, Consumed::Closed], 0, 1));
}

#[test]
fn who_is_stopped_while_it_waits_gives_the_event_back() {
    let away = || Unhandled::Away { reason: "busy".into(), retry_after: Some(DAY) };
    let (consumed, pauses, letters) = said([away()], Duration::from_secs(1));
    assert_eq!((consumed, letters), ([Consumed::Closed, Consumed::Handled], 0));
    assert_eq!(pauses, [Duration::from_secs(1)], "at once");
}

/// Another is to have each delivery after a second.
#[derive(Debug)]
struct Moving(Arc<dyn Subscription>, Arc<SimRuntime>);

#[async_trait]
impl Subscription for Moving {
    async fn next(&self) -> Result<Option<Delivery>, BackendError> {
        self.0.next().await
    }

    async fn ack(&self, id: &DeliveryId) -> Result<Acked, BackendError> {
        self.0.ack(id).await
    }

    async fn park(&self, id: &DeliveryId, reason: &str, tries: u32) -> Result<Acked, BackendError> {
        self.0.park(id, reason, tries).await
    }

    async fn revoked(&self, _: &DeliveryId) {
        self.1.sleep(Duration::from_secs(1)).await;
    }

    async fn lag(&self) -> Result<u64, BackendError> {
        self.0.lag().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.0.close().await
    }
}

#[test]
fn who_waits_with_a_delivery_that_another_is_to_have_waits_no_longer() {
    let sim = Sim::new(7);
    let runtime = Arc::new(sim.runtime(0));
    assert!(sim.run(async move {
        let bus = bus_with_one_event(&runtime).await;
        let away = Unhandled::Away { reason: "busy".into(), retry_after: Some(DAY) };
        let (words, asked) = (Mutex::new([away].into()), Mutex::default());
        let says = Arc::new(Says { runtime: runtime.clone(), words, asked });
        let subscription = Moving(bus.subscribe("workers").await.unwrap(), runtime.clone());
        let consumer = Consumer::new(Arc::new(subscription), vec![says.clone()], runtime.clone(), 3);
        let start = runtime.elapsed();
        assert_eq!(consumer.step().await.unwrap(), Consumed::Revoked);
        assert_eq!(runtime.elapsed() - start, Duration::from_secs(1));
        assert_eq!(says.asked.lock().unwrap().len(), 1, "and is not asked again");
    }));
}

#[test]
fn a_consumer_that_is_stopped_takes_no_more() {
    let sim = Sim::new(7);
    let runtime = Arc::new(sim.runtime(0));
    assert!(sim.run(async move {
        let bus = MemoryBus::new(runtime.clone());
        let consumer = Consumer::new(bus.subscribe("workers").await.unwrap(), vec![], runtime.clone(), 3);
        let stopper = consumer.clone();
        let stop = async {
            runtime.sleep(Duration::from_secs(1)).await;
            stopper.stop();
        };
        let (waiting, ()) = futures_util::future::join(consumer.step(), stop).await;
        assert_eq!(waiting.unwrap(), Consumed::Closed);
        assert_eq!(consumer.step().await.unwrap(), Consumed::Closed);
    }));
}

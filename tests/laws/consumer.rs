//! Laws of `Consumer`.

use async_trait::async_trait;
use chatcore::consume::{Consumed, Consumer, EventHandler};
use chatcore::event::{Event, EventBody};
use chatcore::id::{SessionId, UserId};
use chatcore::owner::Owner;
use chatcore::port::{DeadLetters, DeadLettersPage, EventBus, Place, Runtime};
use chatcore_ports::memory::MemoryBus;
use chatcore_ports::sim::{Sim, SimRuntime};
use futures_util::future::{Either, select};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Fails so many times.
#[derive(Debug)]
struct Failing(AtomicU32);

#[async_trait]
impl EventHandler for Failing {
    async fn handle(&self, _: &Event, _: &Place) -> Result<(), String> {
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
    async fn handle(&self, event: &Event, _: &Place) -> Result<(), String> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left.is_err(), "no {event:?}");
        Ok(())
    }
}

/// What a consumer that tries three times makes of an event; and the reasons of the letters.
fn consumed(handler: impl EventHandler) -> (Consumed, Vec<String>) {
    let sim = Sim::new(7);
    let runtime = Arc::new(sim.runtime(0));
    let told = Arc::new(std::sync::Mutex::new(None));
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
    async fn handle(&self, _: &Event, _: &Place) -> Result<(), String> {
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

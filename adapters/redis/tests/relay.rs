//! The outbox as a queue: relays at work, and at rest.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::policy::OutboxFull;
use chatcore::port::{EventBus, Outbox, Published, Settled, Subscription};
use chatcore::relay::Relay;
use chatcore_ports::tokio::TokioRuntime;
use common::events::{count, event, publish, session};
use common::{Server, config, open};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A bus that takes most events at once and some only when they come again.
#[derive(Debug, Default)]
struct Recorder(Mutex<(Vec<Event>, usize)>);

#[async_trait]
impl EventBus for Recorder {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        tokio::task::yield_now().await;
        let (taken, calls) = &mut *self.0.lock().unwrap();
        let mut failed = Vec::new();
        let take = events.iter().map(|event| {
            *calls += 1;
            if calls.is_multiple_of(7) || failed.contains(&event.session) {
                failed.push(event.session);
                return Published::Later(BackendError::later("recorder", "not now"));
            }
            taken.push(event.clone());
            Published::Done
        });
        Ok(take.collect())
    }

    async fn subscribe(&self, _group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        Err(BackendError::never("recorder", "nobody reads it"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_at_once_lose_nothing_and_keep_the_order() {
    let server = Server::start();
    let mut config = config(&[server.url()]);
    config.limits.outbox_full = OutboxFull::Refuse;
    // As where one was frozen: they do not take turns.
    config.relay_lease = Duration::ZERO;
    let (one, two) = (open(&config).await, open(&config).await);
    let sessions: Vec<SessionId> = (1..=40).map(session).collect();
    let all: Vec<Event> = (1..=10).flat_map(|seq| sessions.iter().map(move |session| event(*session, seq))).collect();
    publish(&one, &all).await;
    let bus = Arc::new(Recorder::default());
    let relays = [(one.clone(), 7), (two, 16)].map(|(outbox, batch)| {
        let runtime = Arc::new(TokioRuntime::current());
        let mut relay = Relay::new(outbox.clone(), bus.clone(), runtime, batch, Duration::ZERO);
        tokio::spawn(async move {
            while outbox.backlog().await.unwrap().events > 0 {
                relay.step().await.unwrap();
            }
        })
    });
    for relay in relays {
        timeout(Duration::from_secs(30), relay).await.expect("what is settled is out").unwrap();
    }
    let mut seen: BTreeMap<SessionId, u64> = BTreeMap::new();
    for event in &bus.0.lock().unwrap().0 {
        let last = seen.entry(event.session).or_default();
        assert!(event.seq <= *last + 1, "event {} of a session was published after {last}", event.seq);
        *last = event.seq.max(*last);
    }
    assert_eq!(seen.values().copied().collect::<Vec<_>>(), [10; 40], "every event was published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_waits_is_woken_and_costs_one_look_a_second() {
    let server = Server::start();
    let mut config = config(&[server.url()]);
    config.limits.outbox_full = OutboxFull::Refuse;
    let (store, writer) = (open(&config).await, open(&config).await);
    let before = count(&server, "xlen");
    assert_eq!(store.claim(10, Duration::from_millis(1900)).await.unwrap(), []);
    let looks = count(&server, "xlen") - before;
    assert!(looks <= 5 * 16, "{looks} looks in two seconds");
    let start = Instant::now();
    for number in 1..=5 {
        let (claimed, ()) = tokio::join!(store.claim(10, Duration::from_secs(9)), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            publish(&writer, &[event(session(number), 1)]).await;
        });
        let settled: Vec<_> = claimed.unwrap().into_iter().map(|entry| (entry.id, Settled::Published)).collect();
        assert_eq!(settled.len(), 1);
        store.settle(&settled).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(900), "each was woken, not found by the look of a second");
}

//! What the tests share: one real broker for each test binary, and short ways to ask and answer.
#![allow(dead_code, unused_imports, reason = "no test binary uses all of it")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test says why it is skipped")]

mod broker;
mod damage;

pub(crate) use broker::{Broker, broker};
pub(crate) use damage::{
    OF_COMMITS, OF_LEADERS, OF_TOPICS, answered, damage, joins, lose, lose_no_more, open_line, spoil, tell_late,
};

use chatcore::event::{Event, EventBody};
use chatcore::id::{MessageId, SessionId, UserId};
use chatcore::message::Message;
use chatcore::owner::Owner;
use chatcore::port::{Acked, Delivery, EventBus, Probe, Published, Runtime, Subscription};
use chatcore::stamp::{from_micros, micros};
use chatcore_kafka::{Kafka, KafkaConfig};
use chatcore_ports::tokio::TokioRuntime;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Settings with topics and groups of their own.
pub(crate) fn config(broker: &Broker) -> KafkaConfig {
    let mut config = KafkaConfig::new(vec![format!("127.0.0.1:{}", broker.port)]);
    let name = TokioRuntime::current().new_id().simple().to_string();
    let topics = &mut config.topics;
    for topic in [&mut topics.requests, &mut topics.responses, &mut topics.sessions, &mut topics.dlq] {
        *topic = format!("{topic}-{name}");
    }
    config.group_prefix = format!("{name}-");
    config.session_timeout = Duration::from_secs(1);
    config
}

/// Opens the bus as another process would.
pub(crate) fn open(config: KafkaConfig) -> Kafka {
    Kafka::open(config, Arc::new(TokioRuntime::current())).expect("good settings")
}

pub(crate) fn new_session() -> SessionId {
    SessionId::from(TokioRuntime::current().new_id())
}

/// Question number `seq` of a session.
pub(crate) fn question(session: SessionId, seq: u64, text: &str) -> Event {
    let runtime = TokioRuntime::current();
    let (turn, at) = (MessageId::from(runtime.new_id()), from_micros(micros(runtime.now())));
    let body = EventBody::ChatRequested(Box::new(Message::question(turn, seq, text.to_owned(), at)));
    Event { session, owner: Owner::User(UserId::parse("ann").unwrap()), seq, at, request_id: None, body }
}

/// Publishes events as a relay does: again and again, until all are done.
pub(crate) async fn publish(bus: &Kafka, events: &[Event]) {
    let mut left = events.to_vec();
    while !left.is_empty() {
        match bus.publish(&left).await {
            Ok(results) => {
                let pairs = left.into_iter().zip(results);
                left = pairs.filter(|(_, result)| !matches!(result, Published::Done)).map(|(event, _)| event).collect();
            }
            Err(error) => assert!(error.may_pass(), "{error:?}"),
        }
        if !left.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) async fn next(member: &Arc<dyn Subscription>) -> Delivery {
    let next = timeout(Duration::from_secs(30), member.next()).await.expect("next comes back in time");
    next.expect("next answers").expect("it is open")
}

/// Waits until the probe finds all well.
pub(crate) async fn well(bus: &Kafka) {
    looks(bus, |said| said.is_none()).await;
}

/// Waits until it says all this of what is wrong.
pub(crate) async fn unwell(bus: &Kafka, all: [&str; 2]) {
    looks(bus, |said| said.is_some_and(|said| all.iter().all(|word| said.contains(word)))).await;
}

/// It has a second for each look, which a busy machine may need more of.
async fn looks(bus: &Kafka, is_it: impl Fn(Option<&str>) -> bool) {
    let mut said = None;
    let told = async {
        loop {
            said = bus.check().await.err().map(|error| error.source.to_string());
            if is_it(said.as_deref()) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(timeout(Duration::from_secs(20), told).await.is_ok(), "the probe says {said:?}");
}

/// The event of the next delivery, which is worked off.
pub(crate) async fn take(member: &Arc<dyn Subscription>) -> Event {
    let delivery = next(member).await;
    assert_eq!(member.ack(&delivery.id).await.unwrap(), Acked::Done);
    delivery.event.expect("an event")
}

type Member = Arc<dyn Subscription>;

/// The next delivery of one of the two, and whose it is.
pub(crate) async fn either<'a>(first: &'a Member, second: &'a Member) -> (&'a Member, Delivery) {
    match select(pin!(next(first)), pin!(next(second))).await {
        Either::Left((delivery, _)) => (first, delivery),
        Either::Right((delivery, _)) => (second, delivery),
    }
}

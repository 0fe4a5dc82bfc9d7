//! Events without a session store: published by hand.

use super::Server;
use chatcore::event::{Event, EventBody};
use chatcore::id::{MessageId, SessionId, UserId};
use chatcore::message::Message;
use chatcore::owner::Owner;
use chatcore::port::{Delivery, EventBus, Published, Subscription};
use chatcore::stamp::from_micros;
use chatcore_redis::Redis;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Sessions of one partition or, by their last digit, of several.
pub(crate) fn session(number: u128) -> SessionId {
    SessionId::from(Uuid::from_u128(0xc0ff_ee00_0000_4000_8000_0000_0000_0000 | number))
}

pub(crate) fn event(session: SessionId, seq: u64) -> Event {
    let at = from_micros(1_767_225_600_000_000 + i64::try_from(seq).unwrap());
    let message = Message::question(MessageId::from(Uuid::from_u128(seq.into())), seq, format!("question {seq}"), at);
    let owner = Owner::User(UserId::parse("ann").unwrap());
    Event { session, owner, seq, at, request_id: None, body: EventBody::ChatRequested(Box::new(message)) }
}

pub(crate) async fn publish(store: &Redis, events: &[Event]) {
    let published = store.publish(events).await.unwrap();
    assert!(published.iter().all(|published| matches!(published, Published::Done)), "{published:?}");
}

pub(crate) async fn next(member: &Arc<dyn Subscription>) -> Delivery {
    timeout(Duration::from_secs(20), member.next()).await.expect("a delivery comes").unwrap().unwrap()
}

pub(crate) fn seq(delivery: &Delivery) -> u64 {
    delivery.event.as_ref().unwrap().seq
}

/// How often a command was run.
pub(crate) fn count(server: &Server, command: &str) -> u64 {
    server.commands().iter().find(|(name, _)| name == command).map_or(0, |(_, calls)| *calls)
}

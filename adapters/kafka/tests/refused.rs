//! What a broker refuses for its content: nothing waits behind it for ever, and nothing is lost that can be had.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::event::{Event, EventBody};
use chatcore::id::SessionId;
use chatcore::port::{Acked, DeadLetters, DeadLettersPage, EventBus, Published, Replay, Subscription};
use chatcore::stamp::{from_micros, micros};
use chatcore_kafka::Kafka;
use common::{broker, new_session, next, open, open_line, publish, question, spoil, take};
use std::collections::BTreeMap;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_never_taken_is_refused_alone() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.partitions = 1;
    open_line(broker);
    config.bootstrap_servers = vec![format!("127.0.0.1:{}", broker.line())];
    let (bus, session, other) = (open(config), new_session(), new_session());
    spoil("never to be taken");
    let text = |seq| if seq == 7 { "never to be taken" } else { "?" };
    let of = |session, seqs: std::ops::RangeInclusive<u64>| seqs.map(move |seq| question(session, seq, text(seq)));
    let events: Vec<Event> = of(session, 1..=12).chain(of(other, 1..=3)).collect();
    let results = bus.publish(&events).await.unwrap();
    for (event, result) in events.iter().zip(&results) {
        match (event.seq, result) {
            (7, Published::Refused(why)) => assert!(why.contains("InvalidRecord"), "{why}"),
            (7, result) => panic!("it is never taken: {result:?}"),
            (_, result) => assert!(matches!(result, Published::Done), "{} {result:?}", event.seq),
        }
    }
    let member = bus.subscribe("group").await.unwrap();
    let left: Vec<_> = events.into_iter().filter(|event| event.seq != 7).collect();
    assert_eq!(read(&member, left.len()).await, by_session(left));
    member.close().await.unwrap();
}

/// Hours ahead, every record is of a time that a broker does not take; unless it is told otherwise, it takes an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_by_hours_holds_back_no_event_and_puts_none_aside() {
    let Some(broker) = broker().await else { return };
    let bus = open(common::config(broker));
    let sessions: Vec<_> = (0..10).map(|_| new_session()).collect();
    let mut events = Vec::new();
    for session in sessions {
        events.extend((1..=4).map(|seq| shifted(question(session, seq, "?"), HOURS)));
        events.push(shifted(Event { body: EventBody::SessionDeleted, ..question(session, 5, "") }, HOURS));
    }
    taken_at_once(&bus, &events).await;
    let member = bus.subscribe("group").await.unwrap();
    assert_eq!(read(&member, events.len()).await, by_session(events), "in order, each with the time that it had");
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_time_are_read_among_those_with_one_as_if_they_had_theirs() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.partitions = 1;
    for topic in [&config.topics.sessions, &config.topics.dlq] {
        let make = ["topics", "--create", "--topic", topic, "--partitions", "1"];
        broker.tool(&[&make[..], &["--config", "message.timestamp.before.max.ms=0"]].concat()).await;
    }
    let bus = open(config);
    let mut events = Vec::new();
    // More than is fetched at once.
    for _ in 0..1000 {
        let session = new_session();
        events.push(shifted(question(session, 1, "?"), -HOURS));
        events.push(shifted(Event { body: EventBody::SessionDeleted, ..question(session, 2, "") }, -HOURS));
    }
    taken_at_once(&bus, &events).await;
    let member = bus.subscribe("group").await.unwrap();
    assert!(read(&member, events.len()).await == by_session(events), "a question comes before what follows it");
    // Nor does it keep a letter from being written, or given back.
    publish(&bus, &[question(new_session(), 1, "?")]).await;
    let held = next(&member).await;
    assert_eq!(member.park(&held.id, "a test", 1).await.unwrap(), Acked::Done);
    let letters = bus.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
    assert_eq!(letters.iter().map(|letter| &*letter.reason).collect::<Vec<_>>(), ["a test"]);
    assert_eq!(bus.replay(&letters[0].id).await.unwrap(), Replay::Queued);
    assert_eq!(take(&member).await, held.event.unwrap());
    member.close().await.unwrap();
}

async fn taken_at_once(bus: &Kafka, events: &[Event]) {
    let results = bus.publish(events).await.unwrap();
    assert!(results.iter().all(|result| matches!(result, Published::Done)), "{results:?}");
}

/// More than a broker takes.
const HOURS: i64 = 3 * 3600 * 1_000_000;

/// As if the clock had been off by so many microseconds.
fn shifted(mut event: Event, by: i64) -> Event {
    event.at = from_micros(micros(event.at) + by);
    if let EventBody::ChatRequested(message) = &mut event.body {
        message.at = event.at;
    }
    event
}

/// Of each session its events, in their order.
type BySession = BTreeMap<SessionId, Vec<Event>>;

fn by_session(events: impl IntoIterator<Item = Event>) -> BySession {
    let mut sessions = BySession::new();
    for event in events {
        sessions.entry(event.session).or_default().push(event);
    }
    sessions
}

/// The next events, worked off one after the other.
async fn read(member: &Arc<dyn Subscription>, count: usize) -> BySession {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(take(member).await);
    }
    by_session(events)
}

//! What members are given: everything, in order, and one of a session at a time.

use super::BusHarness;
use super::member::{Member, event, events, new_session, next_of, nothing_for, publish};
use chatcore::event::{Event, EventId};
use chatcore::id::SessionId;
use chatcore::port::{Acked, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Each event comes as it was published, those of a session in order, and soon after they were published; nothing is
/// lost by a call that is dropped.
pub async fn an_event_is_delivered_at_least_once(harness: &BusHarness) {
    let open = harness.open().await;
    let sessions = [new_session(), new_session(), new_session()];
    let all: Vec<Event> = (1..=6).flat_map(|seq| sessions.map(|session| event(session, seq))).collect();
    publish(&open.bus, &all[..9]).await;
    let members = Member::two(&open, "group").await;
    let mut seen: BTreeMap<EventId, (Event, Place)> = BTreeMap::new();
    for round in 0..18 {
        if round == 9 {
            nothing_for(&members, harness.wait(Duration::from_millis(30)), "all was worked off").await;
            publish(&open.elsewhere, &all[9..]).await;
        }
        let (index, delivery) = next_of(&members).await;
        assert_eq!(delivery.attempt, 1, "nothing was cut off: {delivery:?}");
        let event = delivery.event.as_ref().expect("an event").clone();
        assert_eq!(delivery.key, event.session.to_string(), "the key is the session's id");
        assert_eq!(members[index].ack(&delivery).await, Acked::Done);
        let before: Vec<_> = seen.values().filter(|(other, _)| other.session == event.session).collect();
        assert_eq!(event.seq, before.len() as u64 + 1, "the events of a session come in order");
        assert!(before.iter().all(|(_, place)| stands_behind(place, &delivery.place)), "{:?}", delivery.place);
        seen.insert(event.id(), (event, delivery.place));
    }
    let came = |event: &Event| seen.get(&event.id()).is_some_and(|(came, _)| came == event);
    assert!(all.iter().all(came), "an event came other than it was published");
    let places: BTreeSet<_> = seen.values().map(|(_, place)| place).collect();
    assert_eq!(places.len(), all.len(), "no two events stand in one place");
    comes_while_waiting(harness, &members, &sessions).await;
}

/// Also where the topics of a session are several, within each of them.
fn stands_behind(earlier: &Place, later: &Place) -> bool {
    (&earlier.topic, earlier.partition) != (&later.topic, later.partition) || earlier.offset < later.offset
}

async fn comes_while_waiting(harness: &BusHarness, members: &[Member; 2], sessions: &[SessionId]) {
    let open = harness.open().await;
    let member = Member::join(&open.bus, "waits").await;
    let published = event(sessions[0], 1);
    let publish = async {
        harness.wait(Duration::from_millis(30)).await;
        publish(&open.elsewhere, std::slice::from_ref(&published)).await;
    };
    let (taken, ()) = tokio::join!(member.take(), publish);
    assert_eq!(taken, published, "the event that it waited for");
    nothing_for(members, harness.wait(Duration::from_millis(30)), "another bus's event").await;
}

/// Of a session with many events one is in hand, while other sessions go on; also with many lanes at once.
pub async fn at_most_one_delivery_of_a_session_is_outstanding(harness: &BusHarness) {
    let open = harness.open().await;
    let (long, short) = (new_session(), new_session());
    publish(&open.bus, &[events(long, 4), events(short, 1)].concat()).await;
    let members = Member::two(&open, "group").await;
    let (one, first) = next_of(&members).await;
    let (two, second) = next_of(&members).await;
    assert_ne!(first.key, second.key, "two deliveries of a session are outstanding");
    let wait = harness.wait(Duration::from_millis(60));
    nothing_for(&members, wait, "both sessions are in hand, and another record came").await;
    assert_eq!(members[one].ack(&first).await, Acked::Done);
    assert_eq!(members[two].ack(&second).await, Acked::Done);
    for seq in 2..=4 {
        let (index, delivery) = next_of(&members).await;
        let event = delivery.event.as_ref().expect("an event");
        assert_eq!((event.session, event.seq), (long, seq), "the rest of the long session, in order");
        assert_eq!(members[index].ack(&delivery).await, Acked::Done);
    }
    many_lanes(harness).await;
}

type InHand = Arc<Mutex<BTreeMap<String, u64>>>;

/// Six lanes over two members, twelve sessions of eight events.
async fn many_lanes(harness: &BusHarness) {
    let open = harness.open().await;
    let sessions: Vec<SessionId> = (0..12).map(|_| new_session()).collect();
    let all: Vec<Event> = (1..=8).flat_map(|seq| sessions.iter().map(move |session| event(*session, seq))).collect();
    publish(&open.bus, &all).await;
    let (members, in_hand, done) = (Member::two(&open, "lanes").await, InHand::default(), Arc::new(AtomicU64::new(0)));
    let lanes = [0, 1, 0, 1, 0, 1]
        .map(|index| tokio::spawn(lane(members[index].clone(), harness.clone(), in_hand.clone(), done.clone())));
    for _ in 0..2000 {
        if done.load(Ordering::SeqCst) == 96 || lanes.iter().any(|lane| lane.is_finished()) {
            break;
        }
        harness.wait(Duration::from_millis(10)).await;
    }
    for member in &members {
        member.close().await;
    }
    for lane in lanes {
        lane.await.expect("a lane sees each session's events one by one and in order");
    }
    assert_eq!(in_hand.lock().expect("no lane panicked").values().sum::<u64>(), 96, "every event was worked off");
}

/// Notes what it has in hand; no other lane may have an event of that session until it is worked off.
async fn lane(member: Member, harness: BusHarness, in_hand: InHand, done: Arc<AtomicU64>) {
    while let Some(delivery) = member.may_end().await {
        let seq = delivery.event.as_ref().expect("an event").seq;
        let last = in_hand.lock().expect("no lane panicked").remove(&delivery.key);
        assert_eq!(last.unwrap_or_default(), seq - 1, "{} is in two hands, or out of order", delivery.key);
        harness.wait(Duration::from_millis(1)).await;
        let other = in_hand.lock().expect("no lane panicked").insert(delivery.key.clone(), seq);
        assert_eq!(other, None, "{} was in two hands", delivery.key);
        assert_eq!(member.ack(&delivery).await, Acked::Done);
        done.fetch_add(1, Ordering::SeqCst);
    }
}

/// Of its own group, what is in hand too.
pub async fn lag_counts_what_is_not_worked_off(harness: &BusHarness) {
    let open = harness.open().await;
    let (long, short) = (new_session(), new_session());
    let member = Member::join(&open.bus, "group").await;
    assert_eq!(member.lag().await, 0, "an empty bus");
    publish(&open.bus, &[events(long, 3), events(short, 2)].concat()).await;
    assert_eq!(member.lag().await, 5, "nothing is worked off");
    let delivery = member.next().await;
    assert_eq!(member.lag().await, 5, "one is in hand");
    member.ack(&delivery).await;
    assert_eq!(member.lag().await, 4, "one is worked off");
    let delivery = member.next().await;
    member.park(&delivery, "no handler").await;
    assert_eq!(member.lag().await, 3, "one is worked off and one parked");
    let other = Member::join(&open.elsewhere, "other").await;
    assert_eq!((other.lag().await, member.lag().await), (5, 3), "each group counts for itself");
    for _ in 0..3 {
        member.take().await;
    }
    assert_eq!(member.lag().await, 0, "all is worked off");
}

/// Where others write to the bus: what is no event comes as `Err`, can be parked, and stops nothing.
pub async fn a_malformed_record_is_delivered_as_such(harness: &BusHarness) {
    let open = harness.open().await;
    let session = new_session();
    for raw in ["{\"v\":1}", "no JSON", "{\"v\":99,\"type\":\"chat.thought\"}"] {
        if !open.inject(session, raw.as_bytes()).await {
            return;
        }
    }
    publish(&open.bus, &[event(session, 1)]).await;
    let member = Member::join(&open.bus, "group").await;
    for _ in 0..3 {
        let delivery = member.next().await;
        let malformed = delivery.event.as_ref().expect_err("no event").to_string();
        assert_eq!(member.park(&delivery, &malformed).await, Acked::Done);
    }
    assert_eq!(member.take().await.seq, 1, "the session goes on");
}

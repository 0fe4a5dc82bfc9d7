//! What goes onto the bus, and what goes off it for good.

use super::member::{Member, event, events, new_session, nothing_for, publish};
use super::{BusHarness, OpenBus};
use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::port::{Acked, DeadLetter, DeadLettersPage, Published};
use std::collections::BTreeMap;
use std::time::Duration;

/// One result for each event, in order; after a failure none of that session's, and all of the others'. Published
/// again, the session's events come in order.
pub async fn once_an_event_of_a_session_fails_no_later_one_of_that_session_is_published(harness: &BusHarness) {
    let open = harness.open().await;
    let first = new_session();
    let sessions = [first, open.apart_from(first)];
    let pairs = (1..=4).flat_map(|seq| sessions.map(|session| event(session, seq)));
    let batch: Vec<Event> = pairs.collect();
    let failing = open.fail(sessions[0]).await;
    let published = open.bus.publish(&batch).await.expect("publish answers");
    assert_eq!(published.len(), batch.len(), "one result for each");
    let mut failed = Vec::new();
    for (event, published) in batch.iter().zip(&published) {
        match published {
            Published::Done => assert!(failed.is_empty() || event.session == sessions[1], "{event:?} overtook another"),
            Published::Later(_) => failed.push(event.clone()),
            Published::Refused(reason) => panic!("{event:?} is refused: {reason}"),
        }
    }
    assert_eq!(!failed.is_empty(), failing, "what was made to fail, failed: {published:?}");
    assert!(failed.iter().all(|event| event.session == sessions[0]), "another session failed too: {failed:?}");
    publish(&open.bus, &failed).await;
    all_in_order(&open).await;
    a_refused_one(&open).await;
}

/// Two sessions of four events.
async fn all_in_order(open: &OpenBus) {
    let member = Member::join(&open.bus, "group").await;
    let mut seen: BTreeMap<SessionId, u64> = BTreeMap::new();
    while seen.values().sum::<u64>() < 8 {
        let event = member.take().await;
        let last = seen.entry(event.session).or_default();
        assert!(event.seq <= *last + 1, "event {} of a session came after {last}", event.seq);
        *last = event.seq.max(*last);
    }
}

/// An event that the bus will never take is told from one that may pass, and stops no other.
async fn a_refused_one(open: &OpenBus) {
    let Some(refused) = open.refused().cloned() else { return };
    let batch = [event(refused.session, 1), refused.clone(), event(new_session(), 1)];
    let published = open.bus.publish(&batch).await.expect("publish answers");
    let kinds = matches!(published.as_slice(), [Published::Done, Published::Refused(_), Published::Done]);
    assert!(kinds, "an event that is never taken: {published:?}");
}

/// Also where others have read them; and a known group goes on where it was.
pub async fn a_new_group_starts_at_the_oldest_event(harness: &BusHarness) {
    let open = harness.open().await;
    let session = new_session();
    let all = events(session, 5);
    publish(&open.bus, &all[..3]).await;
    let first = Member::join(&open.bus, "first").await;
    for event in &all[..2] {
        assert_eq!(first.take().await, *event, "the first group begins with the oldest event");
    }
    first.close().await;
    let second = Member::join(&open.elsewhere, "second").await;
    publish(&open.elsewhere, &all[3..]).await;
    for event in &all {
        assert_eq!(second.take().await, *event, "another group begins with the oldest event too");
    }
    let first = Member::join(&open.elsewhere, "first").await;
    for event in &all[2..] {
        assert_eq!(first.take().await, *event, "a known group goes on where it was");
    }
    nothing_for(&[first, second], harness.wait(Duration::from_millis(50)), "all was worked off").await;
}

/// With its key, its group and its bytes; and the session goes on, for every other group too.
pub async fn a_parked_record_is_in_the_dead_letters_with_its_reason(harness: &BusHarness) {
    let open = harness.open().await;
    let session = new_session();
    let all = events(session, 3);
    publish(&open.bus, &all).await;
    let member = Member::join(&open.bus, "group").await;
    let first = member.next().await;
    assert_eq!(member.park(&first, "no handler: không").await, Acked::Done);
    assert_eq!(member.take().await, all[1], "the session goes on");
    let letters = letters(&open).await;
    assert_eq!(letters.len(), 1, "one record was parked: {letters:?}");
    let told = (letters[0].key.as_str(), letters[0].group.as_str(), letters[0].reason.as_str());
    assert_eq!(told, (session.to_string().as_str(), "group", "no handler: không"), "{:?}", letters[0]);
    let read = Event::from_json(&letters[0].raw, all[0].request_id.clone());
    assert_eq!(read.as_ref(), Ok(&all[0]), "the record as it was");
    let again = member.0.park(&first.id, "again", 1).await;
    assert!(again.is_ok() && self::letters(&open).await == letters, "a repeated park: {again:?}");
    let other = Member::join(&open.bus, "other").await;
    assert_eq!(other.take().await, all[0], "another group has the record");
}

async fn letters(open: &OpenBus) -> Vec<DeadLetter> {
    open.letters.list(&DeadLettersPage { after: None, limit: 100 }).await.expect("list answers")
}

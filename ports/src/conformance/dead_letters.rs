//! The laws of `DeadLetters`. Its records come from the bus, so the harness is the bus's.

use super::event_bus::{BusHarness, Member, OpenBus, events, new_session, nothing_for, publish};
use super::law::{laws, real_time};
use chatcore::event::Event;
use chatcore::port::{Acked, DeadLetter, DeadLetterId, DeadLettersPage, Replay};
use std::time::Duration;

pub use super::event_bus::a_parked_record_is_in_the_dead_letters_with_its_reason;

laws! {
    $
    /// Makes one test of each law of [`DeadLetters`](chatcore::port::DeadLetters). Takes an async expression that
    /// gives a [`BusHarness`](crate::conformance::BusHarness), or an `Option` of one.
    dead_letters_laws, dead_letters, BusHarness:
    a_parked_record_is_in_the_dead_letters_with_its_reason,
    a_replayed_letter_is_delivered_again,
    letters_are_listed_oldest_first,
}

async fn list(open: &OpenBus, after: Option<DeadLetterId>, limit: usize) -> Vec<DeadLetter> {
    let letters = open.letters.list(&DeadLettersPage { after, limit }).await.expect("list answers");
    assert!(letters.len() <= limit, "a page of {limit} letters holds {}", letters.len());
    letters
}

async fn replay(open: &OpenBus, id: &DeadLetterId) -> Replay {
    open.letters.replay(id).await.expect("replay answers")
}

/// To the group that parked it and to no other, once; then it can be worked off or parked again.
pub async fn a_replayed_letter_is_delivered_again(harness: &BusHarness) {
    let open = harness.open().await;
    let published = events(new_session(), 1);
    publish(&open.bus, &published).await;
    let (member, other) = (Member::join(&open.bus, "group").await, Member::join(&open.bus, "other").await);
    other.take().await;
    for round in 1..=2 {
        let delivery = member.next().await;
        assert_eq!(delivery.event.as_ref(), Ok(&published[0]), "delivery {round}");
        assert_eq!(member.park(&delivery, &format!("reason {round}")).await, Acked::Done, "park {round}");
        let letters = list(&open, None, 10).await;
        assert_eq!(letters.len(), 1, "one letter: {letters:?}");
        assert_eq!(letters[0].reason, format!("reason {round}"));
        assert_eq!(replay(&open, &letters[0].id).await, Replay::Queued, "replay {round}");
        assert_eq!(list(&open, None, 10).await, [], "it is a dead letter no more");
        assert_eq!(replay(&open, &letters[0].id).await, Replay::NotFound, "it was replayed before");
    }
    let delivery = member.next().await;
    assert_eq!(member.ack(&delivery).await, Acked::Done, "a replayed record is worked off");
    let wait = real_time()(Duration::from_millis(60));
    nothing_for(&[member, other], wait, "the record came to another group, or once more").await;
    let unknown = open.letters.replay(&DeadLetterId("no-such-letter".into())).await;
    assert!(matches!(unknown, Ok(Replay::NotFound)), "an unknown letter: {unknown:?}");
}

/// In pages, and a page begins where the one before it ended, although letters were replayed meanwhile.
pub async fn letters_are_listed_oldest_first(harness: &BusHarness) {
    let open = harness.open().await;
    let member = Member::join(&open.bus, "group").await;
    let mut parked = Vec::new();
    for number in 0..7 {
        publish(&open.bus, &events(new_session(), 1)).await;
        let delivery = member.next().await;
        parked.push(delivery.event.as_ref().expect("an event").clone());
        member.park(&delivery, &format!("reason {number}")).await;
    }
    let all = list(&open, None, 100).await;
    let read = |letter: &DeadLetter| Event::from_json(&letter.raw, parked[0].request_id.clone()).expect("an event");
    assert_eq!(all.iter().map(read).collect::<Vec<_>>(), parked, "the oldest first");
    assert!(all.is_sorted_by(|a, b| a.id < b.id), "ids sort by age: {all:?}");
    let first = list(&open, None, 3).await;
    assert_eq!(first, all[..3], "the first page");
    replay(&open, &all[1].id).await;
    replay(&open, &all[3].id).await;
    assert_eq!(list(&open, Some(all[2].id.clone()), 3).await, all[4..], "the page behind the third letter");
    assert_eq!(list(&open, Some(all[6].id.clone()), 3).await, [], "behind the last letter");
}

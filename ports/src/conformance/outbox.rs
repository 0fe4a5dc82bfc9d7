//! The laws of `Outbox`. Its events come from the session store, so the harness is the store's.
//!
//! All but the last law open the outbox as a queue that refuses when it is full; the last opens it as a log.

use super::chat::{Chat, LONG, SHORT, answer, completed, events, request_id};
use super::law::laws;
use super::{OpenStore, StoreHarness};
use chatcore::event::{Event, EventBody};
use chatcore::id::{RequestId, SessionId};
use chatcore::message::{Message, Role, Status};
use chatcore::policy::OutboxFull;
use chatcore::port::{Backlog, CLAIM_BYTES, Claimed, DeadLettersPage, Entry, EntryId, Mark, Outbox, Settled};
use chatcore::turn::{Refusal, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

laws! {
    $
    /// Makes one test of each law of [`Outbox`](chatcore::port::Outbox). Takes an async expression that gives a
    /// [`StoreHarness`](crate::conformance::StoreHarness), or an `Option` of one.
    outbox_laws, outbox, StoreHarness:
    a_message_and_its_event_are_written_together,
    the_outbox_keeps_each_sessions_order,
    nothing_claimed_is_lost,
    what_one_relay_leaves_another_gets,
    a_refused_entry_is_parked,
    a_claim_waits_for_the_first,
    a_claim_goes_on_behind_a_mark,
    a_claim_is_bounded_by_bytes_too,
    a_full_queue_refuses_questions_alone,
    a_full_log_refuses_nothing,
}

/// How often it is looked for what another relay has.
const LOOK: Duration = Duration::from_millis(50);

async fn queue(harness: &StoreHarness) -> OpenStore {
    harness.limited(|limits| limits.outbox_full = OutboxFull::Refuse).await
}

async fn claim(outbox: &Arc<dyn Outbox>, max: usize) -> Vec<Entry> {
    outbox.claim(max, Duration::ZERO).await.expect("claim answers")
}

async fn settle(outbox: &Arc<dyn Outbox>, ids: impl IntoIterator<Item = EntryId>) {
    let settled: Vec<_> = ids.into_iter().map(|id| (id, Settled::Published)).collect();
    outbox.settle(&settled).await.expect("settle answers");
}

async fn backlog(outbox: &Arc<dyn Outbox>) -> Backlog {
    outbox.backlog().await.expect("backlog answers")
}

/// Each way in which a message is written writes its event, with the same content, owner, place and request; what is
/// not written has none; and nobody ever sees the one without the other.
pub async fn a_message_and_its_event_are_written_together(harness: &StoreHarness) {
    let open = queue(harness).await;
    let chat = Chat::new(&open.store, "ann");
    let turn = chat.talk(Target::New, "k1").await.0;
    let (session, here) = (turn.id.session, Target::Existing(turn.id.session));
    let orphan = chat.ask_briefly(here, "k2").await.turn;
    chat.held(&orphan, 0, "live", SHORT).await;
    harness.pass(SHORT).await;
    let third = chat.ask(here, "k3").await.turn;
    unwritten(&chat, here).await;
    chat.stored(&third, &answer(Status::Cancelled, "stopped")).await;
    told(&open, &chat, session, &["k1", "k1", "k2", "k2", "k3", "k3"]).await;
    resumed_and_swept(harness, &open, &chat).await;
    always(harness, &open).await;
    chat.store.delete(&chat.owner, &session, None).await.expect("its owner deletes it");
    let last = events(&open.outbox).await.pop().expect("an event");
    let expected = (session, &chat.owner, 7, &EventBody::SessionDeleted);
    assert_eq!((last.session, &last.owner, last.seq, &last.body), expected, "the event of a deletion");
}

/// Refusals, repeats and replays.
async fn unwritten(chat: &Chat, here: Target) {
    chat.refusal(&chat.question(here, "busy")).await;
    chat.begin(&chat.question(here, "k3")).await;
    chat.replay(&chat.question(here, "k1")).await;
    chat.replay(&chat.question(here, "k2")).await;
}

/// The events of a session are its history, and each carries the request of its key.
async fn told(open: &OpenStore, chat: &Chat, session: SessionId, keys: &[&str]) {
    let told = of_session(&open.outbox, session).await;
    let history = chat.history(session).await;
    assert_eq!(told.iter().filter_map(Event::message).collect::<Vec<_>>(), history.iter().collect::<Vec<_>>());
    assert_eq!(history.len(), keys.len(), "{history:?}");
    for ((event, message), key) in told.iter().zip(&history).zip(keys) {
        let asked = matches!(event.body, EventBody::ChatRequested(_));
        assert_eq!(asked, message.role == Role::User, "the kind of {event:?}");
        assert_eq!((event.seq, event.at, &event.owner), (message.seq, message.at, &chat.owner), "{event:?}");
        assert_eq!(event.request_id.as_ref().map(RequestId::as_str), Some(request_id(key).as_str()), "{event:?}");
    }
}

async fn of_session(outbox: &Arc<dyn Outbox>, session: SessionId) -> Vec<Event> {
    events(outbox).await.into_iter().filter(|event| event.session == session).collect()
}

async fn resumed_and_swept(harness: &StoreHarness, open: &OpenStore, chat: &Chat) {
    let resumed = chat.ask_briefly(Target::New, "resumed").await.turn;
    let swept = chat.ask_briefly(Target::New, "swept").await.turn;
    harness.pass(SHORT).await;
    let turn = chat.ask(Target::New, "resumed").await.turn;
    chat.stored(&turn, &completed("at last")).await;
    chat.stored(&turn, &completed("at last")).await;
    chat.store.close_orphans(Duration::ZERO, 10).await.expect("close_orphans answers");
    told(open, chat, resumed.id.session, &["resumed", "resumed"]).await;
    told(open, chat, swept.id.session, &["swept", "swept"]).await;
}

/// While turns come and go: no message is seen before its event, and no event before its message.
async fn always(harness: &StoreHarness, open: &OpenStore) {
    let chat = Chat::new(&open.elsewhere, "busy-bob");
    let session = chat.talk(Target::New, "first").await.0.id.session;
    let write = async {
        for number in 0..15 {
            chat.talk(Target::Existing(session), &format!("k{number}")).await;
            harness.wait(Duration::from_millis(1)).await;
        }
    };
    let seen = async {
        for _ in 0..25 {
            let history: Vec<Message> = chat.history(session).await;
            let told = of_session(&open.outbox, session).await;
            let later = chat.history(session).await;
            assert!(history.len() <= told.len() && told.len() <= later.len(), "a message and its event are two steps");
            harness.wait(Duration::from_millis(1)).await;
        }
    };
    tokio::join!(write, seen);
}

/// Four sessions at once, taken out in small batches: each session's events come in order and without a gap.
pub async fn the_outbox_keeps_each_sessions_order(harness: &StoreHarness) {
    let open = queue(harness).await;
    let stores = [&open.store, &open.elsewhere];
    let talks = (0..4).map(|number| eight_turns(Chat::new(stores[number % 2], &format!("user{number}"))));
    for talk in talks.map(tokio::spawn).collect::<Vec<_>>() {
        talk.await.expect("a talk comes to its end");
    }
    let mut seen: BTreeMap<SessionId, u64> = BTreeMap::new();
    for size in [1, 2, 3, 5].into_iter().cycle() {
        let entries = claim(&open.outbox, size).await;
        assert!(entries.len() <= size, "a claim of {size} gave {}", entries.len());
        for Entry { event, .. } in &entries {
            let last = seen.entry(event.session).or_default();
            assert_eq!(event.seq, *last + 1, "session {} is out of order", event.session);
            *last = event.seq;
        }
        if entries.is_empty() {
            break;
        }
        settle(&open.outbox, entries.into_iter().map(|entry| entry.id)).await;
    }
    assert_eq!(seen.values().copied().collect::<Vec<_>>(), [16; 4], "every event came out");
}

async fn eight_turns(chat: Chat) {
    let mut target = Target::New;
    for question in 0..8 {
        target = Target::Existing(chat.talk(target, &format!("k{question}")).await.0.id.session);
    }
}

/// A claim takes nothing out; what is settled is out, whatever lies around it; settling again harms nothing.
pub async fn nothing_claimed_is_lost(harness: &StoreHarness) {
    let open = queue(harness).await;
    let chat = Chat::new(&open.store, "ann");
    assert_eq!(backlog(&open.outbox).await, Backlog::default(), "an empty outbox");
    for number in 0..5 {
        chat.talk(Target::New, &format!("k{number}")).await;
    }
    let all = claim(&open.outbox, 100).await;
    assert_eq!(all.len(), 10, "five turns");
    assert_eq!(claim(&open.outbox, 100).await, all, "a claim is a look, not a lock");
    assert_eq!(claim(&open.outbox, 4).await, all[..4], "the oldest first");
    let expected = Backlog { events: 10, oldest: Some(all[0].event.at) };
    assert_eq!(backlog(&open.outbox).await, expected, "what waits");
    let middle: Vec<EntryId> = [3, 4, 7].map(|index| all[index].id.clone()).into();
    for _ in 0..2 {
        settle(&open.outbox, middle.clone()).await;
        let left: Vec<_> = claim(&open.outbox, 100).await.into_iter().map(|entry| entry.event).collect();
        let expected: Vec<_> = [0, 1, 2, 5, 6, 8, 9].map(|index| all[index].event.clone()).into();
        assert_eq!(left, expected, "what is not settled is claimed again");
    }
    settle(&open.outbox, []).await;
    two_relays(&open).await;
    settle(&open.outbox, all.into_iter().map(|entry| entry.id)).await;
    assert_eq!(backlog(&open.outbox).await, Backlog::default(), "all is settled");
}

/// Two relays at once: between them they see every event.
async fn two_relays(open: &OpenStore) {
    let relay = |size: usize| {
        let outbox = open.outbox.clone();
        tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            loop {
                let entries = claim(&outbox, size).await;
                if entries.is_empty() {
                    return seen;
                }
                seen.extend(entries.iter().map(|entry| entry.event.id()));
                settle(&outbox, entries.into_iter().map(|entry| entry.id)).await;
            }
        })
    };
    let before: BTreeSet<_> = events(&open.outbox).await.iter().map(Event::id).collect();
    let (one, two) = (relay(2), relay(3));
    let (mut seen, two) = (one.await.expect("a relay"), two.await.expect("a relay"));
    seen.extend(two);
    assert_eq!(seen, before, "two relays saw every event");
}

/// What one has claimed another sees soon, if it does not see it now; and what another has the one sees at once where that leaves.
pub async fn what_one_relay_leaves_another_gets(harness: &StoreHarness) {
    let open = queue(harness).await;
    let chat = Chat::new(&open.store, "ann");
    for number in 0..5 {
        chat.talk(Target::New, &format!("k{number}")).await;
    }
    let all: BTreeSet<_> = claim(&open.outbox, 100).await.into_iter().map(|entry| entry.id).collect();
    assert_eq!(all.len(), 10, "five turns");
    let sees = async |outbox: &Arc<dyn Outbox>, time: Duration| {
        let mut seen = BTreeSet::new();
        for _ in 0..time.as_millis() / LOOK.as_millis() {
            seen.extend(claim(outbox, 100).await.into_iter().map(|entry| entry.id));
            if seen == all {
                return;
            }
            harness.wait(LOOK).await;
        }
        assert_eq!(seen, all, "what is seen after {time:?}");
    };
    sees(&open.outbox_elsewhere, Duration::from_secs(5)).await;
    claim(&open.outbox, 100).await;
    open.outbox_elsewhere.keep().await.expect("keep answers");
    open.outbox_elsewhere.leave().await.expect("leave answers");
    sees(&open.outbox, Duration::from_millis(800)).await;
}

/// It goes to the dead letters of the group `relay`, and those behind it go on, those of its session too.
pub async fn a_refused_entry_is_parked(harness: &StoreHarness) {
    let open = queue(harness).await;
    let chat = Chat::new(&open.store, "ann");
    let session = chat.talk(Target::New, "k").await.0.id.session;
    let all = claim(&open.outbox, 100).await;
    let refused = [(all[0].id.clone(), Settled::Refused("too large".into()))];
    for _ in 0..2 {
        open.outbox.settle(&refused).await.expect("settle answers");
        assert_eq!(claim(&open.outbox, 100).await, all[1..], "the one behind it goes on");
    }
    let Some(letters) = &open.letters else { return };
    let page = DeadLettersPage { after: None, limit: 10 };
    let parked = letters.list(&page).await.expect("list answers");
    assert_eq!(parked.len(), 1, "one entry was refused, twice");
    let told = (parked[0].key.as_str(), parked[0].group.as_str(), parked[0].reason.as_str());
    assert_eq!(told, (session.to_string().as_str(), "relay", "too large"), "{:?}", parked[0]);
    let read = Event::from_json(&parked[0].raw, all[0].event.request_id.clone());
    assert_eq!(read.as_ref(), Ok(&all[0].event), "the record as it was");
}

/// It comes back as soon as there is something, from another process as well, and with nothing when its time is over.
pub async fn a_claim_waits_for_the_first(harness: &StoreHarness) {
    let open = queue(harness).await;
    let nothing = open.outbox.claim(10, Duration::from_millis(30)).await.expect("claim answers");
    assert_eq!(nothing, [], "nothing was written");
    let chat = Chat::new(&open.elsewhere, "ann");
    let write = async {
        harness.wait(Duration::from_millis(20)).await;
        chat.ask(Target::New, "k").await
    };
    let (claimed, asked) = tokio::join!(open.outbox.claim(10, LONG), write);
    let claimed = claimed.expect("claim answers");
    let sessions: Vec<_> = claimed.iter().map(|entry| entry.event.session).collect();
    assert_eq!(sessions, [asked.turn.id.session], "the event that it waited for");
}

/// Nothing is settled but one here and there, and yet all is seen once, to the end; what comes then is seen behind the end, as
/// soon as it is there, and all that is left from the head.
pub async fn a_claim_goes_on_behind_a_mark(harness: &StoreHarness) {
    let open = queue(harness).await;
    for number in 0..5 {
        eight_turns(Chat::new(&open.store, &format!("user{number}"))).await;
    }
    let (mut at, mut left) = (Mark::default(), Vec::new());
    loop {
        let claimed = open.outbox.claim_behind(&at, 7, Duration::ZERO).await.expect("claim answers");
        at = claimed.end;
        if claimed.entries.is_empty() {
            break;
        }
        let mut entries = claimed.entries.into_iter();
        settle(&open.outbox, entries.next().map(|entry| entry.id)).await;
        left.extend(entries);
    }
    let mut seen: BTreeMap<SessionId, u64> = BTreeMap::new();
    for Entry { event, .. } in &left {
        let last = seen.insert(event.session, event.seq).unwrap_or_default();
        assert!(event.seq > last, "session {} is out of order, or an event came twice", event.session);
    }
    let by_id = |mut entries: Vec<Entry>| {
        entries.sort_by(|one, other| one.id.cmp(&other.id));
        entries
    };
    assert_eq!(by_id(claim(&open.outbox, 100).await), by_id(left), "what is not settled is there from the head");
    let chat = Chat::new(&open.elsewhere, "ann");
    let write = async {
        harness.wait(Duration::from_millis(20)).await;
        chat.ask(Target::New, "k").await
    };
    let (claimed, asked) = tokio::join!(open.outbox.claim_behind(&at, 10, LONG), write);
    let entries = claimed.expect("claim answers").entries;
    let sessions: Vec<_> = entries.iter().map(|entry| entry.event.session).collect();
    assert_eq!(sessions, [asked.turn.id.session], "what is new");
}

/// However many may be given, and none is passed over.
pub async fn a_claim_is_bounded_by_bytes_too(harness: &StoreHarness) {
    let (open, text) = (queue(harness).await, "x".repeat(CLAIM_BYTES / 20));
    let mut told = Vec::new();
    for number in 0..45 {
        let chat = Chat::new(&open.store, &format!("user{number}"));
        let turn = chat.ask(Target::New, "k").await.turn;
        chat.stored(&turn, &completed(&text)).await;
        told.push(turn.id.session);
    }
    let (mut at, mut seen) = (Mark::default(), Vec::new());
    while seen.len() < told.len() {
        let Claimed { entries, end } =
            open.outbox.claim_behind(&at, 1000, Duration::ZERO).await.expect("claim answers");
        assert!(!entries.is_empty(), "some were passed over");
        let long = |entry: &&Entry| matches!(entry.event.body, EventBody::ChatResponded(_));
        let bytes = entries.iter().filter(long).count() * text.len();
        assert!(bytes < 2 * CLAIM_BYTES, "a claim gave {bytes} bytes");
        seen.extend(entries.iter().filter(long).map(|entry| entry.event.session));
        at = end;
    }
    told.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, told, "claim by claim all are seen");
}

/// A new question is refused until there is room; answers, replays, closes and deletions never are.
pub async fn a_full_queue_refuses_questions_alone(harness: &StoreHarness) {
    let change = |limits: &mut chatcore::policy::StoreLimits| {
        (limits.outbox_full, limits.outbox_events) = (OutboxFull::Refuse, 3);
    };
    let open = harness.limited(change).await;
    let chat = Chat::new(&open.store, "ann");
    let ended = chat.talk(Target::New, "ended").await.0;
    let running = chat.ask_briefly(Target::New, "running").await.turn;
    assert_eq!(chat.refusal(&chat.question(Target::New, "new")).await, Refusal::Overloaded, "three events wait");
    assert_eq!(chat.sessions(9).await.len(), 2, "a refused first message leaves no session");
    chat.replay(&chat.question(Target::New, "ended")).await;
    harness.pass(SHORT).await;
    let resumed = chat.ask(Target::New, "running").await.turn;
    assert_eq!(resumed.id, running.id, "a question that was taken before is not refused");
    chat.stored(&resumed, &completed("stored")).await;
    chat.store.delete(&chat.owner, &ended.id.session, None).await.expect("a deletion is written");
    let entries = claim(&open.outbox, 100).await;
    assert_eq!(entries.len(), 5, "answers and deletions are written beyond the limit");
    settle(&open.outbox, entries.into_iter().take(2).map(|entry| entry.id)).await;
    assert_eq!(chat.refusal(&chat.question(Target::New, "new")).await, Refusal::Overloaded, "three events wait");
    settle(&open.outbox, claim(&open.outbox, 1).await.into_iter().map(|entry| entry.id)).await;
    chat.ask(Target::New, "new").await;
}

/// A log that is full drops its oldest events; what is asked and answered stays, and so do the newest events.
pub async fn a_full_log_refuses_nothing(harness: &StoreHarness) {
    let change = |limits: &mut chatcore::policy::StoreLimits| {
        (limits.outbox_full, limits.outbox_events) = (OutboxFull::DropOldest, 4);
    };
    let open = harness.limited(change).await;
    let chat = Chat::new(&open.store, "ann");
    let mut target = Target::New;
    for number in 0..20 {
        target = Target::Existing(chat.talk(target, &format!("k{number}")).await.0.id.session);
    }
    let Target::Existing(session) = target else { return };
    assert_eq!(chat.history(session).await.len(), 40, "every message is kept");
    let mut told = events(&open.outbox).await;
    let newest = told.split_off(told.len().saturating_sub(4));
    assert!(newest.iter().map(|event| event.seq).eq(37..=40), "the newest events are kept: {newest:?}");
}

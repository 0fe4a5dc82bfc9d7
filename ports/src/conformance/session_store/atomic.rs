//! Many callers at once: whatever they do, the history stays whole and every promise holds.

use crate::conformance::chat::{Chat, LONG, completed, device_id, events, user_id};
use crate::conformance::{OpenStore, StoreHarness};
use chatcore::id::SessionId;
use chatcore::message::{Message, Role};
use chatcore::policy::OutboxFull;
use chatcore::turn::{Began, Finished, NewTurn, Started, Target, Turn};
use futures_util::future::{join_all, try_join_all};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const WRITERS: usize = 8;
const QUESTIONS: usize = 10;

/// Eight writers with ten questions each on one session, each repeating calls as if their replies were lost.
pub async fn seq_has_no_gaps(harness: &StoreHarness) {
    let open = harness.open().await;
    let chats = [Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann")];
    let session = chats[0].talk(Target::New, "first").await.0.id.session;
    let write = |writer: usize| {
        let (chat, harness) = (chats[writer % 2].clone(), harness.clone());
        tokio::spawn(async move {
            for number in 0..QUESTIONS {
                one_turn(&harness, &chat, chat.question(Target::Existing(session), &format!("w{writer}-{number}")))
                    .await;
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    // At the first that fails: it leaves its turn open, and the others would wait for it.
    try_join_all(writers).await.expect("every writer comes to its end");
    let history = chats[0].history(session).await;
    assert_eq!(history.len(), 2 + 2 * WRITERS * QUESTIONS, "a question is missing or doubled");
    whole(&history);
    let asked: BTreeSet<&str> = history.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(asked.len(), history.len(), "each writer's question and answer stand there once");
}

/// Asks until it is let in, then answers; every call is made twice.
async fn one_turn(harness: &StoreHarness, chat: &Chat, question: NewTurn) {
    let started = loop {
        match chat.begin(&question).await {
            Began::Started(started) => break started,
            Began::Refused(_) => harness.wait(Duration::from_millis(1)).await,
            other => panic!("a fresh key: {other:?}"),
        }
    };
    assert_eq!(chat.start(&question).await.turn, started.turn, "the same attempt again");
    let text = format!("answer to {}", question.key);
    assert_eq!(chat.held(&started.turn, 0, &text, LONG).await, text.len());
    assert_eq!(chat.held(&started.turn, 0, &text, LONG).await, text.len());
    let stored = chat.stored(&started.turn, &completed(&text)).await;
    assert_eq!(
        (stored.seq, stored.reply_to),
        (started.seq + 1, Some(started.seq)),
        "an answer stands behind its question"
    );
    match chat.finish(&started.turn, &completed(&text)).await {
        Finished::Stored(again) => assert_eq!(*again, stored, "the same answer again"),
        // Another writer was quicker with the next question.
        Finished::Fenced => {}
        gone => panic!("the session is there: {gone:?}"),
    }
}

/// No gap, nothing doubled, each question answered at most once and by what stands behind it.
fn whole(history: &[Message]) {
    for (index, message) in history.iter().enumerate() {
        let seq = index as u64 + 1;
        let (role, reply_to) = if seq % 2 == 1 { (Role::User, None) } else { (Role::Assistant, Some(seq - 1)) };
        assert_eq!((message.seq, message.role, message.reply_to), (seq, role, reply_to), "message {seq}: {message:?}");
        if role == Role::Assistant {
            assert_eq!(message.turn, history[index - 1].turn, "answer {seq} belongs to another question");
        }
    }
    let ids: BTreeSet<_> = history.iter().map(Message::id).collect();
    assert_eq!(ids.len(), history.len(), "two messages have one id");
}

/// What a caller was promised.
#[derive(Debug, Default)]
struct Promises {
    started: Vec<(Turn, u64)>,
    stored: Vec<Message>,
}

/// Random interleavings of writers whose leases run out, of those who take their turns, of sweepers and of an adoption,
/// with and without a delete at the end: history, events and what callers were promised agree.
pub async fn each_call_is_one_atomic_step(harness: &StoreHarness) {
    for seed in 1..=6_u64 {
        let open = harness.limited(|limits| limits.outbox_full = OutboxFull::Refuse).await;
        let guest = Chat::guest(&open.store, "phone");
        let session = guest.talk(Target::New, "first").await.0.id.session;
        let racer = |racer: u64| tokio::spawn(race(harness.clone(), open.clone(), session, seed * 100 + racer));
        let racers: Vec<_> = (0..6).map(racer).collect();
        let (promises, ()) = tokio::join!(join_all(racers), adopt_in_between(harness, &open));
        let promises: Vec<Promises> = promises.into_iter().map(|promises| promises.expect("no call panics")).collect();
        let user = Chat::new(&open.store, "ann");
        agree(&open, &user.history(session).await, &promises, session).await;
        // The longest lease is over after this.
        harness.pass(Duration::from_millis(9)).await;
        delete_at_once(&open, &user, session).await;
    }
}

/// One caller, as guest and as user, since it does not know when the session changes hands.
async fn race(harness: StoreHarness, open: OpenStore, session: SessionId, seed: u64) -> Promises {
    let stores = [&open.store, &open.elsewhere];
    let (mut dice, mut promises) = (Dice(seed), Promises::default());
    for number in 0..25 {
        let store = stores[dice.below(2)];
        let chat = if dice.below(2) == 0 { Chat::guest(store, "phone") } else { Chat::new(store, "ann") };
        // Few keys, so that callers resume each other's questions.
        let key = format!("k{}-{}", number / 5, dice.below(4));
        let lease = Duration::from_millis(dice.below(4) as u64 * 3);
        let question = NewTurn { lease, ..chat.question(Target::Existing(session), &key) };
        if let Began::Started(Started { turn, seq, .. }) = chat.begin(&question).await {
            promises.started.push((turn, seq));
            let text = format!("by {:?}", turn.fence);
            chat.extend(&turn, 0, &text, lease).await;
            harness.wait(Duration::from_millis(dice.below(6) as u64)).await;
            if let Finished::Stored(stored) = chat.finish(&turn, &completed(&text)).await {
                promises.stored.push(*stored);
            }
        }
        if dice.below(3) == 0 {
            chat.store.close_orphans(Duration::ZERO, 5).await.expect("close_orphans answers");
        }
    }
    promises
}

async fn adopt_in_between(harness: &StoreHarness, open: &OpenStore) {
    harness.wait(Duration::from_millis(30)).await;
    open.elsewhere.adopt(&device_id("phone"), &user_id("ann")).await.expect("adopt answers");
}

async fn agree(open: &OpenStore, history: &[Message], promises: &[Promises], session: SessionId) {
    whole(history);
    let at = |seq: u64| &history[seq as usize - 1];
    let mut fences = BTreeMap::new();
    for (turn, seq) in promises.iter().flat_map(|promises| &promises.started) {
        assert_eq!((at(*seq).turn, at(*seq).role), (turn.id.message, Role::User), "a question that was started");
        assert_eq!(*fences.entry(turn.fence).or_insert(turn.id), turn.id, "two turns have one fence");
    }
    let started = promises.iter().map(|promises| promises.started.len()).sum::<usize>();
    assert_eq!(fences.len(), started, "two attempts have one fence");
    for stored in promises.iter().flat_map(|promises| &promises.stored) {
        assert_eq!(at(stored.seq), stored, "an answer that was stored");
    }
    let told = events(&open.outbox).await;
    let told: Vec<_> =
        told.iter().filter(|event| event.session == session).filter_map(|event| event.message()).collect();
    assert!(told.iter().copied().eq(history), "the events are not the history: {told:?}");
}

/// A delete against a finish and the sweeper: the turn has its answer and its event, or neither.
async fn delete_at_once(open: &OpenStore, user: &Chat, session: SessionId) {
    open.store.close_orphans(Duration::ZERO, 100).await.expect("close_orphans answers");
    let turn = user.ask(Target::Existing(session), "last").await.turn;
    let elsewhere = user.at(&open.elsewhere);
    let finish = tokio::spawn(async move { elsewhere.finish(&turn, &completed("the end")).await });
    user.store.delete(&user.owner, &session, None).await.expect("its owner deletes it");
    let finished = finish.await.expect("finish_turn does not panic");
    assert_ne!(finished, Finished::Fenced, "nobody took the turn");
    let told = events(&open.outbox).await;
    let told: Vec<_> = told.iter().filter(|event| event.session == session).collect();
    assert!(told.iter().map(|event| event.seq).eq(1..=told.len() as u64), "the events have a gap: {told:?}");
    assert_eq!(told.last().map(|event| event.kind()), Some("session.deleted"), "the deletion is the last event");
    let answered = told[told.len() - 2].kind() == "chat.responded";
    assert_eq!(answered, matches!(finished, Finished::Stored(_)), "an answer and its event: {finished:?}");
}

/// A small generator, so that a seed means the same calls.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

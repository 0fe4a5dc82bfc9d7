//! What Redis answers is cut after any byte, of each call of the store, the outbox and the throttle: it is made again, says what
//! is so, and what it does is done once.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod common;

use chatcore::error::{AccessError, BackendError};
use chatcore::id::{DeviceId, UserId};
use chatcore::message::{MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::policy::Quota;
use chatcore::port::{Held, Outbox, SessionStore, Settled, Taken, Throttle};
use chatcore::session::{Adopted, AdoptionRest, SessionsPage};
use chatcore::turn::{Began, Cursor, Extended, Finished, NewTurn, Piece, Position, Started, Stopping, Target, Turn};
use chatcore_ports::ahead::Ahead;
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::Redis;
use common::chat::{answer, finish, owner, question, start};
use common::faults::{after_any_byte, config, patiently, wired, wired_with};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);

/// Said by the store, not by the wire.
fn told<T>(answer: Result<T, AccessError>) -> Result<Result<T, AccessError>, BackendError> {
    match answer {
        Err(AccessError::Backend(error)) => Err(error),
        said => Ok(said),
    }
}

async fn open_turns(store: &Redis, count: usize) -> Vec<Started> {
    let mut open = Vec::new();
    for number in 0..count {
        open.push(start(store, &question(Target::New, &format!("open{number}"))).await);
    }
    open
}

async fn began(store: &Redis, new: &NewTurn) -> Turn {
    match patiently(async || store.begin_turn(new).await).await {
        Began::Started(started) => {
            assert_eq!(started.window.last().map_or(0, |message| message.seq) + 1, started.seq, "another's answer");
            started.turn
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_question_and_its_answer() {
    let (_server, wire, store, _) = wired().await;
    let first = start(&*store, &question(Target::New, "k")).await;
    finish(&*store, &first).await;
    let mut target = Target::Existing(first.turn.id.session);
    for byte in 0..700 {
        if byte % 20 == 0 {
            let turn = began(&store, &question(Target::New, &format!("new{byte}"))).await;
            target = Target::Existing(turn.id.session);
            patiently(async || store.finish_turn(&turn, &answer("first")).await).await;
        }
        let new = NewTurn { window: 2, quota: None, ..question(target, &format!("k{byte}")) };
        wire.cut_after(byte);
        let turn = began(&store, &new).await;
        let said = format!("answer {byte}");
        let finished = patiently(async || store.finish_turn(&turn, &answer(&said)).await).await;
        assert!(matches!(finished, Finished::Stored(stored) if stored.content == said), "cut after {byte}");
        wire.was_cut();
    }
    let Target::Existing(session) = target else { return };
    let page = MessagesPage { before: None, limit: 1000 };
    let history = store.messages(&owner(), &session, &page).await.unwrap();
    assert!(history.iter().map(|message| message.seq).eq(1..=42), "each once: {}", history.len());
}

#[tokio::test]
async fn a_piece_of_an_answer() {
    let (_server, wire, store, sure) = wired().await;
    let mut open = open_turns(&sure, 40).await.into_iter();
    after_any_byte(&wire, 4, async |cut| {
        let turn = open.next().unwrap().turn;
        let piece = |offset, text: &str| Piece { offset, text: text.to_owned() };
        let (first, last) = (piece(0, "Mu"), piece(2, "ch."));
        let held = patiently(async || store.extend_turn(&turn, &first, LEASE).await).await;
        assert_eq!(held, Extended::Held { length: 2 }, "cut after {cut}");
        let held = sure.extend_turn(&turn, &last, LEASE).await.unwrap();
        assert_eq!(held, Extended::Held { length: 5 }, "cut after {cut}");
        let cursor = Cursor { turn: turn.id, from: Position::default() };
        let followed = sure.follow(&owner(), &cursor, Duration::ZERO).await.unwrap();
        assert_eq!(followed.text, "Much.", "cut after {cut}");
    })
    .await;
}

#[tokio::test]
async fn a_stop() {
    let (_server, wire, store, sure) = wired().await;
    let mut open = open_turns(&sure, 40).await.into_iter();
    after_any_byte(&wire, 4, async |cut| {
        let turn = open.next().unwrap().turn;
        let said = patiently(async || told(store.request_stop(&owner(), &turn.id).await)).await.unwrap();
        assert_eq!(said, Stopping::Requested, "cut after {cut}");
        let piece = Piece { offset: 0, text: "Mu".into() };
        let held = sure.extend_turn(&turn, &piece, LEASE).await.unwrap();
        assert_eq!(held, Extended::StopRequested, "cut after {cut}");
    })
    .await;
}

#[tokio::test]
async fn a_deletion() {
    let (_server, wire, store, sure) = wired().await;
    let mut open = open_turns(&sure, 40).await.into_iter();
    let mut deleted = BTreeSet::new();
    after_any_byte(&wire, 4, async |cut| {
        let started = open.next().unwrap();
        let session = started.turn.id.session;
        patiently(async || told(store.delete(&owner(), &session, None).await)).await.unwrap();
        let gone = sure.session(&owner(), &session).await;
        assert!(matches!(gone, Err(AccessError::NotFound)), "cut after {cut}: {gone:?}");
        assert_eq!(
            store.finish_turn(&started.turn, &answer("Much.")).await.unwrap(),
            Finished::Gone,
            "cut after {cut}"
        );
        deleted.insert(session);
    })
    .await;
    let mut events = Vec::new();
    loop {
        let claimed = sure.claim(100, Duration::ZERO).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        let settled: Vec<_> = claimed.iter().map(|entry| (entry.id.clone(), Settled::Published)).collect();
        sure.settle(&settled).await.unwrap();
        events.extend(claimed.into_iter().map(|entry| entry.event));
    }
    for session in deleted {
        let seqs: Vec<_> = events.iter().filter(|event| event.session == session).map(|event| event.seq).collect();
        assert_eq!(seqs, [1, 2], "one event of the question, and one of the deletion");
    }
}

/// What is read is the same, wherever it was cut.
#[tokio::test]
async fn what_is_read() {
    let (_server, wire, store, _) = wired().await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    finish(&*store, &first).await;
    let second = start(&*store, &question(Target::Existing(first.turn.id.session), "k1")).await;
    let piece = Piece { offset: 0, text: "Mu".into() };
    store.extend_turn(&second.turn, &piece, LEASE).await.unwrap();
    let (ann, session) = (owner(), first.turn.id.session);
    let (sessions, messages) = (SessionsPage { after: None, limit: 9 }, MessagesPage { before: None, limit: 9 });
    let (newer, cursor) =
        (NewerPage { after: 1, limit: 9 }, Cursor { turn: second.turn.id, from: Position::default() });
    let quota = Quota { limit: 9, window: LEASE };
    macro_rules! reads {
        ($least:literal, $call:expr) => {
            let whole = told($call.await.map_err(AccessError::from)).unwrap().unwrap();
            after_any_byte(&wire, $least, async |cut| {
                let read = patiently(async || told($call.await.map_err(AccessError::from))).await.unwrap();
                assert_eq!(read, whole, "cut after {cut}");
            })
            .await;
        };
    }
    reads!(100, store.session(&ann, &session));
    reads!(100, store.sessions(&ann, &sessions));
    reads!(100, store.messages(&ann, &session, &messages));
    reads!(100, store.newer(&ann, &session, &newer, Duration::ZERO));
    reads!(4, store.follow(&ann, &cursor, Duration::ZERO));
    reads!(4, async { store.left(&ann, &quota).await.map(|left| left.remaining) });
    reads!(4, async { store.remaining("ann", &quota).await.map(|left| left.remaining) });
}

/// However often the call is made.
#[tokio::test]
async fn an_attempt_that_is_throttled() {
    let (_server, wire, store, sure) = wired().await;
    let quota = Quota { limit: 1000, window: Duration::from_secs(600) };
    let mut before = quota.limit;
    after_any_byte(&wire, 4, async |cut| {
        let taken = patiently(async || store.take("ann", &quota).await).await;
        let Taken::Granted { left, .. } = taken else { panic!("{taken:?}") };
        let took = before - left.remaining;
        assert_eq!(took, 1, "cut after {cut}");
        before = left.remaining;
    })
    .await;
    let mut before = quota.limit;
    after_any_byte(&wire, 4, async |cut| {
        let held = patiently(async || store.hold("bob", &quota, quota.window).await).await;
        let Held::Granted(ticket) = held else { panic!("{held:?}") };
        let left = sure.remaining("bob", &quota).await.unwrap().remaining;
        assert_eq!(before - left, 1, "cut after {cut}");
        assert!(
            sure.confirm("bob", &ticket).await.unwrap(),
            "cut after {cut}: the ticket is that of the one which counts"
        );
        before = left;
    })
    .await;
}

/// The home of the user's sessions knows how many lie in each other slot, neither more nor fewer, and waits for none.
#[tokio::test]
async fn an_adoption() {
    let (server, wire, store, sure) = wired_with(|config| config.key_prefix = "c:".into()).await;
    let user = UserId::parse("ann").unwrap();
    let mut there: BTreeMap<u128, u64> = BTreeMap::new();
    after_any_byte(&wire, 60, async |cut| {
        let phone = DeviceId::parse(format!("phone-{cut:04}")).unwrap();
        let new = NewTurn { owner: Owner::Guest(phone.clone()), ..question(Target::New, "k") };
        let started = start(&*sure, &new).await;
        finish(&*sure, &started).await;
        let adopted = patiently(async || store.adopt(&phone, &user).await).await;
        assert_eq!(adopted, Adopted { moved: 1, rest: AdoptionRest::Nothing }, "cut after {cut}");
        *there.entry(started.turn.id.session.as_uuid().as_u128() & 0xf).or_default() += 1;
        // The home itself counts its own.
        there.remove(&8);
        let known = |field: &str| server.ask(&["HGET", "c:{p8}:h:user:ann", field]);
        for (slot, count) in &there {
            assert_eq!(known(&slot.to_string()), count.to_string(), "cut after {cut}, in {slot}");
        }
        assert!(there.is_empty() || known("p") == "0", "cut after {cut} an adoption is on its way");
    })
    .await;
    assert!(there.len() > 3, "guests of many slots: {there:?}");
}

/// The slots know a step of an adoption by its name for a minute after it began: one that failed goes on under its name, but not
/// for longer than that, however often it fails.
#[tokio::test]
async fn an_adoption_that_fails_again_and_again_is_begun_anew_before_the_slots_forget_it() {
    let (server, wire, _, sure) = wired_with(|config| config.key_prefix = "c:".into()).await;
    let mut config = config(wire.url());
    config.key_prefix = "c:".into();
    let clock = Arc::new(Ahead::of(TokioRuntime::current()));
    let store = Redis::open(config, clock.clone()).await.unwrap();
    let user = UserId::parse("ann").unwrap();
    let guest = async |name: &str| {
        let phone = DeviceId::parse(name).unwrap();
        let new = NewTurn { owner: Owner::Guest(phone.clone()), ..question(Target::New, "k") };
        finish(&*sure, &start(&*sure, &new).await).await;
        phone
    };
    // The server knows the scripts from here on.
    let tablet = guest("tablet").await;
    patiently(async || store.adopt(&tablet, &user).await).await;
    let phone = guest("phone").await;
    let names = || server.ask(&["KEYS", "c:{p*}:a:*"]).lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let before = names();
    let fails = async || {
        wire.hold_behind("RESERVE");
        store.adopt(&phone, &user).await.unwrap_err();
        wire.let_go();
        names().difference(&before).cloned().collect::<Vec<_>>()
    };
    let first = fails().await;
    assert!(matches!(&first[..], [reserved] if reserved.starts_with("c:{p8}:a:")), "ann's home is 8: {first:?}");
    clock.by(30);
    assert_eq!(fails().await, first, "the same step");
    clock.by(60);
    let adopted = patiently(async || store.adopt(&phone, &user).await).await;
    assert_eq!(adopted, Adopted { moved: 1, rest: AdoptionRest::Nothing });
    let (_, token) = first[0].rsplit_once(':').unwrap();
    let last = names().into_iter().filter(|name| !before.contains(name) && *name != first[0]).collect::<Vec<_>>();
    assert!(last.len() == 1 && !last[0].ends_with(token), "begun anew: {first:?}, {last:?}");
}

/// A claim whose answer was lost takes nothing away: what it named is named again. What is settled twice is settled.
#[tokio::test]
async fn the_outbox() {
    // Both see the outbox at once.
    let (_server, wire, store, sure) = wired_with(|config| config.relay_lease = Duration::ZERO).await;
    let open = open_turns(&sure, 9).await;
    let ids = async |store: &Redis| {
        let claimed = store.claim(99, Duration::ZERO).await?;
        Ok::<_, BackendError>(claimed.into_iter().map(|entry| entry.id).collect::<Vec<_>>())
    };
    let whole = ids(&sure).await.unwrap();
    assert_eq!(whole.len(), open.len());
    after_any_byte(&wire, 100, async |cut| {
        assert_eq!(patiently(async || ids(&store).await).await, whole, "cut after {cut}");
    })
    .await;
    let mut left: BTreeSet<_> = whole.into_iter().collect();
    after_any_byte(&wire, 1, async |cut| {
        let settled = [(left.pop_first().expect("enough of them"), Settled::Published)];
        patiently(async || store.settle(&settled).await).await;
        let still: BTreeSet<_> = ids(&sure).await.unwrap().into_iter().collect();
        assert_eq!(still, left, "cut after {cut}");
    })
    .await;
}

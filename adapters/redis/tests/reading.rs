//! What readers of live text and of new messages cost, counted by the server.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::error::AccessError;
use chatcore::message::NewerPage;
use chatcore::owner::Owner;
use chatcore::port::SessionStore;
use chatcore::turn::{Cursor, Followed, Piece, Position, Started, Target};
use chatcore_redis::Redis;
use common::chat::{finish, question, start};
use common::faults::{now, patiently};
use common::{Server, config, open, ran};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const LEASE: Duration = Duration::from_secs(15);
const WAIT: Duration = Duration::from_secs(20);
/// How many pieces are counted.
const PIECES: usize = 10;

const COUNTED: [&str; 4] = ["evalsha", "publish", "subscribe", "unsubscribe"];

/// A turn that has begun here, and a store elsewhere that reads.
struct Field {
    server: Server,
    here: Arc<Redis>,
    elsewhere: Arc<Redis>,
    owner: Owner,
    started: Started,
}

impl Field {
    async fn new() -> Self {
        Self::on(Server::start()).await
    }

    async fn on(server: Server) -> Self {
        let config = config(&[server.url()]);
        let (here, elsewhere) = (open(&config).await, open(&config).await);
        let new = question(Target::New, "k");
        let started = start(&*here, &new).await;
        Self { server, here, elsewhere, owner: new.owner, started }
    }
}

/// Where a reader of the turn stands that knows of it and has no text yet.
fn begin(started: &Started) -> Cursor {
    Cursor { turn: started.turn.id, from: Position { fence: started.turn.fence, offset: 0 } }
}

#[tokio::test]
async fn a_reader_of_a_turn_is_told_each_piece_and_looks_for_none() {
    let Field { server, here, elsewhere, owner, started } = Field::new().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut at = Cursor { turn: started.turn.id, from: Position::default() };
    let reader = tokio::spawn(async move {
        loop {
            let followed = elsewhere.follow(&owner, &at, WAIT).await.unwrap();
            at.from = followed.to;
            tell.send(followed.text).unwrap();
            if followed.end.is_some() {
                return;
            }
        }
    });
    let mut before = BTreeMap::new();
    for number in 0..2 + PIECES {
        if number == 2 {
            before = server.commands().into_iter().collect();
        }
        let piece = Piece { offset: number, text: "M".into() };
        here.extend_turn(&started.turn, &piece, LEASE).await.unwrap();
        while told.recv().await.unwrap().is_empty() {}
    }
    let pieces = PIECES as u64;
    assert_eq!(ran(&server, &before, &COUNTED), [pieces, pieces, 0, 0], "{COUNTED:?}");
    finish(&*here, &started).await;
    reader.await.unwrap();
}

#[tokio::test]
async fn a_reader_of_a_session_looks_once_for_each_message() {
    let Field { server, here, elsewhere, owner, started } = Field::new().await;
    finish(&*here, &started).await;
    let session = started.turn.id.session;
    let (tell, mut told) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        let mut page = NewerPage { after: 0, limit: 100 };
        loop {
            let messages = elsewhere.newer(&owner, &session, &page, WAIT).await.unwrap();
            page.after = messages.last().map_or(page.after, |last| last.seq);
            tell.send(messages.len()).unwrap();
        }
    });
    assert_eq!(told.recv().await.unwrap(), 2);
    let mut before = BTreeMap::new();
    for number in 0..1 + PIECES {
        if number == 1 {
            before = server.commands().into_iter().collect();
        }
        let started = start(&*here, &question(Target::Existing(session), &format!("k{number}"))).await;
        assert_eq!(told.recv().await.unwrap(), 1, "the question");
        finish(&*here, &started).await;
        assert_eq!(told.recv().await.unwrap(), 1, "the answer");
    }
    let messages = 2 * PIECES as u64;
    // Each message is told twice: to the session's readers, and to whoever carries its event on.
    assert_eq!(ran(&server, &before, &COUNTED), [2 * messages, 2 * messages, 0, 0], "{COUNTED:?}");
    reader.abort();
}

#[tokio::test]
async fn a_reader_of_a_session_does_not_look_for_live_text() {
    let Field { server, here, elsewhere, owner, started } = Field::new().await;
    let page = NewerPage { after: 0, limit: 100 };
    let session = started.turn.id.session;
    assert_eq!(elsewhere.newer(&owner, &session, &page, WAIT).await.unwrap().len(), 1, "the question");
    let page = NewerPage { after: 1, ..page };
    let reader = tokio::spawn(async move { elsewhere.newer(&owner, &session, &page, WAIT).await.unwrap() });
    // Its second look, with which it listens.
    let marked = async {
        while server.ask(&["EVAL", MARKS, "0"]) == "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, marked).await.expect("a mark");
    let before = server.commands().into_iter().collect();
    for offset in 0..PIECES {
        here.extend_turn(&started.turn, &Piece { offset, text: "M".into() }, LEASE).await.unwrap();
    }
    finish(&*here, &started).await;
    assert_eq!(reader.await.unwrap().len(), 1, "the answer");
    // The answer is told to who carries events on as well.
    let pieces = PIECES as u64;
    assert_eq!(
        ran(&server, &before, &["evalsha", "publish"]),
        [pieces + 2, pieces + 2],
        "the answer, and the look for it"
    );
}

#[tokio::test]
async fn a_long_piece_is_looked_for() {
    let Field { server: _server, here, elsewhere, owner, started } = Field::new().await;
    let mut at = Cursor { turn: started.turn.id, from: Position::default() };
    at.from = elsewhere.follow(&owner, &at, Duration::from_millis(10)).await.unwrap().to;
    for length in [4096, 4097, 100_000] {
        let text = "x".repeat(length);
        here.extend_turn(&started.turn, &Piece { offset: at.from.offset, text: text.clone() }, LEASE).await.unwrap();
        let followed = elsewhere.follow(&owner, &at, WAIT).await.unwrap();
        assert_eq!((followed.text, followed.seq), (text, 1));
        at.from = followed.to;
    }
}

#[tokio::test]
async fn a_reader_who_waits_looks_once_and_is_told() {
    let Field { server, elsewhere, owner, started, .. } = Field::new().await;
    let at = begin(&started);
    let one_wait = Duration::from_millis(400);
    elsewhere.follow(&owner, &at, one_wait).await.unwrap();
    let before = server.commands().into_iter().collect();
    for _ in 0..5 {
        elsewhere.follow(&owner, &at, one_wait).await.unwrap();
    }
    assert_eq!(ran(&server, &before, &["evalsha", "subscribe"]), [5, 0], "one look a wait, and one channel");
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_nothing_that_was_told_while_its_connection_was_lost() {
    let Field { server, here, elsewhere, owner, started } = Field::new().await;
    let at = begin(&started);
    elsewhere.follow(&owner, &at, Duration::from_millis(200)).await.unwrap();
    assert_eq!(server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]), "1");
    here.extend_turn(&started.turn, &Piece { offset: 0, text: "Much".into() }, LEASE).await.unwrap();
    let told = tokio::time::timeout(WAIT / 4, elsewhere.follow(&owner, &at, WAIT)).await;
    assert_eq!(told.expect("told before its time is over").unwrap().text, "Much");
}

/// A reader that has found nothing and waits, as the server knows.
async fn waiting(server: &Server, store: &Arc<Redis>, owner: &Owner, at: Cursor) -> JoinHandle<Followed> {
    let (store, owner) = (store.clone(), owner.clone());
    let reader = tokio::spawn(async move { store.follow(&owner, &at, WAIT).await.unwrap() });
    while server.ask(&["EVAL", MARKS, "0"]) != "1" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    reader
}

/// What a reader finds before its time is over.
async fn soon(followed: impl Future<Output = Followed>) -> Followed {
    tokio::time::timeout(WAIT / 4, followed).await.expect("told before its time is over")
}

#[tokio::test]
async fn a_reader_is_told_each_byte_once_where_pieces_overlap() {
    let Field { server, here, elsewhere, owner, started } = Field::new().await;
    let (whole, mut at, mut all) = ("tai nghe dưới 3 triệu", begin(&started), String::new());
    let mut first = Some(waiting(&server, &elsewhere, &owner, at).await);
    let before = server.commands().into_iter().collect();
    // Some begin within what was kept, as where a reply was lost; two come at once.
    let rounds: [&[(usize, usize)]; 5] = [&[(0, 4)], &[(2, 9)], &[(9, 10), (10, 12)], &[(0, 16)], &[(16, 26)]];
    for pieces in rounds {
        for (from, to) in pieces {
            let piece = Piece { offset: *from, text: whole[*from..*to].into() };
            here.extend_turn(&started.turn, &piece, LEASE).await.unwrap();
        }
        let end = pieces[pieces.len() - 1].1;
        while all.len() < end {
            let followed = match first.take() {
                Some(reader) => soon(async { reader.await.unwrap() }).await,
                None => soon(async { elsewhere.follow(&owner, &at, WAIT).await.unwrap() }).await,
            };
            assert!(!followed.restarted, "{followed:?}");
            all += &followed.text;
            at.from = followed.to;
        }
        assert_eq!((&*all, at.from.offset), (&whole[..end], end));
    }
    assert_eq!(all, whole);
    assert_eq!(ran(&server, &before, &["evalsha", "publish"]), [6, 6], "each piece is told, and none is looked for");
}

#[tokio::test]
async fn a_reader_of_an_attempt_that_is_over_begins_anew_at_once() {
    let Field { server, here, elsewhere, owner, started } = Field::new().await;
    let piece = |text: &str| Piece { offset: 0, text: text.into() };
    here.extend_turn(&started.turn, &piece("Much"), Duration::from_millis(1)).await.unwrap();
    // Its server has died, and the same question is asked again.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let again = start(&*here, &question(Target::New, "k")).await;
    assert_eq!((again.turn.id, again.resumed), (started.turn.id, true));
    // It is known that there is nothing behind the second text, and one who holds as much of the first comes.
    let reader = waiting(&server, &elsewhere, &owner, begin(&again)).await;
    here.extend_turn(&again.turn, &piece("None"), LEASE).await.unwrap();
    let new = soon(async { reader.await.unwrap() }).await;
    let old = Cursor { from: Position { fence: started.turn.fence, ..new.to }, ..begin(&started) };
    let anew = soon(async { elsewhere.follow(&owner, &old, WAIT).await.unwrap() }).await;
    let expected = |restarted| Followed { restarted, ..new.clone() };
    assert_eq!((&*new.text, new.to.offset), ("None", 4));
    assert_eq!([&new, &anew], [&expected(false), &expected(true)]);
}

/// How many sessions are marked as followed.
const MARKS: &str = "local marks = 0
for _, key in ipairs(redis.call('KEYS', '*:s:*')) do marks = marks + redis.call('HEXISTS', key, 'fo') end
return marks";
/// Takes the marks away, so that nothing is told.
const UNMARK: &str = "for _, key in ipairs(redis.call('KEYS', '*:s:*')) do redis.call('HDEL', key, 'fo') end";

/// What happens, and how it comes about.
type Fault<'a> = (&'static str, &'a dyn Fn(&mut Server));

/// How long a call of this reader waits.
const ONE_WAIT: Duration = Duration::from_secs(1);
/// When text that was not told is there all the same: a wait later, and what a busy machine or a server that starts takes.
const BOUND: Duration = Duration::from_secs(6);

/// Follows as the core does: again where Redis is away.
async fn follow(store: &Redis, owner: &Owner, at: &Cursor, wait: Duration) -> Followed {
    loop {
        match store.follow(owner, at, wait).await {
            Err(AccessError::Backend(error)) if error.may_pass() => tokio::time::sleep(Duration::from_millis(20)).await,
            followed => return followed.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_not_told_is_late_by_one_wait_at_most_and_none_is_lost() {
    let server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let Field { mut server, here, elsewhere, owner, started } = Field::on(server).await;
    let unmark = |server: &mut Server| assert_eq!(server.ask(&["EVAL", UNMARK, "0"]), "");
    let cut = |server: &mut Server| drop(server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]));
    let forget = |server: &mut Server| drop(server.ask(&["SCRIPT", "FLUSH", "SYNC"]));
    let restart = |server: &mut Server| {
        server.kill();
        server.run();
    };
    let empty = |server: &mut Server| {
        unmark(server);
        restart(server);
    };
    let faults: [Fault<'_>; 5] = [
        ("its mark is lost", &unmark),
        ("its connection is lost", &cut),
        ("scripts are lost", &forget),
        ("the server is restarted", &restart),
        ("the server is restarted without the mark", &empty),
    ];
    let (mut at, mut all) = (begin(&started), String::new());
    for (round, (name, fault)) in faults.iter().cycle().take(3 * faults.len()).enumerate() {
        // Its reader has looked, has set its mark, and comes back.
        let nothing = follow(&elsewhere, &owner, &at, Duration::from_millis(50));
        let nothing = tokio::time::timeout(BOUND, nothing).await.expect("a wait ends");
        assert_eq!(nothing.text, "");
        let reader = {
            let (elsewhere, owner) = (elsewhere.clone(), owner.clone());
            tokio::spawn(async move {
                loop {
                    let followed = follow(&elsewhere, &owner, &at, ONE_WAIT).await;
                    if !followed.text.is_empty() {
                        return followed;
                    }
                }
            })
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        fault(&mut server);
        let piece = Piece { offset: all.len(), text: format!("{round} ") };
        patiently(async || here.extend_turn(&started.turn, &piece, LEASE).await).await;
        let kept = now();
        let followed = tokio::time::timeout(BOUND, reader).await;
        let followed = followed.unwrap_or_else(|_| panic!("{name}: {round} is not there after {BOUND:?}")).unwrap();
        println!("{name}: {:?}", kept.elapsed());
        all += &piece.text;
        assert_eq!((followed.text, followed.restarted), (piece.text, false), "{name}");
        at.from = followed.to;
    }
    let whole = elsewhere.follow(&owner, &Cursor { from: Position::default(), ..at }, Duration::ZERO).await.unwrap();
    assert_eq!(whole.text, all);
}

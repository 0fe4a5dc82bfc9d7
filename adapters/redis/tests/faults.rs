//! What happens when Redis misbehaves: each fault is told soon, and over soon.

mod common;

use chatcore::error::AccessError;
use chatcore::id::{DeviceId, UserId};
use chatcore::message::{MessagesPage, NewerPage};
use chatcore::port::{Outbox, Probe, Runtime, SessionStore, Throttle};
use chatcore::session::SessionsPage;
use chatcore::sweep::{SERVERS_FIRST, Sweeper};
use chatcore::turn::{Cursor, Extended, NewTurn, Piece, Position, Target};
use chatcore_ports::tokio::TokioRuntime;
use common::chat::{answer, finish, owner, question, start};
use common::faults::{BACK, SOON, config, goes_on, is_back_soon, is_told_soon, now};
use common::{Server, open, user_of_the_readme};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_server_that_is_down() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = open(&config(server.url())).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    server.kill();
    is_told_soon(&store).await;
    server.run();
    is_back_soon(&store).await;
    finish(&*store, &first).await;
    goes_on(&store, Target::Existing(first.turn.id.session), "k1").await;
}

/// A lease was over before Redis was there again. Its server has the answer, and only has to find out that Redis is back; that of
/// the other turn died.
#[tokio::test]
async fn after_an_outage_a_server_that_lives_comes_before_the_sweeper() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let config = config(server.url());
    let (store, sweeping) = (open(&config).await, open(&config).await);
    let lease = Duration::from_millis(100);
    let new = |key| NewTurn { lease, ..question(Target::New, key) };
    let (lives, orphan) = (start(&*store, &new("k0")).await, start(&*store, &new("k1")).await);
    let mut sweeper = Sweeper::new(sweeping, Arc::new(TokioRuntime::current()), lease, 9);
    server.kill();
    assert!(sweeper.step().await.is_err_and(|error| error.may_pass()));
    tokio::time::sleep(lease).await;
    server.run();
    let mut rest = sweeper.step().await;
    while rest.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        rest = sweeper.step().await;
    }
    is_back_soon(&store).await;
    finish(&*store, &lives).await;
    let page = MessagesPage { before: None, limit: 9 };
    let began = now();
    while store.messages(&owner(), &orphan.turn.id.session, &page).await.unwrap().len() < 2 {
        assert!(began.elapsed() < 10 * SERVERS_FIRST, "the other's server died");
        tokio::time::sleep(rest.unwrap()).await;
        rest = sweeper.step().await;
    }
}

/// While nobody lets it in, a process knocks now and then, and not for each of its callers.
#[tokio::test]
async fn a_server_that_lets_nobody_in_is_not_dialled_by_each_call() {
    let mut server = Server::start();
    let store = open(&config(server.url())).await;
    server.kill();
    let door = TcpListener::bind(("127.0.0.1", server.port)).await.unwrap();
    let dials = Arc::new(AtomicU32::new(0));
    let counted = dials.clone();
    let doorman = tokio::spawn(async move {
        while door.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let began = now();
    for _ in 0..200 {
        store.check().await.unwrap_err();
    }
    let may = 2 + began.elapsed().as_millis() / 200;
    let did = dials.load(Ordering::Relaxed);
    assert!(did >= 1 && u128::from(did) <= may, "{did} connections were asked for where {may} may be");
    doorman.abort();
    drop(doorman.await);
    server.run();
    is_back_soon(&store).await;
}

#[tokio::test]
async fn a_server_that_is_frozen() {
    let server = Server::start();
    let store = open(&config(server.url())).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    server.signal("STOP");
    is_told_soon(&store).await;
    server.signal("CONT");
    is_back_soon(&store).await;
    finish(&*store, &first).await;
}

/// Time stands still but where everybody waits, and then goes on to the next deadline: how long a call lasts is what it allows
/// itself, however slow the machine is.
#[tokio::test]
async fn no_call_of_a_silent_server_lasts_longer_than_its_deadline() {
    let server = Server::start();
    let config = config(server.url());
    assert!(config.call_timeout <= SOON / 2, "a second is more than one call, and what is around it");
    let store = open(&config).await;
    let begun = start(&*store, &question(Target::New, "k0")).await;
    let (turn, owner, session) = (begun.turn, owner(), begun.turn.id.session);
    let clock = TokioRuntime::current();
    server.signal("STOP");
    tokio::time::pause();
    let cursor = Cursor { turn: turn.id, from: Position::default() };
    let (lease, piece) = (Duration::from_secs(15), Piece { offset: 0, text: "Mu".into() });
    let (said, more) = (answer("Much."), question(Target::Existing(session), "k1"));
    let quota = more.quota.unwrap();
    let (sessions, messages) = (SessionsPage { after: None, limit: 9 }, MessagesPage { before: None, limit: 9 });
    let newer = NewerPage { after: 0, limit: 9 };
    let (phone, ann) = (DeviceId::parse("phone").unwrap(), UserId::parse("ann").unwrap());
    let calls: [(&str, BoxFuture<'_, bool>); 17] = [
        ("begin", store.begin_turn(&more).map(is_refused).boxed()),
        ("extend", store.extend_turn(&turn, &piece, lease).map(is_refused).boxed()),
        ("finish", store.finish_turn(&turn, &said).map(is_refused).boxed()),
        ("left", store.left(&owner, &quota).map(is_refused).boxed()),
        ("stop", store.request_stop(&owner, &turn.id).map(is_refused).boxed()),
        ("follow", store.follow(&owner, &cursor, lease).map(is_refused).boxed()),
        ("session", store.session(&owner, &session).map(is_refused).boxed()),
        ("sessions", store.sessions(&owner, &sessions).map(is_refused).boxed()),
        ("messages", store.messages(&owner, &session, &messages).map(is_refused).boxed()),
        ("newer", store.newer(&owner, &session, &newer, lease).map(is_refused).boxed()),
        ("delete", store.delete(&owner, &session, None).map(is_refused).boxed()),
        ("adopt", store.adopt(&phone, &ann).map(is_refused).boxed()),
        ("sweep", store.close_orphans(lease, 9).map(is_refused).boxed()),
        ("throttle", store.take("ann", &quota).map(is_refused).boxed()),
        ("remaining", store.remaining("ann", &quota).map(is_refused).boxed()),
        ("claim", store.claim(9, Duration::ZERO).map(is_refused).boxed()),
        ("probe", store.check().map(is_refused).boxed()),
    ];
    for (what, call) in calls {
        let began = clock.elapsed();
        assert!(call.await, "{what} was answered");
        let took = clock.elapsed() - began;
        assert!(!took.is_zero() && took <= config.call_timeout + TICK, "{what} took {took:?}");
        // Until the breaker lets the next one through.
        tokio::time::advance(Duration::from_millis(200)).await;
    }
    tokio::time::resume();
    server.signal("CONT");
    is_back_soon(&store).await;
}

/// The grain of timers.
const TICK: Duration = Duration::from_millis(1);

fn is_refused<T, E>(told: Result<T, E>) -> bool {
    told.is_err()
}

#[tokio::test]
async fn a_server_that_has_lost_its_scripts() {
    let server = Server::start();
    let store = open(&config(server.url())).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    finish(&*store, &first).await;
    for number in 1..4 {
        server.ask(&["SCRIPT", "FLUSH"]);
        let started = start(&*store, &question(Target::Existing(first.turn.id.session), &format!("k{number}"))).await;
        assert_eq!(started.window.len(), 2 * number, "the window is read behind the question, not before it");
        server.ask(&["SCRIPT", "FLUSH"]);
        finish(&*store, &started).await;
    }
}

#[tokio::test]
async fn a_server_out_of_memory() {
    let server = Server::start();
    let store = open(&config(server.url())).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let here = Target::Existing(first.turn.id.session);
    let refused = store.begin_turn(&question(here, "k1")).await;
    assert!(refused.is_err_and(|error| error.may_pass()), "a question");
    assert!(store.check().await.is_err_and(|error| error.may_pass()), "the probe");
    finish(&*store, &first).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    goes_on(&store, here, "k1").await;
}

#[tokio::test]
async fn a_server_with_no_room_for_another_client() {
    let server = Server::start();
    no_room(&server, server.url()).await;
}

/// What it says then stands where the answer to the password is awaited.
#[tokio::test]
async fn a_server_with_a_password_and_no_room_for_another_client() {
    let server = Server::start();
    server.ask(&["ACL", "SETUSER", "all", "on", ">secret", "~*", "&*", "+@all"]);
    no_room(&server, format!("redis://all:secret@127.0.0.1:{}", server.port)).await;
}

/// Or to the number of the database.
#[tokio::test]
async fn a_server_with_a_database_and_no_room_for_another_client() {
    let server = Server::start();
    no_room(&server, server.url() + "/2").await;
}

async fn no_room(server: &Server, url: String) {
    let config = config(url);
    let (store, late) = (open(&config).await, config);
    let first = start(&*store, &question(Target::New, "k0")).await;
    server.ask(&["CONFIG", "SET", "maxclients", "1"]);
    // Who has a connection goes on; who comes now is told that it may pass.
    finish(&*store, &first).await;
    goes_on(&store, Target::Existing(first.turn.id.session), "k1").await;
    let late = open(&late).await;
    is_told_soon(&late).await;
    drop(store);
    is_back_soon(&late).await;
    goes_on(&late, Target::Existing(first.turn.id.session), "k2").await;
}

#[tokio::test]
async fn a_server_that_became_a_replica() {
    let (server, master) = (Server::start(), Server::start());
    let store = open(&config(server.url())).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    server.ask(&["CONFIG", "SET", "replica-read-only", "yes"]);
    server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    drop(master);
    for _ in 0..3 {
        assert!(store.finish_turn(&first.turn, &answer("Much.")).await.is_err_and(|error| error.may_pass()));
    }
    server.ask(&["REPLICAOF", "NO", "ONE"]);
    is_back_soon(&store).await;
    finish(&*store, &first).await;
}

/// Nobody is woken then, but what is stored is stored once.
#[tokio::test]
async fn a_right_to_publish_that_is_withdrawn_amid_a_turn() {
    let server = Server::start();
    let store = open(&user_of_the_readme(&server)).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    let (turn, owner) = (first.turn, owner());
    // It is followed from now on, so all that is written is told.
    let (from, lease) = (Position::default(), Duration::from_secs(15));
    store.follow(&owner, &Cursor { turn: turn.id, from }, Duration::from_millis(50)).await.unwrap();
    server.ask(&["ACL", "SETUSER", "chat", "resetchannels"]);
    assert!(store.check().await.is_err_and(|error| !error.may_pass()), "the probe");
    let held = store.extend_turn(&turn, &Piece { offset: 0, text: "Mu".into() }, lease).await.unwrap();
    assert_eq!(held, Extended::Held { length: 2 });
    finish(&*store, &first).await;
    let page = MessagesPage { before: None, limit: 99 };
    let seqs = async || -> Vec<u64> {
        let history = store.messages(&owner, &turn.id.session, &page).await.unwrap();
        history.iter().map(|message| message.seq).collect()
    };
    assert_eq!(seqs().await, [1, 2], "a question and its answer");
    let more = start(&*store, &question(Target::Existing(turn.id.session), "k1")).await;
    server.ask(&["ACL", "SETUSER", "chat", "&c:*"]);
    is_back_soon(&store).await;
    finish(&*store, &more).await;
    assert_eq!(seqs().await, [1, 2, 3, 4]);
    let events = store.claim(99, Duration::ZERO).await.unwrap();
    assert!(events.iter().map(|entry| entry.event.seq).eq(1..=4), "an event of each: {events:?}");
}

/// An earlier version left a part of a question that it could not tell of.
#[tokio::test]
async fn a_session_without_an_end_is_none() {
    let server = Server::start();
    let config = config(server.url());
    let (store, owner) = (open(&config).await, owner());
    let left = start(&*store, &question(Target::New, "k0")).await.turn.id.session;
    let key = |name: String| server.ask(&["KEYS", &format!("{}*:{name}", config.key_prefix)]);
    let [hash, opened] = [format!("s:{left}"), format!("k:{owner} k0")].map(key);
    assert_eq!(server.ask(&["GET", &opened]), left.to_string());
    for field in ["n", "f", "lu", "tm", "ta", "tr", "rq", "lt", "la", "ex", "kx"] {
        assert_eq!(server.ask(&["HDEL", &hash, field]), "1", "{field}");
    }
    let page = MessagesPage { before: None, limit: 9 };
    let read = store.messages(&owner, &left, &page).await;
    assert!(matches!(read, Err(AccessError::NotFound)), "{read:?}");
    assert_eq!(store.sessions(&owner, &SessionsPage { after: None, limit: 9 }).await.unwrap(), []);
    let began = start(&*store, &question(Target::New, "k0")).await;
    assert!(began.turn.id.session != left && began.seq == 1, "{began:?}");
    finish(&*store, &began).await;
}

/// A follower is not left waiting by the loss of the connection on which it would be told.
#[tokio::test]
async fn a_listening_connection_that_is_lost() {
    let server = Server::start();
    let config = config(server.url());
    let (store, elsewhere) = (open(&config).await, open(&config).await);
    let first = start(&*store, &question(Target::New, "k0")).await;
    let cursor = Cursor { turn: first.turn.id, from: Position::default() };
    let follower = tokio::spawn(async move {
        let followed = elsewhere.follow(&owner(), &cursor, Duration::from_secs(20)).await;
        (followed.unwrap().text, now())
    });
    for _ in 0..3 {
        let began = now();
        while server.ask(&["PUBSUB", "CHANNELS"]).is_empty() {
            assert!(began.elapsed() < BACK, "nobody listens again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let written = now();
    let piece = Piece { offset: 0, text: "Mu".into() };
    store.extend_turn(&first.turn, &piece, Duration::from_secs(15)).await.unwrap();
    let (text, told) = follower.await.unwrap();
    assert!(text == "Mu" && told - written < BACK, "{text:?} after {:?}", told - written);
}

#[tokio::test]
async fn connections_of_all_runtimes_are_given_up_when_one_is_silent() {
    let server = Server::start();
    let mut config = config(server.url());
    config.call_timeout = Duration::from_millis(200);
    let store = open(&config).await;
    let connections = || server.ask(&["CLIENT", "LIST"]).lines().filter(|line| line.contains("cmd=eval")).count();
    let (elsewhere, (end, ended)) = (store.clone(), std::sync::mpsc::channel::<()>());
    let (told, made) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(elsewhere.close_orphans(Duration::ZERO, 1)).unwrap();
        told.send(()).unwrap();
        ended.recv().ok();
    });
    made.await.unwrap();
    store.close_orphans(Duration::ZERO, 1).await.unwrap();
    assert_eq!(connections(), 2, "each runtime has its own");
    server.ask(&["CLIENT", "PAUSE", "400"]);
    store.close_orphans(Duration::ZERO, 1).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(connections(), 0);
    drop(end);
    thread.join().unwrap();
}

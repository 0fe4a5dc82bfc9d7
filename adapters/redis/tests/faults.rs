//! What happens when Redis misbehaves: each fault is told soon, and over soon.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use chatcore::error::BackendError;
use chatcore::message::MessagesPage;
use chatcore::port::{Outbox, Probe, SessionStore};
use chatcore::turn::{Began, Cursor, Finished, NewTurn, Piece, Position, Target, Turn};
use chatcore_redis::{Redis, RedisConfig};
use common::chat::{answer, finish, question, start};
use common::{Cluster, Server, open, own_prefix};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The longest that an error may be waited for, and that the way back may take.
const SOON: Duration = Duration::from_secs(1);
const BACK: Duration = Duration::from_secs(2);

/// As it comes from `new`: the deadlines are what is tested.
fn config(url: String) -> RedisConfig {
    let mut config = RedisConfig::new(url);
    config.key_prefix = own_prefix();
    config
}

#[expect(clippy::disallowed_methods, reason = "a test of time as it passes")]
fn now() -> Instant {
    Instant::now()
}

/// Calls fail within a second, and soon at once; all of them may be tried again.
async fn is_told_soon(store: &Redis) {
    for round in 0..6 {
        let began = now();
        let told = store.check().await.map_err(|error| error.may_pass());
        let took = began.elapsed();
        assert!(told == Err(true) && took < SOON, "call {round} was told {told:?} after {took:?}");
    }
    let began = now();
    // Of these at most every 200 ms one is tried.
    for _ in 0..100 {
        store.check().await.unwrap_err();
    }
    assert!(began.elapsed() < 2 * SOON, "a hundred calls took {:?}", began.elapsed());
}

/// Calls work again within two seconds.
async fn is_back_soon(store: &Redis) {
    let began = now();
    while store.check().await.is_err() {
        assert!(began.elapsed() < BACK, "not back after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A conversation goes on where it was.
async fn goes_on(store: &Redis, target: Target, key: &str) {
    finish(store, &start(store, &question(target, key)).await).await;
}

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

/// Repeats a call until it is answered, as the core does.
async fn patiently<T>(call: impl AsyncFn() -> Result<T, BackendError>) -> T {
    for _ in 0..1000 {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.may_pass(), "{error:?}: {}", error.source),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no answer in a thousand tries");
}

/// A door to the server that closes in the midst of an answer: after so many bytes, once for each number that is set.
async fn door(server: u16, cut: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (cut, inside) = (cut.clone(), TcpStream::connect(("127.0.0.1", server)).await.unwrap());
            tokio::spawn(pass(client, inside, cut));
        }
    });
    port
}

async fn pass(client: TcpStream, server: TcpStream, cut: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
        let keep = cut.load(Ordering::SeqCst);
        if keep < usize::MAX && keep < read {
            cut.store(usize::MAX, Ordering::SeqCst);
            to_client.write_all(&bytes[..keep]).await.ok();
            break;
        }
        if to_client.write_all(&bytes[..read]).await.is_err() {
            break;
        }
        if keep < usize::MAX {
            cut.store(keep - read, Ordering::SeqCst);
        }
    }
    there.abort();
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
async fn an_answer_cut_after_any_byte() {
    let server = Server::start();
    let cut = Arc::new(AtomicUsize::new(usize::MAX));
    let store = open(&config(format!("redis://127.0.0.1:{}", door(server.port, cut.clone()).await))).await;
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
        cut.store(byte, Ordering::SeqCst);
        let turn = began(&store, &new).await;
        let said = format!("answer {byte}");
        let finished = patiently(async || store.finish_turn(&turn, &answer(&said)).await).await;
        assert!(matches!(finished, Finished::Stored(stored) if stored.content == said), "cut after {byte}");
        cut.store(usize::MAX, Ordering::SeqCst);
    }
    let Target::Existing(session) = target else { return };
    let page = MessagesPage { before: None, limit: 1000 };
    let history = store.messages(&new_owner(), &session, &page).await.unwrap();
    assert!(history.iter().map(|message| message.seq).eq(1..=42), "each once: {}", history.len());
}

fn new_owner() -> chatcore::owner::Owner {
    question(Target::New, "k").owner
}

/// While its keys move one by one, questions and answers are taken whole or not at all.
#[tokio::test]
async fn a_slot_moved_in_the_cluster() {
    let cluster = Cluster::start();
    let mut config = config(cluster.nodes[0].url());
    config.urls = cluster.urls();
    let store = open(&config).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    finish(&*store, &first).await;
    let session = first.turn.id.session;
    let (slot, from) = cluster.slot_of(&session.to_string());
    let (mut number, mut told) = (0, Vec::new());
    for () in cluster.move_slot(&slot, from, (from + 1) % 3) {
        number += 1;
        let new = question(Target::Existing(session), &format!("k{number}"));
        if let Ok(Began::Started(started)) = store.begin_turn(&new).await {
            told.push(store.finish_turn(&started.turn, &answer("Much.")).await.is_ok());
        }
    }
    assert!(number > 5 && told.len() < number, "a slot that moves refuses: {told:?} of {number}");
    is_back_soon(&store).await;
    goes_on(&store, Target::Existing(session), "last").await;
    let page = MessagesPage { before: None, limit: 1000 };
    let history = store.messages(&new_owner(), &session, &page).await.unwrap();
    let events = store.claim(1000, Duration::ZERO).await.unwrap();
    let events: Vec<_> = events.iter().filter_map(|entry| entry.event.message()).collect();
    assert!(history.iter().map(|message| message.seq).eq(1..=history.len() as u64), "{history:?}");
    assert_eq!(events, history.iter().collect::<Vec<_>>(), "each message has its event");
}

/// What lies on the other nodes is answered as soon as ever.
#[tokio::test]
async fn a_node_of_the_cluster_that_is_down() {
    let mut cluster = Cluster::start();
    let mut config = config(cluster.nodes[0].url());
    config.urls = cluster.urls();
    let store = open(&config).await;
    let (mut sessions, mut number) = ([const { Vec::new() }; 3], 0);
    while sessions.iter().any(|sessions| sessions.len() < 2) {
        number += 1;
        let new = NewTurn { owner: owner(&format!("user{number}")), ..question(Target::New, "k0") };
        let started = start(&*store, &new).await;
        let (_, node) = cluster.slot_of(&started.turn.id.session.to_string());
        sessions[node].push((new, started));
    }
    cluster.nodes[2].kill();
    for _ in 0..3 {
        let (_, lost) = &sessions[2][0];
        let began = now();
        let told = store.finish_turn(&lost.turn, &answer("Much.")).await;
        assert!(told.is_err_and(|error| error.may_pass()) && began.elapsed() < SOON, "after {:?}", began.elapsed());
    }
    for (_, started) in sessions[..2].iter().flatten() {
        let began = now();
        let turn = &started.turn;
        let finished = patiently(async || store.finish_turn(turn, &answer("Much.")).await).await;
        assert!(matches!(finished, Finished::Stored(_)) && began.elapsed() < SOON, "after {:?}", began.elapsed());
    }
}

fn owner(name: &str) -> chatcore::owner::Owner {
    format!("user:{name}").parse().unwrap()
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
        let followed = elsewhere.follow(&new_owner(), &cursor, Duration::from_secs(20)).await;
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

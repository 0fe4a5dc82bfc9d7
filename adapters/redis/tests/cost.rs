//! What a message costs, counted by the server.

mod common;

use chatcore::owner::Owner;
use chatcore::port::SessionStore;
use chatcore::session::SessionsPage;
use chatcore::turn::{Cursor, Followed, NewTurn, Piece, Position, Target};
use common::chat::{finish, question, start};
use common::{Monitor, Server, config, open, ran};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

#[tokio::test]
async fn a_message_costs_two_scripts_and_the_read_of_its_window() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    finish(&*store, &first).await;
    let here = Target::Existing(first.turn.id.session);
    finish(&*store, &start(&*store, &question(here, "k1")).await).await;
    let monitor = Monitor::of(&server);
    for number in 2..12 {
        let started = start(&*store, &question(here, &format!("k{number}"))).await;
        assert_eq!(started.window.len(), 10.min(2 * number), "the window came along");
        finish(&*store, &started).await;
    }
    let sent = monitor.seen(&server).into_iter().filter(|ran| !ran.by_script).map(|ran| ran.name).collect::<Vec<_>>();
    assert_eq!(sent, ["evalsha", "lrange", "evalsha"].repeat(10), "what was sent for ten messages");
}

#[tokio::test]
async fn a_sweep_that_finds_nothing_is_one_script() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    finish(&*store, &start(&*store, &question(Target::New, "k")).await).await;
    store.close_orphans(Duration::ZERO, 100).await.unwrap();
    let before = server.commands().into_iter().collect();
    for _ in 0..10 {
        assert_eq!(store.close_orphans(Duration::from_secs(1), 100).await.unwrap().closed, 0);
    }
    assert_eq!(ran(&server, &before, &["evalsha", "zrange", "hmget", "xadd"]), [10, 160, 0, 0]);
}

#[tokio::test]
async fn what_nobody_follows_is_not_told() {
    let server = Server::start();
    let mut config = config(&[server.url()]);
    config.limits.outbox_full = chatcore::policy::OutboxFull::Refuse;
    let store = open(&config).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    let before = server.commands().into_iter().collect();
    let piece = Piece { offset: 0, text: "Mu".into() };
    store.extend_turn(&first.turn, &piece, Duration::from_secs(15)).await.unwrap();
    finish(&*store, &first).await;
    assert_eq!(ran(&server, &before, &["publish", "subscribe"]), [0, 0]);
}

#[tokio::test]
async fn a_list_reads_the_index_of_its_owner_alone() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    for name in ["bob", "ann", "tom"] {
        for number in 0..10 {
            let owner: Owner = format!("user:{name}").parse().unwrap();
            let new = NewTurn { owner, ..question(Target::New, &format!("k{number}")) };
            finish(&*store, &start(&*store, &new).await).await;
        }
    }
    let (ann, page) = ("user:ann".parse().unwrap(), SessionsPage { after: None, limit: 20 });
    store.sessions(&ann, &page).await.unwrap();
    let before = server.commands().into_iter().collect();
    assert_eq!(store.sessions(&ann, &page).await.unwrap().len(), 10);
    let names = ["evalsha", "zrange", "hmget", "hkeys", "scan", "keys", "hgetall"];
    assert_eq!(ran(&server, &before, &names), [1, 1, 10, 1, 0, 0, 0]);
}

/// A caller, and how often it was woken.
struct Woken {
    times: Arc<AtomicUsize>,
    task: JoinHandle<Followed>,
}

impl Woken {
    fn by(call: impl Future<Output = Followed> + Send + 'static) -> Self {
        let times = Arc::new(AtomicUsize::new(0));
        let (mut call, counts) = (Box::pin(call), times.clone());
        let counted = poll_fn(move |context| {
            counts.fetch_add(1, Ordering::SeqCst);
            call.as_mut().poll(context)
        });
        Self { times, task: tokio::spawn(counted) }
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }
}

/// Who follows another session does not hear of it, nor does anybody look at all who wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_wakes_those_who_follow_it_alone() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    let (mut turns, mut followers) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let new = NewTurn { quota: None, ..question(Target::New, &format!("k{number}")) };
        let turn = start(&*store, &new).await.turn;
        let (store, cursor) = (store.clone(), Cursor { turn: turn.id, from: Position::default() });
        followers
            .push(Woken::by(async move { store.follow(&new.owner, &cursor, Duration::from_secs(120)).await.unwrap() }));
        turns.push(turn);
    }
    let marked = || server.ask(&["EVAL", MARKS, "0"]);
    while marked() != "20" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let channel = server.ask(&["PUBSUB", "CHANNELS", &format!("*{}", turns[0].id.session)]);
    let before: Vec<usize> = followers.iter().map(Woken::times).collect();
    for _ in 0..200 {
        let woken = followers[0].times();
        assert_eq!(server.ask(&["PUBLISH", &channel, "1"]), "1");
        while followers[0].times() == woken {
            tokio::task::yield_now().await;
        }
    }
    let grown = |(follower, before): (&Woken, &usize)| follower.times() - before;
    let woken: Vec<usize> = followers.iter().zip(&before).map(grown).collect();
    // The answers to their own calls may have been on the way.
    assert!(woken[0] >= 200 && woken[1..].iter().all(|times| *times < 10), "so often each was woken: {woken:?}");
    for (number, (turn, follower)) in turns.iter().zip(followers).enumerate() {
        let piece = Piece { offset: 0, text: format!("{number}") };
        store.extend_turn(turn, &piece, Duration::from_secs(15)).await.unwrap();
        assert_eq!(follower.task.await.unwrap().text, format!("{number}"));
    }
}

/// How many sessions are marked as followed.
const MARKS: &str = "local marks = 0
for _, key in ipairs(redis.call('KEYS', '*:s:*')) do marks = marks + redis.call('HEXISTS', key, 'fo') end
return marks";

/// What is over leaves the index of its owner: when it is listed, or when another session is opened; and what is missing there
/// comes back.
#[tokio::test]
async fn an_index_heals_itself() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    let brief = |key: String| NewTurn { ttl: Duration::from_millis(1), quota: None, ..question(Target::New, &key) };
    let owner = question(Target::New, "k").owner;
    let index = |kind: &str| server.ask(&["KEYS", &format!("*:{kind}:{owner}")]);
    let sizes = || ["u", "e"].map(|kind| server.ask(&["ZCARD", &index(kind)]).parse::<usize>().unwrap());
    let living = start(&*store, &question(Target::New, "lives")).await;
    finish(&*store, &living).await;
    for number in 0..60 {
        start(&*store, &brief(format!("k{number}"))).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let page = SessionsPage { after: None, limit: 9 };
    assert_eq!(store.sessions(&owner, &page).await.unwrap().len(), 1);
    assert_eq!(sizes(), [1, 1], "what is over was looked at for the last time");
    start(&*store, &brief("over".into())).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    finish(&*store, &start(&*store, &question(Target::New, "more")).await).await;
    assert_eq!(sizes(), [2, 2], "who opens one need not list them");
    for kind in ["u", "e"] {
        server.ask(&["DEL", &index(kind)]);
    }
    assert_eq!(store.sessions(&owner, &page).await.unwrap().len(), 0);
    let here = Target::Existing(living.turn.id.session);
    finish(&*store, &start(&*store, &question(here, "again")).await).await;
    assert_eq!(store.sessions(&owner, &page).await.unwrap().len(), 1, "it came back with its next question");
}

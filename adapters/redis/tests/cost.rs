//! What a message costs, counted by the server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::owner::Owner;
use chatcore::port::SessionStore;
use chatcore::session::SessionsPage;
use chatcore::turn::{Cursor, Followed, NewTurn, Piece, Position, Target};
use chatcore_redis::Redis;
use common::chat::{finish, question, start};
use common::{Server, config, open};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often commands were run since `before`, by clients and by scripts.
fn run(server: &Server, before: &BTreeMap<String, u64>, names: &[&str]) -> Vec<u64> {
    let now: BTreeMap<String, u64> = server.commands().into_iter().collect();
    let count = |name: &&str| now.get(*name).unwrap_or(&0) - before.get(*name).unwrap_or(&0);
    names.iter().map(count).collect()
}

/// Sees what clients send.
struct Monitor(BufReader<TcpStream>);

impl Monitor {
    fn of(server: &Server) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut monitor = Self(BufReader::new(stream));
        assert_eq!(monitor.line().trim(), "+OK");
        monitor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// The commands that were sent until now, but for those that scripts ran.
    fn seen(mut self, server: &Server) -> Vec<String> {
        server.ask(&["ECHO", "the end"]);
        let mut seen = Vec::new();
        loop {
            let line = self.line();
            let (from, command) = line.split_once("] ").unwrap();
            let name = command.split('"').nth(1).unwrap().to_uppercase();
            match name.as_str() {
                "ECHO" => return seen,
                _ if from.ends_with("lua") => {}
                _ => seen.push(name),
            }
        }
    }
}

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
    let per_message = ["EVALSHA", "LRANGE", "EVALSHA"];
    assert_eq!(monitor.seen(&server), per_message.repeat(10), "what was sent for ten messages");
}

#[tokio::test]
async fn a_sweep_that_finds_nothing_is_one_script() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    finish(&*store, &start(&*store, &question(Target::New, "k")).await).await;
    store.close_orphans(Duration::ZERO, 100).await.unwrap();
    let before = server.commands().into_iter().collect();
    for _ in 0..10 {
        assert_eq!(store.close_orphans(Duration::from_secs(1), 100).await.unwrap(), 0);
    }
    assert_eq!(run(&server, &before, &["evalsha", "zrange", "hmget", "xadd"]), [10, 160, 0, 0]);
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
    assert_eq!(run(&server, &before, &["publish", "subscribe"]), [0, 0]);
}

/// Server time in the scripts and reads of turns, in microseconds.
fn time_of(server: &Server) -> u64 {
    let stats = server.ask(&["INFO", "commandstats"]);
    let time = |line: &str| {
        let (name, rest) = line.split_once(":calls=")?;
        let counts = ["cmdstat_evalsha", "cmdstat_lrange"].contains(&name);
        rest.split_once("usec=")?.1.split(',').next()?.parse::<u64>().ok().filter(|_| counts)
    };
    stats.lines().filter_map(time).sum::<u64>()
}

/// The least time that a hundred turns took, of some rounds: what else the machine does only ever adds to it.
async fn hundred_turns(server: &Server, store: &Redis, target: Target, round: &str) -> u64 {
    let mut least = u64::MAX;
    for part in 0..5 {
        let before = time_of(server);
        for number in 0..100 {
            let new = NewTurn { quota: None, ..question(target, &format!("{round}-{part}-{number}")) };
            finish(store, &start(store, &new).await).await;
        }
        least = least.min(time_of(server) - before);
    }
    least
}

#[tokio::test]
async fn a_long_session_costs_no_more_than_a_short_one() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    finish(&*store, &first).await;
    let here = Target::Existing(first.turn.id.session);
    let short = hundred_turns(&server, &store, here, "short").await;
    for number in 0..5000 {
        let new = NewTurn { quota: None, ..question(here, &format!("fill-{number}")) };
        finish(&*store, &start(&*store, &new).await).await;
    }
    let long = hundred_turns(&server, &store, here, "long").await;
    // A cost that grows with the session would be many times as much. How much it is on a quiet machine is a benchmark's.
    assert!(long < 2 * short, "a hundred turns took {short} us at first and {long} us later");
    println!("a hundred turns took {short} us at first and {long} us later");
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
    assert_eq!(run(&server, &before, &names), [1, 1, 10, 1, 0, 0, 0]);
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

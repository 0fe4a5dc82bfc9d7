//! What a turn costs does not grow with its session, nor the list of an owner's sessions with those of others. Counted, not
//! timed: what the server runs, how much it is told and answers, and how deep into a list it has to go.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::owner::Owner;
use chatcore::policy::Quota;
use chatcore::port::SessionStore;
use chatcore::session::SessionsPage;
use chatcore::turn::{NewTurn, Piece, Started, Target};
use chatcore_redis::Redis;
use common::chat::{finish, question, start};
use common::{Monitor, Ran, Server, config, open};
use futures_util::{StreamExt, stream};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many messages the AI is told, as `question` asks.
const WINDOW: usize = 10;
/// These read no more than they answer.
const READS: &[&str] = &[
    "exists", "get", "getrange", "hexists", "hget", "hgetall", "hkeys", "hmget", "llen", "pttl", "strlen", "time",
    "xlen", "zcount", "zrange",
];
/// These write what they are told, at a known place or, in a sorted set, at one that is found in log(n) steps; what scripts run
/// is counted by itself.
const WRITES: &[&str] = &[
    "evalsha",
    "hset",
    "lpush",
    "pexpire",
    "pexpireat",
    "publish",
    "rpop",
    "rpush",
    "setrange",
    "xadd",
    "zadd",
    "zrem",
];

/// What something cost.
#[derive(Debug)]
struct Cost {
    /// The names of what was run, in order.
    commands: Vec<String>,
    /// How many words it was told and answered.
    words: usize,
    bytes: usize,
    /// How far from their nearest end it went into lists, all in all.
    depth: usize,
}

impl Cost {
    /// Of what was run since the monitor began; `before` are the keys that there were.
    fn of(server: &Server, monitor: Monitor, before: &BTreeSet<String>) -> Self {
        let mut cost = Self { commands: Vec::new(), words: 0, bytes: 0, depth: 0 };
        for Ran { name, words, .. } in monitor.seen(server) {
            cost.words += words.len();
            cost.bytes += words.iter().map(Vec::len).sum::<usize>();
            let key = || String::from_utf8_lossy(&words[1]).into_owned();
            match name.as_str() {
                "lindex" | "lrange" => {
                    cost.depth += depth(server, &words);
                    cost.answered(&server.ask(&words));
                }
                "del" => assert!(!before.contains(&key()), "{} may be large", key()),
                read if READS.contains(&read) => cost.answered(&server.ask(&words)),
                write if WRITES.contains(&write) => {}
                other => panic!("what does {other} cost where {} is large?", key()),
            }
            cost.commands.push(name);
        }
        cost
    }

    /// What the same command answers now.
    fn answered(&mut self, answer: &str) {
        self.words += answer.lines().count();
        self.bytes += answer.len();
    }

    /// Numbers have more digits in a long session, so a little more is said.
    fn is_that_of(&self, small: &Self) {
        assert_eq!(self.commands, small.commands);
        assert_eq!(self.words, small.words);
        assert!(self.depth <= WINDOW + 2, "{} messages deep", self.depth);
        assert!(self.bytes * 10 <= small.bytes * 11, "{} bytes instead of {}", self.bytes, small.bytes);
    }
}

/// How far from the nearest end of its list a command begins.
fn depth(server: &Server, words: &[Vec<u8>]) -> usize {
    let length: i64 = server.ask(&[b"LLEN".as_slice(), &words[1]]).parse().unwrap();
    let place: i64 = String::from_utf8_lossy(&words[2]).parse().unwrap();
    let from_start = if place < 0 { (length + place).max(0) } else { place.min(length) };
    usize::try_from(from_start.min(length - from_start)).unwrap()
}

fn keys(server: &Server) -> BTreeSet<String> {
    server.ask(&["KEYS", "*"]).lines().map(str::to_owned).collect()
}

/// What runs out does so long after the test, however slow the machine is.
fn lasting(target: Target, key: &str) -> NewTurn {
    const LONG: Duration = Duration::from_secs(1_000_000);
    NewTurn { ttl: LONG, quota: Some(Quota { limit: 1_000_000, window: LONG }), ..question(target, key) }
}

async fn turn(store: &Redis, here: Target, key: &str) {
    let started = start(store, &NewTurn { quota: None, ..lasting(here, key) }).await;
    finish(store, &started).await;
}

async fn extend(store: &Redis, started: &Started) {
    let piece = Piece { offset: 0, text: "Mu".into() };
    store.extend_turn(&started.turn, &piece, Duration::from_secs(15)).await.unwrap();
}

/// What a turn costs that has all that a turn may: a window, a quota, live text.
async fn whole_turn(server: &Server, store: &Redis, here: Target, key: &str) -> Cost {
    let (before, monitor) = (keys(server), Monitor::of(server));
    let started = start(store, &lasting(here, key)).await;
    assert_eq!(started.window.len(), WINDOW);
    extend(store, &started).await;
    finish(store, &started).await;
    Cost::of(server, monitor, &before)
}

#[tokio::test]
async fn a_turn_behind_10000_messages_costs_what_one_behind_10_does() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    // The server knows the scripts from here on.
    let first = start(&*store, &NewTurn { quota: None, ..lasting(Target::New, "first") }).await;
    extend(&store, &first).await;
    finish(&*store, &first).await;
    let here = Target::Existing(first.turn.id.session);
    for number in 1..5 {
        turn(&store, here, &format!("k{number:04}")).await;
    }
    let short = whole_turn(&server, &store, here, "short").await;
    for number in 6..5000 {
        turn(&store, here, &format!("k{number:04}")).await;
    }
    let long = whole_turn(&server, &store, here, "long1").await;
    println!(
        "behind 10 messages {short:?}, behind 10,000 {} words, {} bytes, {} deep",
        long.words, long.bytes, long.depth
    );
    long.is_that_of(&short);
}

/// As many as a benchmark takes are not needed: what is counted is exact.
#[tokio::test]
async fn a_list_of_10_sessions_among_3000_costs_what_one_among_100_does() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    for number in 0..10 {
        turn(&store, Target::New, &format!("k{number}")).await;
    }
    let others = async |numbers: std::ops::Range<u32>| {
        let open = |number: u32| {
            let owner: Owner = format!("user:other{number}").parse().unwrap();
            let (store, new) = (&store, NewTurn { owner, quota: None, ..lasting(Target::New, "k") });
            async move { drop(start(&**store, &new).await) }
        };
        stream::iter(numbers.map(open)).buffer_unordered(64).for_each(async |()| {}).await;
    };
    let list = async || {
        let monitor = Monitor::of(&server);
        let page = SessionsPage { after: None, limit: 20 };
        assert_eq!(store.sessions(&question(Target::New, "k").owner, &page).await.unwrap().len(), 10);
        Cost::of(&server, monitor, &BTreeSet::new())
    };
    others(0..100).await;
    // The server knows the script from then on.
    drop(store.sessions(&question(Target::New, "k").owner, &SessionsPage { after: None, limit: 1 }).await);
    let few = list().await;
    others(100..3000).await;
    let many = list().await;
    println!("among 100 {few:?}, among 3000 {} words, {} bytes", many.words, many.bytes);
    many.is_that_of(&few);
}

//! Redis misbehaves under the server: clients are refused with a 503 inside a second, all is well again soon after, nothing
//! that was acknowledged is lost or doubled, and a worker is given every event in its order. A test for each fault, with its
//! name.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

mod cost;
mod fastapi;
mod one_session;
mod rolling;
#[path = "../../../adapters/redis/tests/common/server.rs"]
#[allow(dead_code, reason = "the adapter's own tests use the rest")]
pub(crate) mod servers;
mod sharing;
mod shown;
mod streams;
#[path = "../../../adapters/redis/tests/common/wire.rs"]
#[allow(dead_code, reason = "the adapter's own tests use the rest")]
mod wire;
mod worker;
mod writers;

use crate::client::Client;
use crate::process::{Server, command};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use servers::{Cluster, Server as Redis};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;
use wire::Wire;
use worker::all_is_told;
use writers::{REFUSED_WITHIN, Writers};

/// How soon a new question is answered once the fault is over. Most often that is after the breaker's 200 ms.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// The lease of turns here, and how soon after it a question is answered that was in hand.
const LEASE: Duration = Duration::from_secs(1);
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// A server over this Redis, and four clients that go on through the fault.
async fn server(urls: &str) -> (Server, Client) {
    let server = Server::start(&[("REDIS_URL", urls), ("MESSAGE_QUOTA", "off"), ("TURN_LEASE", "1s")]);
    let client = Client::login(&server).await;
    (server, client)
}

fn durable() -> Redis {
    Redis::with(&["--appendonly", "yes", "--appendfsync", "no"])
}

/// A second and a half of the fault, seen from outside; then it is mended.
async fn through<F, M>(redis: &mut Redis, fault: F, mend: M)
where
    F: FnOnce(&mut Redis),
    M: FnOnce(&mut Redis),
{
    let (server, client) = server(&redis.url()).await;
    let doomed = doomed(&client).await;
    let writers = Writers::start(&client, 4).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fault(redis);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    tells(&client, &server, StatusCode::SERVICE_UNAVAILABLE).await;
    others_are_told(&client, &doomed).await;
    mend(redis);
    let mended = Instant::now();
    back(&client).await;
    tells(&client, &server, StatusCode::OK).await;
    let refused = writers.end_within((LEASE + ANSWERED_WITHIN).saturating_sub(mended.elapsed())).await;
    assert!(refused > 0, "nobody noticed");
    all_is_told(&server, &client, &redis.url(), &doomed).await;
}

/// A session that is to be deleted.
async fn doomed(client: &Client) -> String {
    client.ask(json!({"message": "delete me"})).await["session_id"].as_str().unwrap().to_owned()
}

/// Whatever else is asked is answered or refused as soon: without memory, or as a replica, a server still does less.
async fn others_are_told(client: &Client, doomed: &str) {
    let session = format!("/chat/session/{doomed}");
    let messages = format!("{session}/messages");
    let (none, who) = (Value::Null, json!({"username": "testuser", "password": "testpass"}));
    let calls = [
        (Method::GET, "/chat/sessions", &none),
        (Method::GET, &session, &none),
        (Method::GET, &messages, &none),
        (Method::POST, "/auth/login", &who),
        (Method::DELETE, &session, &none),
    ];
    for (method, path, body) in calls {
        let start = Instant::now();
        let told = client.try_call(method.clone(), path, body).await;
        let is_told = matches!(told, (StatusCode::OK, _) | (StatusCode::SERVICE_UNAVAILABLE, true));
        assert!(is_told && start.elapsed() < REFUSED_WITHIN, "{method} {path}: {told:?} after {:?}", start.elapsed());
    }
}

/// The server says soon that it lives, and whether it is ready.
async fn tells(client: &Client, server: &Server, ready: StatusCode) {
    let start = Instant::now();
    assert_eq!(client.look(&server.url("/livez")).await, StatusCode::OK);
    // What was found just before is told for a moment.
    while client.look(&server.url("/readyz")).await != ready && start.elapsed() < REFUSED_WITHIN {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() < REFUSED_WITHIN, "/livez and /readyz took {:?}", start.elapsed());
}

/// Before any deadline can be over.
const AT_ONCE: Duration = Duration::from_millis(200);

/// Looks at a server that mends a fault unseen: it lives, and is ready.
#[derive(Default)]
struct Ready {
    looks: usize,
    refusals: usize,
}

impl Ready {
    async fn look(&mut self, client: &Client, server: &Server) {
        assert_eq!(client.look(&server.url("/livez")).await, StatusCode::OK);
        self.looks += 1;
        let start = Instant::now();
        let mut status = client.look(&server.url("/readyz")).await;
        // One that took longer says that this machine is slow: then the store is late, which is told, too.
        self.refusals += usize::from(status != StatusCode::OK && start.elapsed() < AT_ONCE);
        while status != StatusCode::OK {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(start.elapsed() < BACK_WITHIN, "/readyz was refused for {:?}", start.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
            status = client.look(&server.url("/readyz")).await;
        }
    }

    /// A call that is late refuses those behind it for a moment.
    fn was_so(&self) {
        assert!(self.refusals * 5 <= self.looks, "/readyz was refused {} times of {}", self.refusals, self.looks);
    }
}

/// A new question is answered soon.
async fn back(client: &Client) {
    let start = Instant::now();
    let body = json!({"message": "are you back?"});
    loop {
        let (status, _, answer) = client.try_ask(&body).await.unwrap();
        assert!(matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE), "{status}: {answer}");
        assert!(start.elapsed() < BACK_WITHIN, "it is not back after {:?}", start.elapsed());
        if status == StatusCode::OK {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_down() {
    through(&mut durable(), Redis::kill, Redis::run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_frozen() {
    through(&mut durable(), |redis| redis.signal("STOP"), |redis| redis.signal("CONT")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_out_of_memory() {
    let full = |redis: &mut Redis| drop(redis.ask(&["CONFIG", "SET", "maxmemory", "1"]));
    through(&mut durable(), full, |redis| drop(redis.ask(&["CONFIG", "SET", "maxmemory", "0"]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_a_read_only_replica() {
    // Of a master that is away: it keeps what it has, and refuses writes.
    let demote = |redis: &mut Redis| drop(redis.ask(&["REPLICAOF", "127.0.0.1", "1"]));
    through(&mut durable(), demote, |redis| drop(redis.ask(&["REPLICAOF", "NO", "ONE"]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_restarted() {
    let mut redis = durable();
    let (server, client) = server(&redis.url()).await;
    let doomed = doomed(&client).await;
    let writers = Writers::start(&client, 4).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        redis.kill();
        tells(&client, &server, StatusCode::SERVICE_UNAVAILABLE).await;
        redis.run();
        back(&client).await;
        tells(&client, &server, StatusCode::OK).await;
    }
    writers.end_within(LEASE + ANSWERED_WITHIN).await;
    all_is_told(&server, &client, &redis.url(), &doomed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_forgets_its_scripts() {
    let redis = durable();
    let (server, client) = server(&redis.url()).await;
    let doomed = doomed(&client).await;
    let (writers, mut ready) = (Writers::start(&client, 4).await, Ready::default());
    for _ in 0..50 {
        redis.ask(&["SCRIPT", "FLUSH", "SYNC"]);
        ready.look(&client, &server).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ready.was_so();
    assert_eq!(writers.end_within(LEASE).await, 0, "no client noticed");
    all_is_told(&server, &client, &redis.url(), &doomed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_moved_in_the_cluster() {
    let cluster = Cluster::start();
    let urls = cluster.urls().join(",");
    let (server, client) = server(&urls).await;
    let doomed = doomed(&client).await;
    let (writers, mut moved, mut ready) = (Writers::start(&client, 4).await, BTreeSet::new(), Ready::default());
    for session in client.sessions().await {
        let (slot, from) = cluster.slot_of(session["session_id"].as_str().unwrap());
        // Sessions may share a slot.
        if moved.insert(slot.clone()) {
            // Fifteen of sixteen are where they were, so the server is as ready as any.
            for _key in cluster.move_slot(&slot, from, (from + 1) % 3) {
                ready.look(&client, &server).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            back(&client).await;
        }
    }
    ready.was_so();
    writers.end_within(LEASE + ANSWERED_WITHIN).await;
    all_is_told(&server, &client, &urls, &doomed).await;
}

/// It writes no more than a server does that has just begun.
#[test]
fn the_doctor_tells_of_a_redis_that_may_throw_sessions_away() {
    let (redis, folder) = (Redis::with(&["--maxmemory-policy", "allkeys-lru"]), tempfile::tempdir().unwrap());
    let mut doctor = command("app-http", folder.path());
    let found = doctor.arg("doctor").env("PORT", "0").env("REDIS_URL", redis.url()).output().unwrap();
    let said = String::from_utf8(found.stdout).unwrap();
    assert!(found.status.success() && said.contains("look   redis: sessions may be lost: "), "{said}");
    let keys = redis.ask(&["KEYS", "*"]);
    assert_eq!(keys.lines().collect::<BTreeSet<_>>(), ["c:meta", "c:probe"].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_cut_after_any_byte() {
    let redis = durable();
    let wire = Wire::to(redis.port).await;
    let (server, client) = server(&wire.url()).await;
    let (mut cut, mut ready, doomed) = (0, Ready::default(), doomed(&client).await);
    loop {
        let first = client.ask(json!({"message": "first"})).await;
        wire.cut_after(cut);
        let second = json!({"message": "second", "session_id": first["session_id"], "client_message_id": "2"});
        let answer = client.ask(second).await;
        assert_eq!(answer["status"], "completed", "cut after {cut}: {answer}");
        let over = !wire.was_cut();
        ready.look(&client, &server).await;
        let history = client.history(first["session_id"].as_str().unwrap()).await;
        let told: Vec<_> = history.iter().map(|message| (&message["role"], &message["reply_to"])).collect();
        let once = [("user", None), ("assistant", Some(1)), ("user", None), ("assistant", Some(3))];
        let once = once.map(|(role, to)| (json!(role), json!(to)));
        assert_eq!(told, once.iter().map(|(role, to)| (role, to)).collect::<Vec<_>>(), "cut after {cut}");
        if over {
            break;
        }
        cut += 1;
    }
    ready.was_so();
    assert!(cut > 300, "a turn is {cut} bytes of Redis");
    all_is_told(&server, &client, &redis.url(), &doomed).await;
}

/// With one thread, and so one connection: one that was cut before and then again when it is new is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_probe_is_told_is_cut_after_any_byte() {
    let redis = durable();
    let wire = Wire::to(redis.port).await;
    let server = Server::start(&[("REDIS_URL", &wire.url()), ("HTTP_WORKERS", "1")]);
    let (client, mut ready) = (Client::login(&server).await, Ready::default());
    // It is told `+OK`.
    for cut in (0..5).cycle().take(50) {
        wire.cut_after(cut);
        ready.look(&client, &server).await;
        wire.was_cut();
    }
    ready.was_so();
}

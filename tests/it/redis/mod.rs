//! Redis misbehaves under the server: clients are refused with a 503 inside a second, all is well again soon after, and
//! nothing that was acknowledged is lost or doubled. A test for each fault, with its name.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

mod fastapi;
mod one_session;
mod rolling;
#[path = "../../../adapters/redis/tests/common/server.rs"]
#[allow(dead_code, reason = "the adapter's own tests use the rest")]
mod servers;
mod sharing;
mod streams;
#[path = "../../../adapters/redis/tests/common/wire.rs"]
#[allow(dead_code, reason = "the adapter's own tests use the rest")]
mod wire;
mod worker;
mod writers;

use crate::client::Client;
use crate::process::Server;
use reqwest::StatusCode;
use serde_json::json;
use servers::{Cluster, Server as Redis};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;
use wire::Wire;
use writers::Writers;

/// How soon a new question is answered once the fault is over, with some room for a busy machine.
const BACK_WITHIN: Duration = Duration::from_millis(2300);
/// The lease of turns here, and how soon after it a question is answered that was in hand.
const LEASE: Duration = Duration::from_secs(1);
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// A server over this Redis, and four clients that go on through the fault.
async fn server(urls: &str) -> (Server, Client) {
    let server = Server::start(&[("REDIS_URL", urls), ("MESSAGE_QUOTA", "off"), ("TURN_LEASE", "1s")]);
    let client = Client::login(&server).await;
    (server, client)
}

fn durable() -> Redis {
    Redis::with(&["--appendonly", "yes", "--appendfsync", "no"])
}

/// Half a second of the fault, seen from outside; then it is mended.
async fn through<F, M>(redis: &mut Redis, away: bool, fault: F, mend: M)
where
    F: FnOnce(&mut Redis),
    M: FnOnce(&mut Redis),
{
    let (server, client) = server(&redis.url()).await;
    let writers = Writers::start(&client, 4).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fault(redis);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    if away {
        assert_eq!(client.look(&server.url("/readyz")).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(client.look(&server.url("/livez")).await, StatusCode::OK);
    mend(redis);
    back(&client).await;
    let refused = writers.end_within(LEASE + ANSWERED_WITHIN).await;
    assert!(refused > 0, "nobody noticed");
    assert_eq!(client.look(&server.url("/readyz")).await, StatusCode::OK);
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
    through(&mut durable(), true, Redis::kill, Redis::run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_frozen() {
    through(&mut durable(), true, |redis| redis.signal("STOP"), |redis| redis.signal("CONT")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_out_of_memory() {
    let full = |redis: &mut Redis| drop(redis.ask(&["CONFIG", "SET", "maxmemory", "1"]));
    through(&mut durable(), true, full, |redis| drop(redis.ask(&["CONFIG", "SET", "maxmemory", "0"]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_a_read_only_replica() {
    // Of a master that is away: it keeps what it has, and refuses writes.
    let demote = |redis: &mut Redis| drop(redis.ask(&["REPLICAOF", "127.0.0.1", "1"]));
    through(&mut durable(), true, demote, |redis| drop(redis.ask(&["REPLICAOF", "NO", "ONE"]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_restarted() {
    let mut redis = durable();
    let (_server, client) = server(&redis.url()).await;
    let writers = Writers::start(&client, 4).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        redis.kill();
        redis.run();
        back(&client).await;
    }
    writers.end_within(LEASE + ANSWERED_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_forgets_its_scripts() {
    let redis = durable();
    let (_server, client) = server(&redis.url()).await;
    let writers = Writers::start(&client, 4).await;
    for _ in 0..50 {
        redis.ask(&["SCRIPT", "FLUSH", "SYNC"]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(writers.end_within(LEASE).await, 0, "no client noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_moved_in_the_cluster() {
    let cluster = Cluster::start();
    let (_server, client) = server(&cluster.urls().join(",")).await;
    let (writers, mut moved) = (Writers::start(&client, 4).await, BTreeSet::new());
    for session in client.sessions().await {
        let (slot, from) = cluster.slot_of(session["session_id"].as_str().unwrap());
        // Sessions may share a slot.
        if moved.insert(slot.clone()) {
            for _key in cluster.move_slot(&slot, from, (from + 1) % 3) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            back(&client).await;
        }
    }
    writers.end_within(LEASE + ANSWERED_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_cut_after_any_byte() {
    let redis = durable();
    let wire = Wire::to(redis.port).await;
    let (_server, client) = server(&wire.url()).await;
    let mut cut = 0;
    loop {
        let first = client.ask(json!({"message": "first"})).await;
        wire.cut_after(cut);
        let second = json!({"message": "second", "session_id": first["session_id"], "client_message_id": "2"});
        let answer = client.ask(second).await;
        assert_eq!(answer["status"], "completed", "cut after {cut}: {answer}");
        let over = !wire.was_cut();
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
    assert!(cut > 300, "a turn is {cut} bytes of Redis");
}

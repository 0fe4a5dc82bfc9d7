//! `app-worker` on Redis: every event, in session order, through kills of the worker and of Redis.

use super::{ANSWERED_WITHIN, LEASE, back, durable, server, writers::Writers};
use crate::client::Client;
use crate::process::Server;
use crate::worker::{Lines, Worker, printed};
use reqwest::StatusCode;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const ROUNDS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_prints_each_event_in_session_order_through_kills_of_itself_and_of_redis() {
    let (mut redis, lines) = (durable(), Lines::default());
    let (server, client) = server(&redis.url()).await;
    let url = redis.url();
    let start = || Worker::start(server.folder(), &[("REDIS_URL", &url)], &lines);
    let writers = Writers::start(&client, 4).await;
    for _ in 0..ROUNDS {
        let worker = start();
        tokio::time::sleep(Duration::from_millis(500)).await;
        redis.kill();
        redis.run();
        back(&client).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(worker); // SIGKILL
        redis.kill();
        // It comes up while there is no Redis.
        let worker = start();
        tokio::time::sleep(Duration::from_millis(200)).await;
        redis.run();
        back(&client).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(worker);
    }
    writers.end_within(LEASE + ANSWERED_WITHIN).await;
    let doomed = client.sessions().await[0]["session_id"].as_str().unwrap().to_owned();
    all_is_told_to(&server, &client, &url, &doomed, &lines).await;
}

/// Whatever happened, a worker that comes now is given each event of each session, in its order; and one that is deleted stays
/// so.
pub(super) async fn all_is_told(server: &Server, client: &Client, urls: &str, doomed: &str) {
    all_is_told_to(server, client, urls, doomed, &Lines::default()).await;
}

async fn all_is_told_to(server: &Server, client: &Client, urls: &str, doomed: &str, lines: &Lines) {
    let question = json!({"message": "are you there?", "session_id": doomed});
    let mut happened = happened(client).await;
    // What a deletion that was refused has done is not known.
    let before = || ["1 chat.requested", "2 chat.responded"].map(str::to_owned).into();
    let events = happened.entry(json!(doomed).to_string()).or_insert_with(before);
    events.push(format!("{} session.deleted", events.len() + 1));
    assert_eq!(client.delete(doomed).await, StatusCode::OK);
    assert_eq!(client.try_ask(&question).await.unwrap().0, StatusCode::NOT_FOUND, "it is deleted");
    let _worker = Worker::start(server.folder(), &[("REDIS_URL", urls)], lines);
    let count = happened.values().map(Vec::len).sum();
    assert_eq!(printed(lines, count).await, happened);
    assert_eq!(client.try_ask(&question).await.unwrap().0, StatusCode::NOT_FOUND, "it stays deleted");
}

/// What each session's events are: one for each of its messages.
async fn happened(client: &Client) -> BTreeMap<String, Vec<String>> {
    let mut happened = BTreeMap::new();
    for session in client.all_sessions().await {
        let history = client.history(session["session_id"].as_str().unwrap()).await;
        let kind = |role: &str| if role == "user" { "chat.requested" } else { "chat.responded" };
        let event = |message: &serde_json::Value| {
            format!("{} {}", message["seq"], kind(message["role"].as_str().unwrap_or_default()))
        };
        happened.insert(session["session_id"].to_string(), history.iter().map(event).collect());
    }
    happened
}

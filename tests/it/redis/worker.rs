//! `app-worker` on Redis: every event, in session order, through kills of the worker and of Redis.

use super::{ANSWERED_WITHIN, LEASE, back, durable, server, writers::Writers};
use crate::client::Client;
use crate::worker::{Lines, Worker, printed};
use reqwest::StatusCode;
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
    let mut happened = happened(&client).await;
    let mut first = happened.first_entry().unwrap();
    assert_eq!(client.delete(first.key().trim_matches('"')).await, StatusCode::OK);
    let next = first.get().len() + 1;
    first.get_mut().push(format!("{next} session.deleted"));
    let _worker = start();
    let count = happened.values().map(Vec::len).sum();
    assert_eq!(printed(&lines, count).await, happened);
}

/// What each session's events are: one for each of its messages.
async fn happened(client: &Client) -> BTreeMap<String, Vec<String>> {
    let mut happened = BTreeMap::new();
    for session in client.sessions().await {
        let history = client.history(session["session_id"].as_str().unwrap()).await;
        let kind = |role: &str| if role == "user" { "chat.requested" } else { "chat.responded" };
        let event = |message: &serde_json::Value| {
            format!("{} {}", message["seq"], kind(message["role"].as_str().unwrap_or_default()))
        };
        happened.insert(session["session_id"].to_string(), history.iter().map(event).collect());
    }
    happened
}

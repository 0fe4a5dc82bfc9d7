//! The programs as their users run them: real processes over one file, killed without mercy.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod behind_nginx;
mod client;
mod nginx;
mod observability;
mod openai;
mod pieces;
mod process;
mod redis;
mod sse;
mod stand_in;
mod traces;
mod unread;
mod worker;
mod worker_archive;
mod worker_health;
mod worker_mongodb;
mod worker_process;
mod worker_webhook;
mod writers;

use client::Client;
use process::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_was_killed_goes_on_under_its_key() {
    let mut server = Server::start(&[("AI_DEMO_DELAY", "2s"), ("TURN_LEASE", "1s")]);
    let client = Client::login(&server).await;
    let first = client.ask(json!({"message": "hello", "client_message_id": "one"})).await;
    let session = first["session_id"].as_str().unwrap().to_owned();

    let body = json!({"message": "laptop", "session_id": session, "client_message_id": "two"});
    let asked = tokio::spawn({
        let (client, body) = (client.clone(), body.clone());
        async move { client.try_ask(&body).await }
    });
    while client.messages(&session).await.len() < 3 {}
    server.kill();
    assert!(asked.await.unwrap().is_err(), "the server died before it answered");
    server.restart();

    let history = client.messages(&session).await;
    assert_eq!(history.len(), 3, "all messages are there: {history:?}");
    let answer = client.ask(body).await;
    assert_eq!(answer["message_id"], history[2]["id"], "the same question went on");
    assert_eq!(client.messages(&session).await.len(), 4);
}

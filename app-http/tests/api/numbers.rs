//! What `/metrics` tells when something is wrong.

use crate::app::send;
use crate::process::Running;
use serde_json::{Value, json};
use std::time::Duration;

async fn told(server: &Running) -> String {
    server.client.get(format!("{}/metrics", server.url)).send().await.unwrap().text().await.unwrap()
}

/// The number behind this name with its labels.
fn number(told: &str, name: &str) -> f64 {
    let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.parse().unwrap())
}

#[tokio::test]
async fn a_dead_ai_and_a_locked_store_are_seen_in_the_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = [("AI_API_URL", "http://127.0.0.1:9/chat"), ("MESSAGE_QUOTA", "off")];
    let server = Running::start(directory.path(), &pairs);
    let token = server.token().await;
    let say = async || send(server.message(&token, &json!({ "message": "hi" }))).await;
    let mut asked = 0;
    let (open, session) = loop {
        let answer = say().await.json();
        assert_eq!(answer["status"], "fallback");
        let session = answer["session_id"].as_str().unwrap().to_owned();
        asked += 1;
        let told = told(&server).await;
        if number(&told, "chatcore_ai_breaker_open") > 0.0 {
            break (told, session);
        }
        assert!(asked < 600, "the breaker stays closed: {told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(number(&open, "chatcore_ai_breaker_open"), 1.0);
    assert_eq!(number(&open, "chatcore_turns_total{outcome=\"fallback\"}"), f64::from(asked));
    let [failed, unasked] = ["failed", "unasked"]
        .map(|outcome| number(&open, &format!("chatcore_ai_seconds_count{{outcome=\"{outcome}\"}}")));
    assert!(failed >= 5.0 && unasked >= 1.0 && failed + unasked == f64::from(asked), "given a rest after 5: {open}");
    let failures = "chatcore_store_failures_total{call=\"delete\"}";
    assert_eq!(number(&open, failures), 0.0);
    let blocker = rusqlite::Connection::open(directory.path().join("data/chat.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    say().await.is_problem(503, "store_unavailable");
    // Nobody gives up this call before the store does.
    send(server.client.delete(format!("{}/chat/session/{session}", server.url)).bearer_auth(&token))
        .await
        .is_problem(503, "store_unavailable");
    let locked = told(&server).await;
    assert_eq!(number(&locked, failures), 1.0, "{locked}");
    assert_eq!(
        number(&locked, &failures.replace("delete", "begin_turn")),
        1.0,
        "what is given up has failed: {locked}"
    );
    let unavailable = "chatcore_turns_total{outcome=\"unavailable\"}";
    let before = number(&locked, unavailable);
    assert!(before >= 1.0, "{locked}");
    let guest = server.client.post(format!("{}/chat/message", server.url)).header("x-device-id", "device-0001");
    send(guest.json(&json!({ "message": "hi" }))).await.is_problem(503, "store_unavailable");
    let login = json!({ "username": "testuser", "password": "testpass" });
    let login = server.client.post(format!("{}/auth/login", server.url)).json(&login);
    send(login).await.is_problem(503, "store_unavailable");
    let locked = told(&server).await;
    assert_eq!(number(&locked, unavailable), before + 1.0, "a guest's message is one, too: {locked}");
    for (call, whose) in [("take", "the guest's"), ("hold", "the login's")] {
        assert_eq!(number(&locked, &failures.replace("delete", call)), 1.0, "{whose}: {locked}");
    }
}

#[tokio::test]
async fn a_guest_who_is_refused_is_in_the_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("GUEST_QUOTA", "1/60s")]);
    for status in [200, 429, 429] {
        let guest = server.client.post(format!("{}/chat/message", server.url)).header("x-device-id", "device-0001");
        assert_eq!(send(guest.json(&json!({ "message": "hi" }))).await.status, status);
    }
    assert_eq!(number(&told(&server).await, "chatcore_turns_total{outcome=\"refused\"}"), 2.0);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_is_in_the_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("AI_DEMO_DELAY", "20s"), ("STORE", "memory")]);
    let token = server.token().await;
    let ask = |body: Value| tokio::spawn(server.message(&token, &body).send());
    let _first = ask(json!({ "message": "hi" }));
    let session = server.asked(&token).await;
    let _second = ask(json!({ "message": "stop", "session_id": session, "on_busy": "cancel" }));
    while number(&told(&server).await, "chatcore_ai_seconds_count{outcome=\"dropped\"}") < 1.0 {}
}

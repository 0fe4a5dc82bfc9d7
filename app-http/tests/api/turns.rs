//! Turns while they run: busy sessions, limits, and callers that leave.

use crate::app::{TestApp, send};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

/// A server whose AI thinks for a while, with a session that is being asked something for the second time.
async fn thinking(pairs: &[(&str, &str)]) -> (TestApp, String) {
    let app = TestApp::with(&[&[("AI_DEMO_DELAY", "2s")], pairs].concat()).await;
    let id = app.say("hi").await["session_id"].as_str().unwrap().to_owned();
    ask(&app, &id);
    wait_for_messages(&app, &id, 3).await;
    (app, id)
}

/// Asks and does not wait.
fn ask(app: &TestApp, id: &str) {
    let body = json!({ "message": "and now?", "session_id": id, "client_message_id": "key-2" });
    tokio::spawn(app.authed(Method::POST, "/chat/message").json(&body).send());
}

async fn wait_for_messages(app: &TestApp, id: &str, count: u64) {
    loop {
        let session = app.get(&format!("/chat/session/{id}")).await.json();
        if session["message_count"].as_u64().unwrap() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_busy_session_says_which_turn_runs_and_when_to_come_back() {
    let (app, id) = thinking(&[]).await;
    let question = app.get(&format!("/chat/session/{id}/messages?limit=1")).await.json()[0]["id"].clone();
    let busy = app.message(&json!({ "message": "me too", "session_id": id })).await;
    let body = busy.is_problem(409, "turn_in_progress");
    assert_eq!((&body["message_id"], &body["session_id"]), (&question, &json!(id)));
    assert_eq!(busy.header("retry-after"), Some("1"));
    let wait: u64 = busy.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((20..=100).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_nothing() {
    let slow = [("AI_DEMO_DELAY", "1s")];
    for app in [TestApp::with(&slow).await, TestApp::sqlite(&slow).await] {
        let body = json!({ "message": "hi", "client_message_id": "key-1" });
        let hasty = tokio::spawn(app.authed(Method::POST, "/chat/message").json(&body).send());
        let id = loop {
            if let Some(session) = app.get("/chat/sessions").await.json().get(0) {
                break session["session_id"].as_str().unwrap().to_owned();
            }
        };
        hasty.abort();
        assert!(hasty.await.unwrap_err().is_cancelled(), "it was answered before it hung up");
        wait_for_messages(&app, &id, 2).await;
        let again = app.message(&body).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
        assert_eq!(again.json()["status"], "completed");
    }
}

#[tokio::test]
async fn a_full_server_refuses_more_turns() {
    let (app, _) = thinking(&[("MAX_RUNNING_TURNS", "1")]).await;
    let refused = app.message(&json!({ "message": "hi" })).await;
    refused.is_problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_quota_that_is_used_up_says_when_to_come_back() {
    for store in ["memory", "sqlite"] {
        let pairs = [("MESSAGE_QUOTA", "2/60s")];
        let app = if store == "memory" { TestApp::with(&pairs).await } else { TestApp::sqlite(&pairs).await };
        app.say("one").await;
        app.say("two").await;
        let refused = app.message(&json!({ "message": "three" })).await;
        refused.is_problem(429, "quota_exceeded");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((50..=60).contains(&wait), "{wait}");
        assert!(refused.header("retry-after-ms").is_some());
    }
}

#[tokio::test]
async fn only_wrong_passwords_count_toward_the_quota_of_logins() {
    let app = TestApp::with(&[("LOGIN_QUOTA", "2/60s")]).await;
    for _ in 0..3 {
        assert_eq!(app.login("testuser", "testpass").await.status, 200);
    }
    for _ in 0..2 {
        assert_eq!(app.login("testuser", "wrong").await.status, 401);
    }
    let refused = app.login("testuser", "testpass").await;
    refused.is_problem(429, "too_many_logins");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(app.login("somebody", "else").await.status, 401, "another name still may");
}

/// What is hashed is answered with 401; the others are refused without a look at their password.
#[tokio::test]
async fn of_two_hundred_wrong_passwords_at_once_five_are_looked_at() {
    let app = TestApp::with(&[("LOGIN_QUOTA", "5/60s")]).await;
    let told = join_all((0..200).map(|_| app.login("testuser", "wrong"))).await;
    let count = |status: u16| told.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(401), count(429)), (5, 195));
}

#[tokio::test]
async fn wrong_passwords_from_an_address_count_whatever_the_name() {
    let app = TestApp::with(&[("LOGIN_QUOTA", "1/60s"), ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let login = |address: &str, name: &str| {
        let body = json!({ "username": name, "password": "wrong" });
        send(app.request(Method::POST, "/auth/login").header("x-forwarded-for", address).json(&body))
    };
    for name in ["ann", "bob", "cid", "dan"] {
        login("1.1.1.1", name).await.is_problem(401, "wrong_credentials");
    }
    let refused = login("1.1.1.1", "eve").await;
    refused.is_problem(429, "too_many_logins");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    login("2.2.2.2", "eve").await.is_problem(401, "wrong_credentials");
}

#[tokio::test]
async fn full_sessions_and_too_many_sessions_are_told_apart() {
    let app = TestApp::with(&[("SESSION_MAX_MESSAGES", "2"), ("OWNER_MAX_SESSIONS", "1")]).await;
    let id = app.say("hi").await["session_id"].clone();
    app.message(&json!({ "message": "more", "session_id": id })).await.is_problem(409, "session_full");
    app.message(&json!({ "message": "more" })).await.is_problem(409, "too_many_sessions");
}

#[tokio::test]
async fn a_stopping_server_refuses_messages_and_lets_open_turns_end() {
    let app = TestApp::with(&[("AI_DEMO_DELAY", "2s")]).await;
    let open = tokio::spawn(send(app.authed(Method::POST, "/chat/message").json(&json!({ "message": "hi" }))));
    let (ready, sessions) = (app.request(Method::GET, "/readyz"), app.authed(Method::GET, "/chat/sessions"));
    let message = app.authed(Method::POST, "/chat/message").json(&json!({ "message": "me too" }));
    while send(sessions.try_clone().unwrap()).await.json() == json!([]) {}
    let stopping = tokio::spawn(app.stop());
    let refused = loop {
        let answer = send(ready.try_clone().unwrap()).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.text.lines().next()), (503, Some("server: stopping")));
    let refused = send(message).await;
    refused.is_problem(503, "stopping");
    assert_eq!(refused.headers["connection"], "close", "no request meets the end of a connection that was kept");
    assert_eq!(open.await.unwrap().json()["status"], "completed");
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_server_that_leaves_serves_until_its_balancer_has_had_time_to_see_it() {
    let app = TestApp::with(&[("SHUTDOWN_DELAY", "3s"), ("SHUTDOWN_GRACE", "8s")]).await;
    let (ready, message) = (app.request(Method::GET, "/readyz"), json!({ "message": "hi" }));
    let message = app.authed(Method::POST, "/chat/message").json(&message);
    let leaving = tokio::spawn(app.stop());
    while send(ready.try_clone().unwrap()).await.status == 200 {}
    let answer = send(message).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("completed")));
    assert_eq!(answer.headers["connection"], "close");
    leaving.await.unwrap();
}

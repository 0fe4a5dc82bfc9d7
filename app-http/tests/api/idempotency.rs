//! The same message sent again.

use crate::app::{Answer, TestApp, send};
use reqwest::Method;
use serde_json::{Value, json};

async fn with_key(app: &TestApp, key: &str, body: &Value) -> Answer {
    send(app.authed(Method::POST, "/chat/message").header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_again() {
    for app in [TestApp::start().await, TestApp::sqlite(&[]).await] {
        let body = json!({ "message": "hi" });
        let first = with_key(&app, "\"key-1\"", &body).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
        let in_body = json!({ "message": "hi", "client_message_id": "key-1" });
        for again in [with_key(&app, "key-1", &body).await, app.message(&in_body).await] {
            assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
            assert_eq!(again.json(), first.json());
        }
        assert_eq!(app.get("/chat/sessions").await.json().as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn another_body_under_a_key_is_refused() {
    let app = TestApp::start().await;
    with_key(&app, "key-1", &json!({ "message": "hi" })).await;
    let other = with_key(&app, "key-1", &json!({ "message": "ho" })).await;
    other.is_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn header_and_body_must_not_name_different_keys() {
    let app = TestApp::start().await;
    let body = json!({ "message": "hi", "client_message_id": "b" });
    with_key(&app, "a", &body).await.points_to(&["#/client_message_id"]);
    assert_eq!(with_key(&app, "b", &body).await.status, 200);
}

#[tokio::test]
async fn malformed_keys_are_refused() {
    let app = TestApp::start().await;
    let body = json!({ "message": "hi" });
    for key in ["", "\"\"", "\"open", "a b", "\"a b\"", "\"a\"x", &"x".repeat(256)] {
        with_key(&app, key, &body).await.points_to(&["Idempotency-Key"]);
    }
    let twice = app.authed(Method::POST, "/chat/message").header("idempotency-key", "a").header("idempotency-key", "b");
    send(twice.json(&body)).await.points_to(&["Idempotency-Key"]);
    for key in [json!(""), json!("a b"), json!("x".repeat(256)), json!(7)] {
        app.message(&json!({ "message": "hi", "client_message_id": key })).await.points_to(&["#/client_message_id"]);
    }
}

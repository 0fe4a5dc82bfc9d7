//! Dependencies that are away or broken.

use crate::app::{TestApp, send};
use app_http::Application;
use app_http::settings::Settings;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use wiremock::matchers::{body_partial_json, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

#[tokio::test]
async fn an_ai_that_is_down_is_stood_in_for() {
    let app = TestApp::with(&[("AI_API_URL", "http://127.0.0.1:9/chat"), ("AI_FALLBACK_MESSAGE", "Sorry!")]).await;
    let answer = app.say("hi").await;
    assert_eq!((&answer["status"], &answer["ai_response"]), (&json!("fallback"), &json!("Sorry!")));
    let health = send(app.request(Method::GET, "/health")).await;
    assert_eq!(health.status, 200);
    assert_eq!((&health.json()["status"], &health.json()["ai"]), (&json!("degraded"), &json!("unhealthy")));
    let ready = send(app.request(Method::GET, "/readyz")).await;
    assert_eq!(ready.status, 200, "answers are stood in for, so this server is as ready as any: {}", ready.text);
    assert!(ready.text.contains("ai: unhealthy"));
}

#[tokio::test]
async fn the_native_ai_gets_its_key_and_the_history() {
    let upstream = MockServer::start().await;
    let reply = json!({ "response": "Hello!", "products": [{ "sku": 1.50, "mine": [null] }], "intent": "greeting" });
    Mock::given(method("POST"))
        .and(header("authorization", "Bearer the-key"))
        .and(body_partial_json(json!({ "message": "hi", "user_id": "user_123", "chat_history": [] })))
        .respond_with(ResponseTemplate::new(200).set_body_json(&reply))
        .expect(1)
        .mount(&upstream)
        .await;
    let app = TestApp::with(&[("AI_API_URL", &upstream.uri()), ("AI_API_KEY", "the-key")]).await;
    let answer = app.say("hi").await;
    assert_eq!((&answer["ai_response"], &answer["status"]), (&json!("Hello!"), &json!("completed")));
    assert_eq!(answer["products"], reply["products"]);
}

#[tokio::test]
async fn products_without_a_text_are_an_answer_and_an_intent_alone_is_none() {
    let upstream = MockServer::start().await;
    let says = async |reply: Value| {
        upstream.reset().await;
        let said = ResponseTemplate::new(200).set_body_json(&reply);
        Mock::given(method("POST")).respond_with(said).mount(&upstream).await;
    };
    let app = TestApp::with(&[("AI_API_URL", &upstream.uri()), ("AI_FALLBACK_MESSAGE", "Sorry!")]).await;
    let products = json!([{ "product_id": "p1" }]);
    says(json!({ "response": "", "products": products, "intent": "product_search" })).await;
    let answer = app.say("hi").await;
    assert_eq!((&answer["status"], &answer["ai_response"]), (&json!("completed"), &json!("")));
    assert_eq!((&answer["products"], &answer["intent"]), (&products, &json!("product_search")));
    let path = format!("/chat/session/{}/messages", answer["session_id"].as_str().unwrap());
    assert_eq!(app.get(&path).await.json()[1]["products"], products);
    says(json!({ "response": "", "products": [], "intent": "greeting" })).await;
    let answer = app.say("hi").await;
    assert_eq!((&answer["status"], &answer["ai_response"]), (&json!("fallback"), &json!("Sorry!")));
}

#[tokio::test]
async fn a_store_that_is_locked_is_a_503_and_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let app = TestApp::sqlite(&[("DATA_DIR", data.path().to_str().unwrap())]).await;
    let body = json!({ "message": "hi", "client_message_id": "key-1" });
    let blocker = rusqlite::Connection::open(data.path().join("chat.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = app.message(&body).await;
    refused.is_problem(503, "store_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let ready = send(app.request(Method::GET, "/readyz")).await;
    assert_eq!((ready.status, ready.text.as_str()), (503, "server: healthy\nsqlite: unhealthy\nai: healthy\n"));
    blocker.execute_batch("ROLLBACK").unwrap();
    let answer = loop {
        let answer = app.message(&body).await;
        if answer.status == 200 {
            break answer.json();
        }
        assert!(matches!(answer.status, 409 | 503), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let id = answer["session_id"].as_str().unwrap();
    assert_eq!(app.get(&format!("/chat/session/{id}")).await.json()["message_count"], 2);
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_told_at_start() {
    let data = tempfile::tempdir().unwrap();
    let start = async |path: &std::path::Path| {
        let settings = Settings::from_pairs([("PORT", "0"), ("DATA_DIR", path.to_str().unwrap())]).unwrap();
        Application::build(settings).await.unwrap_err().to_string()
    };
    let file = data.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    assert!(start(&file).await.contains("a-file"), "a data directory that is a file");
    let corrupt = data.path().join("corrupt");
    std::fs::create_dir(&corrupt).unwrap();
    std::fs::write(corrupt.join("chat.db"), "this is no database, whatever it is called".repeat(100)).unwrap();
    assert!(start(&corrupt).await.contains("chat.db"), "a file that is no database");
}

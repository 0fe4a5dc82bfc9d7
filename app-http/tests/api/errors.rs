//! Who is let in, and the shape of every error.

use crate::app::{TestApp, send};
use futures_util::StreamExt;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

const ROUTES: [(Method, &str); 5] = [
    (Method::POST, "/chat/message"),
    (Method::GET, "/chat/sessions?limit=x"),
    (Method::GET, "/chat/session/no-uuid"),
    (Method::DELETE, "/chat/session/no-uuid"),
    (Method::GET, "/chat/session/no-uuid/messages?before=x"),
];

#[tokio::test]
async fn without_a_token_nothing_else_is_looked_at() {
    let app = TestApp::start().await;
    for (method, path) in ROUTES {
        let refused = send(app.request(method.clone(), path)).await;
        assert_eq!(refused.is_problem(401, "not_authenticated")["detail"], "Not authenticated", "{method} {path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    }
    for (body, kind) in
        [("{".to_owned(), "application/json"), ("x".repeat(3 << 20), "application/json"), (String::new(), "text/plain")]
    {
        let request = app.request(Method::POST, "/chat/message").header("content-type", kind).body(body);
        send(request).await.is_problem(401, "not_authenticated");
    }
}

#[tokio::test]
async fn only_one_bearer_header_counts() {
    let app = TestApp::start().await;
    let with = |values: &[String]| {
        let request = app.request(Method::GET, "/chat/sessions");
        send(values.iter().fold(request, |request, value| request.header("authorization", value)))
    };
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(with(&[format!("{scheme} {}", app.token())]).await.status, 200, "{scheme}");
    }
    let good = format!("Bearer {}", app.token());
    for bad in
        [vec![good.clone(), good], vec!["Basic dGVzdA==".into()], vec!["Bearer".into()], vec![app.token().into()]]
    {
        with(&bad).await.is_problem(401, "not_authenticated");
    }
}

#[tokio::test]
async fn a_token_altered_in_any_bit_is_refused() {
    let app = TestApp::start().await;
    let altered = |bit: usize| {
        let mut bytes = app.token().as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        HeaderValue::from_bytes(&[b"Bearer ", bytes.as_slice()].concat()).ok()
    };
    let values: Vec<_> = (0..8 * app.token().len()).filter_map(altered).collect();
    assert!(values.len() > 1000);
    let statuses = futures_util::stream::iter(values)
        .map(|value| send(app.request(Method::GET, "/chat/sessions").header("authorization", value)))
        .buffer_unordered(16)
        .map(|answer| answer.status);
    assert_eq!(statuses.filter(|status| std::future::ready(*status != 401)).count().await, 0);
}

#[tokio::test]
async fn a_token_of_another_secret_or_of_another_time_is_refused() {
    let app = TestApp::start().await;
    let secret = ("JWT_SECRET_KEY", "another");
    let (other, hasty) = (TestApp::with(&[secret]).await, TestApp::with(&[secret, ("JWT_TTL", "1s")]).await);
    let token_of = async |app: &TestApp| app.login("testuser", "testpass").await.json()["access_token"].clone();
    let with = |app: &TestApp, token: &Value| {
        send(app.request(Method::GET, "/chat/sessions").bearer_auth(token.as_str().unwrap()))
    };
    let (lasting, brief) = (token_of(&other).await, token_of(&hasty).await);
    with(&app, &lasting).await.is_problem(401, "invalid_token");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(with(&other, &lasting).await.status, 200);
    with(&other, &brief).await.is_problem(401, "token_expired");
}

#[tokio::test]
async fn a_user_id_that_is_not_the_tokens_is_refused() {
    let app = TestApp::start().await;
    let refused = app.message(&json!({ "message": "hi", "user_id": "user_124" })).await;
    assert_eq!(refused.is_problem(403, "user_id_mismatch")["detail"], "User ID mismatch");
    assert_eq!(app.get("/chat/sessions").await.json(), json!([]));
}

#[tokio::test]
async fn an_unknown_route_and_a_wrong_method_are_problems_too() {
    let app = TestApp::start().await;
    for path in ["/nowhere", "/chat", "/chat/session", "/chat/session/x/y/z", "/%00", "/..%2f..%2fetc"] {
        app.get(path).await.is_problem(404, "not_found");
    }
    for (method, path, allowed) in [
        (Method::PUT, "/chat/message", "POST"),
        (Method::GET, "/auth/login", "POST"),
        (Method::PATCH, "/chat/session/x", "GET, DELETE"),
        (Method::DELETE, "/health", "GET, HEAD"),
    ] {
        let refused = send(app.authed(method, path)).await;
        refused.is_problem(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), Some(allowed), "{path}");
    }
}

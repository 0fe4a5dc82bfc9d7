//! Headers that protect those who call.

use crate::app::{Answer, TestApp, send};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

const CSP: &str = "default-src 'none'; frame-ancestors 'none'";

/// Answers of every sort, with the status that each has.
async fn answers(app: &TestApp) -> Vec<(u16, Answer)> {
    let session = app.say("hi").await["session_id"].as_str().unwrap().to_owned();
    let bare = |method, path| app.request(method, path);
    let said = |text: &str| app.authed(Method::POST, "/chat/message").body(text.to_owned());
    let origin = |request: RequestBuilder| {
        let request = request.header("origin", "https://shop.example");
        request.header("access-control-request-method", "POST")
    };
    let requests = [
        (200, bare(Method::GET, "/")),
        (200, bare(Method::HEAD, "/")),
        (200, bare(Method::GET, "/health")),
        (200, bare(Method::GET, "/livez")),
        (200, bare(Method::GET, "/readyz")),
        (200, bare(Method::GET, "/metrics")),
        (200, said(r#"{"message": "hi"}"#)),
        (200, app.authed(Method::GET, "/chat/sessions")),
        (200, app.authed(Method::GET, &format!("/chat/session/{session}/messages"))),
        (204, app.authed(Method::GET, &format!("/chat/session/{session}/stream"))),
        (200, origin(bare(Method::OPTIONS, "/chat/message"))),
        (400, said("{")),
        (401, bare(Method::GET, "/chat/sessions")),
        (401, bare(Method::GET, "/chat/sessions").bearer_auth("x.y.z")),
        (404, bare(Method::GET, "/nowhere")),
        (405, bare(Method::PUT, "/chat/message")),
        (413, said(&" ".repeat(300 << 10))),
        (415, said("{}").header("content-type", "text/plain")),
        (422, said("{}")),
        (200, app.authed(Method::DELETE, &format!("/chat/session/{session}"))),
    ];
    let mut answers = Vec::new();
    for (status, request) in requests {
        answers.push((status, send(request).await));
    }
    for (status, password) in [(200, "testpass"), (401, "wrong")] {
        answers.push((status, app.login("testuser", password).await));
    }
    answers
}

#[tokio::test]
async fn every_answer_says_what_browsers_and_caches_may_not_do_with_it() {
    let app = TestApp::start().await;
    for (status, answer) in answers(&app).await {
        assert_eq!(answer.status, status, "{answer:?}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-security-policy", CSP),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}: {answer:?}");
            assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name}: {answer:?}");
        }
        assert_eq!(answer.header("strict-transport-security"), None, "{answer:?}");
        assert_eq!(answer.header("server"), None, "{answer:?}");
    }
}

/// What an answer says itself stays.
#[tokio::test]
async fn a_stream_goes_on_saying_what_streams_say() {
    let app = TestApp::start().await;
    let asked = app.authed(Method::POST, "/chat/message").json(&json!({ "message": "hi" }));
    let stream = send(asked.header("accept", "text/event-stream")).await;
    assert_eq!((stream.status, stream.header("cache-control")), (200, Some("no-cache, no-transform")), "{stream:?}");
    assert_eq!(stream.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn only_a_proxy_that_is_believed_says_that_a_caller_came_over_tls() {
    let told = async |app: &TestApp, proto: &[&str]| {
        let request = app.request(Method::GET, "/nowhere");
        let request = proto.iter().fold(request, |request, value| request.header("x-forwarded-proto", *value));
        send(request).await.header("strict-transport-security").map(str::to_owned)
    };
    let behind = TestApp::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    for over_tls in [&["https"][..], &["HTTPS"], &["http, https"], &["http", "https"]] {
        assert_eq!(told(&behind, over_tls).await.as_deref(), Some("max-age=31536000"), "{over_tls:?}");
    }
    for plain in [&[][..], &["http"], &["https, http"], &["https", "http"], &["https;"]] {
        assert_eq!(told(&behind, plain).await, None, "{plain:?}");
    }
    let elsewhere = TestApp::with(&[("TRUSTED_PROXIES", "10.0.0.0/8")]).await;
    assert_eq!(told(&elsewhere, &["https"]).await, None);
}

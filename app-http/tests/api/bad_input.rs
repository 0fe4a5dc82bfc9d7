//! Bad input: a clear 4xx each, never a 5xx or a panic.

use crate::app::{Answer, TestApp, send};
use reqwest::Method;
use serde_json::json;

/// After whatever was sent, the server still answers.
async fn still_serves(app: &TestApp) {
    assert_eq!(app.message(&json!({ "message": "still there?" })).await.status, 200);
}

#[tokio::test]
async fn methods_that_nobody_knows_are_counted_as_one() {
    let app = TestApp::start().await;
    for number in 0..1000 {
        let method = Method::from_bytes(format!("BREW{number}").as_bytes()).unwrap();
        let answer = app.request(method, "/chat/message").send().await.unwrap();
        assert!(answer.status().is_client_error(), "{answer:?}");
    }
    let numbers = send(app.request(Method::GET, "/metrics")).await.text;
    assert!(!numbers.contains("BREW"), "{numbers}");
    assert!(numbers.contains("method=\"other\""), "{numbers}");
}

#[tokio::test]
async fn wrong_types_are_all_told_at_once() {
    let app = TestApp::start().await;
    let wrong = json!({ "message": 7, "user_id": [], "session_id": {}, "client_message_id": true });
    let all = ["#/message", "#/user_id", "#/session_id", "#/client_message_id"];
    app.message(&wrong).await.points_to(&all);
    for body in [json!([]), json!("text"), json!(7), json!(null), json!(true)] {
        app.message(&body).await.points_to(&["#"]);
    }
    let login = send(app.request(Method::POST, "/auth/login").json(&json!({ "username": 1, "password": null }))).await;
    login.points_to(&["#/username", "#/password"]);
}

#[tokio::test]
async fn a_missing_message_is_told() {
    let app = TestApp::start().await;
    let refused = app.message(&json!({})).await;
    refused.points_to(&["#/message"]);
    assert_eq!(refused.json()["detail"], "message is missing");
    app.message(&json!({ "message": null })).await.points_to(&["#/message"]);
}

#[tokio::test]
async fn an_empty_message_is_refused() {
    let app = TestApp::start().await;
    for text in ["", " ", "\n\t\u{3000}", "\u{200b}\u{feff}", "\u{202e} \u{3164}"] {
        let refused = app.message(&json!({ "message": text })).await;
        refused.points_to(&["#/message"]);
        assert_eq!(refused.json()["detail"], "message must not be empty", "{text:?}");
    }
    assert_eq!(app.get("/chat/sessions").await.json(), json!([]));
}

#[tokio::test]
async fn a_message_with_a_nul_in_it_is_refused() {
    let app = TestApp::start().await;
    let refused = app.message(&json!({ "message": "a\u{0}b" })).await;
    refused.points_to(&["#/message"]);
    assert_eq!(refused.json()["detail"], "message must not hold the character U+0000");
}

#[tokio::test]
async fn an_over_long_message_is_refused_and_the_longest_is_not() {
    let app = TestApp::with(&[("MESSAGE_MAX_BYTES", "1000")]).await;
    app.message(&json!({ "message": "x".repeat(1001) })).await.points_to(&["#/message"]);
    app.message(&json!({ "message": "ư".repeat(501) })).await.points_to(&["#/message"]);
    assert_eq!(app.message(&json!({ "message": "ư".repeat(500) })).await.status, 200);
}

#[tokio::test]
async fn over_long_and_empty_names_are_refused() {
    let app = TestApp::start().await;
    let long = "x".repeat(129);
    app.message(&json!({ "message": "hi", "user_id": long })).await.points_to(&["#/user_id"]);
    app.message(&json!({ "message": "hi", "user_id": "" })).await.points_to(&["#/user_id"]);
    app.login(&"x".repeat(257), "y").await.points_to(&["#/username"]);
    app.login("", &"y".repeat(1025)).await.points_to(&["#/username", "#/password"]);
}

#[tokio::test]
async fn bad_utf_8_is_refused() {
    let app = TestApp::start().await;
    for body in [
        &b"{\"message\": \"\xff\xfe\"}"[..],
        b"\xff",
        b"{\"message\": \"\xed\xa0\x80\"}",
        b"{\"message\": \"\\ud800\"}",
    ] {
        app.raw(body.to_vec()).await.is_problem(400, "malformed_json");
    }
    still_serves(&app).await;
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let app = TestApp::start().await;
    for (body, why) in [
        ("", "The body is empty"),
        (" \n", "The body is empty"),
        ("{", "The body is not JSON, from line 1 column 1 on"),
        ("nonsense", "The body is not JSON, from line 1 column 2 on"),
        ("{\"message\": \"hi\"", "The body is not JSON, from line 1 column 16 on"),
        ("{\"message\": 'hi'}", "The body is not JSON, from line 1 column 13 on"),
        ("{\"message\": \"hi\"}\n x", "The body is not JSON, from line 2 column 2 on"),
        ("{\"message\": 1e999}", "The body holds a number that is too large"),
        (&"[".repeat(200), "The body is nested too deeply"),
    ] {
        assert_eq!(app.raw(body.to_owned()).await.is_problem(400, "malformed_json")["detail"], why, "{body}");
    }
    let encoded = app.authed(Method::POST, "/chat/message").header("content-encoding", "gzip").body("{}");
    let told = send(encoded).await.is_problem(415, "unsupported_media_type");
    assert!(told["detail"].as_str().unwrap().contains("Content-Encoding"), "{told}");
}

#[tokio::test]
async fn json_nested_ten_thousand_deep_is_refused() {
    let app = TestApp::start().await;
    for depth in [200, 10_000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for body in [deep.clone(), format!("{{\"message\": \"hi\", \"ignored\": {deep}}}"), open.repeat(depth)] {
                let answer = app.raw(body).await;
                assert!(matches!(answer.status, 400 | 413), "{depth}: {answer:?}");
            }
        }
    }
    still_serves(&app).await;
}

#[tokio::test]
async fn a_huge_body_is_refused_and_its_sender_reads_the_answer() {
    let app = TestApp::start().await;
    for size in [(256 << 10) + 1, 1 << 20, 32 << 20] {
        app.raw(vec![b' '; size]).await.is_problem(413, "body_too_large");
        let chunks = (0..size / 65_536 + 1).map(|_| Ok::<_, std::io::Error>(vec![b' '; 65_536]));
        let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        app.raw(stream).await.is_problem(413, "body_too_large");
    }
    let small = TestApp::with(&[("MESSAGE_MAX_BYTES", "100"), ("BODY_MAX_BYTES", "2148")]).await;
    small.message(&json!({ "message": "x".repeat(2148) })).await.is_problem(413, "body_too_large");
    still_serves(&small).await;
}

#[tokio::test]
async fn bad_uuids_are_refused() {
    let app = TestApp::start().await;
    for id in ["x", "00000000-0000-0000-0000-00000000000", "../../etc", "00000000-0000-4000-8000-00000000000g", "%"] {
        app.message(&json!({ "message": "hi", "session_id": id })).await.points_to(&["#/session_id"]);
    }
    for id in ["x", "00000000-0000-0000-0000-00000000000", "%ff", "%00", "'%20OR%201=1"] {
        for path in [format!("/chat/session/{id}"), format!("/chat/session/{id}/messages")] {
            app.get(&path).await.points_to(&["session_id"]);
        }
        app.delete(&format!("/chat/session/{id}")).await.points_to(&["session_id"]);
    }
}

#[tokio::test]
async fn a_uuid_has_one_form_in_body_and_path() {
    let app = TestApp::start().await;
    let id = app.say("hi").await["session_id"].as_str().unwrap().to_owned();
    let upper = id.to_uppercase();
    assert_eq!(app.message(&json!({ "message": "hi", "session_id": upper })).await.json()["session_id"], id);
    assert_eq!(app.get(&format!("/chat/session/{upper}")).await.json()["session_id"], id);
    for other in [id.replace('-', ""), format!("urn:uuid:{id}"), format!("{{{id}}}")] {
        app.message(&json!({ "message": "hi", "session_id": other })).await.points_to(&["#/session_id"]);
        app.get(&format!("/chat/session/{other}")).await.points_to(&["session_id"]);
        app.delete(&format!("/chat/session/{other}")).await.points_to(&["session_id"]);
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_one_without_a_type_is_json() {
    let app = TestApp::start().await;
    let of = |kind: Option<&'static str>| {
        let request = app.authed(Method::POST, "/chat/message").body("{\"message\": \"hi\"}");
        send(kind.into_iter().fold(request, |request, kind| request.header("content-type", kind)))
    };
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"] {
        of(Some(kind)).await.is_problem(415, "unsupported_media_type");
    }
    for kind in [None, Some("application/json; charset=utf-8"), Some("Application/JSON"), Some("application/x+json")] {
        assert_eq!(of(kind).await.status, 200, "{kind:?}");
    }
}

#[tokio::test]
async fn unknown_members_are_ignored_and_strange_texts_are_kept() {
    let app = TestApp::start().await;
    for text in ["\u{1}\u{1b}[31m", "🙂 ư \u{202e}", "{\"a\": 1}", "'; DROP TABLE messages; --", "\u{feff}hi\r\n"] {
        let answer: Answer = app.message(&json!({ "message": text, "temperature": { "deep": [1] } })).await;
        assert_eq!((answer.status, answer.json()["user_message"].as_str()), (200, Some(text)));
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_ten_seconds() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = TestApp::start().await;
    let address = app.url.trim_start_matches("http://").to_owned();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(std::time::Duration::from_secs(20), connection.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the connection stays open");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
}

//! What is no HTTP, or what the framework refuses before it makes a request of it.

use crate::app::{TestApp, send};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What comes back for these bytes until the server closes the connection.
pub(crate) async fn exchange(url: &str, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    // The server may have heard enough before all is sent.
    let _ = connection.write_all(bytes).await;
    let mut answer = Vec::new();
    let closed = timeout(Duration::from_secs(20), connection.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the connection stays open: {}", String::from_utf8_lossy(&answer));
    String::from_utf8(answer).unwrap()
}

/// What is no request, and the status that it gets.
pub(crate) fn no_requests() -> Vec<(u16, Vec<u8>)> {
    let post = |headers: &str| format!("POST /chat/message HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let lengths = ["x", "-1", "+5", "5, 5", "1e3", "99999999999999999999", "5\r\nContent-Length: 5"];
    let lengths = lengths.map(|length| post(&format!("Content-Length: {length}\r\n")) + "{}");
    let headers = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: y\r\n",
        "X-Control: a\u{0}b\r\n",
        "X-Control: \u{1b}[31m\r\n",
        "X-Con\u{1}trol: a\r\n",
        "X-Folded: a\r\n b\r\n",
        "no header at all\r\n",
    ];
    let lines =
        ["HELLO", "GET", "GET /", "GET / HTTP/9.9", "GET / HTTP/1.1 x", "G(T / HTTP/1.1", "GET /\u{7f}\u{0} HTTP/1.1"];
    let lines = lines.map(|line| format!("{line}\r\nHost: x\r\n\r\n"));
    let bad = lengths.into_iter().chain(headers.map(post)).chain(lines);
    let bad = bad.chain(["GET / HTTP/1.1\r\n\r\n".into(), "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".into()]);
    let long = [
        post(&format!("X-Long: {}\r\n", "x".repeat(200 << 10))),
        post(&(0..200).map(|number| format!("X-{number}: x\r\n")).collect::<String>()),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(200 << 10)),
    ];
    bad.map(|text| (400, text.into_bytes())).chain(long.map(|text| (431, text.into_bytes()))).collect()
}

/// The answer is a bare 400 or 431: it has no body, and no header of ours. It cannot have: actix-http's `h1::Dispatcher` writes
/// it where its decoder fails, before there is a request that a service or a middleware could answer, and offers no hook
/// for it. Only a filter of our own in front of the socket could, which would have to parse HTTP a second time. What can be
/// had is held here: the right status, a connection that is closed, and a server that is well. That it is no error in the
/// log is held in `process.rs`.
#[tokio::test]
async fn what_is_no_request_gets_a_bare_4xx_and_its_connection_is_closed() {
    let app = TestApp::start().await;
    for (status, bytes) in no_requests() {
        let answer = exchange(&app.url, &bytes).await;
        let sent = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{sent:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "one answer: {sent:?}: {answer:?}");
    }
    assert_eq!(send(app.request(Method::GET, "/livez")).await.status, 200);
}

/// The framework takes a broken chunk for a client that has gone, so there is no answer at all; and nothing was done.
#[tokio::test]
async fn a_body_whose_chunks_are_broken_does_nothing() {
    let app = TestApp::start().await;
    let head = format!(
        "POST /chat/message HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        app.token()
    );
    let message = "f\r\n{\"message\":\"hi\"\r\n";
    for rest in ["zz\r\n}\r\n0\r\n\r\n", "1\r\n}xx\r\n0\r\n\r\n", "fffffffffffffffff\r\n}"] {
        let answer = exchange(&app.url, format!("{head}{message}{rest}").as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{rest:?}: {answer}");
    }
    assert_eq!(app.get("/chat/sessions").await.json(), json!([]));
    let whole = exchange(&app.url, format!("{head}{message}1\r\n}}\r\n0\r\n\r\n").as_bytes()).await;
    assert!(whole.starts_with("HTTP/1.1 200 "), "unbroken, the same message is answered: {whole}");
}

/// Targets that are no path of ours, in whatever form.
#[tokio::test]
async fn strange_targets_are_problems_like_any_other() {
    let app = TestApp::start().await;
    for line in ["OPTIONS *", "GET *", "CONNECT x:80", "GET x", "GET /%zz", "GET http://other/nowhere", "X /"] {
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(&app.url, request.as_bytes()).await;
        let problem = answer.starts_with("HTTP/1.1 4") && answer.contains("application/problem+json");
        assert!(problem, "{line}: {answer}");
    }
}

/// There is no other protocol. A connection that is kept would be one that the client thinks is kept, and that is closed.
#[tokio::test]
async fn who_asks_for_another_protocol_is_answered_in_this_one_and_told_that_the_connection_ends() {
    let app = TestApp::start().await;
    let body = r#"{"message": "hi"}"#;
    let asks = [
        "Connection: upgrade\r\n",
        "Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Upgrade: WebSocket\r\n",
    ];
    for ask in asks {
        let head = format!("Host: x\r\nAuthorization: Bearer {}\r\n{ask}", app.token());
        let length = body.len();
        // What comes behind the body is not read as a part of it.
        let post = format!("POST /chat/message HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}behind");
        for request in [post, format!("GET /livez HTTP/1.1\r\n{head}\r\n")] {
            let answer = exchange(&app.url, request.as_bytes()).await.to_lowercase();
            assert!(answer.starts_with("http/1.1 200 ") && answer.contains("connection: close\r\n"), "{ask}: {answer}");
            assert!(!answer.contains("upgrade"), "{ask}: {answer}");
        }
    }
    let endless = format!(
        "POST /chat/message HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nUpgrade: websocket\r\n\r\n",
        app.token()
    );
    assert!(exchange(&app.url, endless.as_bytes()).await.starts_with("HTTP/1.1 400 "), "a body of no bytes");
}

#[tokio::test]
async fn a_stream_to_a_client_of_http_1_0_has_no_chunks() {
    let app = TestApp::start().await;
    let body = r#"{"message": "hi"}"#;
    let head = format!(
        "Authorization: Bearer {}\r\nAccept: text/event-stream\r\nContent-Length: {}\r\n",
        app.token(),
        body.len()
    );
    let answer = exchange(&app.url, format!("POST /chat/message HTTP/1.0\r\n{head}\r\n{body}").as_bytes()).await;
    let (head, events) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 ") && !head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(events.starts_with("event: turn\n") && events.contains("event: done\n"), "{events}");
}

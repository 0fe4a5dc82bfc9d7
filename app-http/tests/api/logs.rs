//! What the program logs, and where.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::app::send;
use crate::process::{Running, command};
use crate::wire::{exchange, no_requests};
use serde_json::{Value, json};
use socket2::SockRef;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

#[tokio::test]
async fn logs_are_json_and_hold_no_text_no_password_and_no_token() {
    let directory = tempfile::tempdir().unwrap();
    let server =
        Running::start(directory.path(), &[("LOG_LEVEL", "debug"), ("STORE", "memory"), ("SHUTDOWN_GRACE", "4s")]);
    let token = server.token().await;
    let request = server.message(&token, &json!({ "message": "canary-text", "user_id": "user_123" }));
    let answer = send(request.header("x-request-id", "request-7")).await;
    assert_eq!(answer.status, 200);
    send(server.message(&token, &json!({ "message": "canary-text", "user_id": "canary-user" }))).await;
    send(server.client.get(format!("{}/chat/session/canary-path?canary-query", server.url)).bearer_auth(&token)).await;
    server.signal("INT");
    let (code, log) = server.end();
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_message = |line: &&Value| line["target"] == "access" && line["request_id"] == "request-7";
    let line = lines.iter().find(of_message).unwrap();
    assert_eq!(
        (&line["method"], &line["route"], &line["status"]),
        (&json!("POST"), &json!("/chat/message"), &json!(200))
    );
    assert!(line["ms"].is_number());
    for secret in ["canary", "testpass", token.as_str(), "Tôi", answer.json()["ai_response"].as_str().unwrap()] {
        assert!(!log.contains(secret), "{secret} in the log:\n{log}");
    }
}

#[tokio::test]
async fn a_request_whose_client_goes_before_its_answer_begins_is_logged_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let server =
        Running::start(directory.path(), &[("STORE", "memory"), ("AI_DEMO_DELAY", "20s"), ("SHUTDOWN_GRACE", "4s")]);
    let token = server.token().await;
    let body = json!({ "message": "hi" }).to_string();
    let head = format!(
        "POST /chat/message/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Request-Id: request-7\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    connection.write_all((head + &body).as_bytes()).await.unwrap();
    server.asked(&token).await;
    // It is reset.
    SockRef::from(&connection).set_linger(Some(Duration::ZERO)).unwrap();
    drop(connection);
    let counted = "chatcore_http_requests_total{method=\"POST\",route=\"/chat/message\",status=\"499\"} 1";
    let is_counted =
        async { while !send(server.client.get(format!("{}/metrics", server.url))).await.text.contains(counted) {} };
    tokio::time::timeout(Duration::from_secs(10), is_counted).await.expect("it is not counted");
    server.signal("TERM");
    let lines: Vec<Value> = server.end().1.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<_> =
        lines.iter().filter(|line| line["target"] == "access" && line["route"] == "/chat/message").collect();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(
        (&line["status"], &line["message"], &line["request_id"]),
        (&json!(499), &json!("gone"), &json!("request-7"))
    );
}

#[tokio::test]
async fn what_a_turn_logs_has_the_id_of_its_request() {
    let directory = tempfile::tempdir().unwrap();
    let url = ("AI_API_URL", "http://127.0.0.1:9/chat");
    let pairs = [("STORE", "memory"), url, ("SHUTDOWN_GRACE", "4s"), ("LOG_LEVEL", "warn,app_http::application=info")];
    let server = Running::start(directory.path(), &pairs);
    let request = server.message(&server.token().await, &json!({ "message": "hello" }));
    assert_eq!(send(request.header("x-request-id", "request-8")).await.status, 200);
    let request =
        server.client.post(format!("{}/chat/message", server.url)).header("x-device-id", "device-of-a-guest-01");
    let request = request.json(&json!({ "message": "hello" })).header("x-request-id", "request-9");
    assert_eq!(send(request).await.status, 200);
    server.signal("TERM");
    let (_, log) = server.end();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed: Vec<&Value> = lines.iter().filter(|line| line["message"] == "the AI failed").collect();
    let of = |id| json!({ "name": "request", "request_id": id });
    let spans: Vec<&Value> = failed.iter().map(|line| &line["span"]).collect();
    assert_eq!(spans, [&of("request-8"), &of("request-9")], "{failed:?}");
}

#[tokio::test]
async fn a_file_of_users_that_names_nobody_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("users"), "# nobody yet\n").unwrap();
    let secret = ("JWT_SECRET_KEY", crate::app::SECRET);
    let pairs = [("STORE", "memory"), ("DEBUG", "false"), ("USERS_FILE", "users"), secret];
    let server = Running::start(directory.path(), &pairs);
    server.signal("TERM");
    let (code, log) = server.end();
    assert!(code == Some(0) && log.contains("nobody can log in: USERS_FILE names no user"), "{log}");
}

#[tokio::test]
async fn a_proxy_that_is_not_believed_is_told_of_once() {
    let warnings = async |settings: &[(&str, &str)]| {
        let directory = tempfile::tempdir().unwrap();
        let server = Running::start(directory.path(), &[&[("STORE", "memory")], settings].concat());
        for name in ["x-forwarded-for", "forwarded", "x-forwarded-for"] {
            send(server.client.get(format!("{}/livez", server.url)).header(name, "for=9.9.9.9")).await;
        }
        server.signal("TERM");
        server.end().1.lines().filter(|line| line.contains("TRUSTED_PROXIES")).count()
    };
    assert_eq!(warnings(&[]).await, 1);
    assert_eq!(warnings(&[("TRUSTED_PROXIES", "127.0.0.1")]).await, 0);
}

#[tokio::test]
async fn a_proxy_that_is_believed_and_names_clients_only_by_what_is_not_read_is_told_of_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("STORE", "memory"), ("TRUSTED_PROXIES", "127.0.0.1")]);
    let both = [("forwarded", "for=9.9.9.9"), ("x-forwarded-for", "9.9.9.9")];
    for headers in [&both[..], &both[..1], &both[..1]] {
        let request = server.client.get(format!("{}/livez", server.url));
        send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await;
    }
    server.signal("TERM");
    let (_, log) = server.end();
    let told = "this proxy names clients in `Forwarded` alone";
    assert_eq!(log.lines().filter(|line| line.contains(told)).count(), 1, "{log}");
}

/// Anybody can send nonsense, so it is nothing that an operator should be woken for.
#[tokio::test]
async fn connections_that_are_closed_as_they_come_are_counted_and_told_of_once_a_minute() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = [("STORE", "memory"), ("HTTP_WORKERS", "1"), ("HTTP_MAX_CONNECTIONS", "8")];
    let server = Running::start(directory.path(), &pairs);
    let refused = async || {
        let numbers = send(server.client.get(format!("{}/metrics", server.url))).await.text;
        let line = numbers.lines().find_map(|line| line.strip_prefix("chatcore_http_connections_refused_total "));
        line.unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(refused().await, 0);
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    let mut connections = Vec::new();
    for _ in 0..7 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        connections.push(socket.connect(address).await.unwrap());
    }
    let three = async { while refused().await < 3 {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), three).await.expect("half of eight are let in");
    server.signal("TERM");
    let (_, log) = server.end();
    assert_eq!(log.lines().filter(|line| line.contains("closed as they come")).count(), 1, "{log}");
}

#[tokio::test]
async fn what_is_no_request_is_no_error_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("STORE", "memory"), ("SHUTDOWN_GRACE", "4s")]);
    for (_, bytes) in no_requests() {
        exchange(&server.url, &bytes).await;
    }
    server.signal("TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(0));
    assert!(!log.contains("\"ERROR\"") && !log.contains("panicked"), "{log}");
}

#[test]
fn logs_go_to_a_file_where_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = [("PORT", "0"), ("STORE", "memory"), ("LOG_FILE", "log.json")];
    let mut child = command(directory.path(), &pairs).spawn().unwrap();
    let (since, mut log) = (Instant::now(), String::new());
    while !log.contains("listening") && since.elapsed() < Duration::from_secs(10) {
        log = std::fs::read_to_string(directory.path().join("log.json")).unwrap_or_default();
    }
    child.kill().unwrap();
    assert!(log.contains("\"user\":\"testuser\"") && !log.contains("testpass"), "the demo user is named: {log}");
    assert!(child.wait_with_output().unwrap().stdout.is_empty());
}

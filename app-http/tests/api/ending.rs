//! What becomes of clients when the server is told to end.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::app::send;
use crate::process::Running;
use serde_json::json;
use socket2::SockRef;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

/// It has little room and small packets, as it would over a network, and takes 12 kB a second: the last that the server holds for it
/// takes it seconds.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_its_answer_before_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("STORE", "memory"), ("SHUTDOWN_GRACE", "60s")]);
    let (token, mut session) = (server.token().await, json!(null));
    for _ in 0..4 {
        let long = json!({ "message": "x".repeat(30_000), "session_id": session });
        session = send(server.message(&token, &long)).await.json()["session_id"].take();
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    SockRef::from(&socket).set_tcp_mss(1400).unwrap();
    let mut connection = socket.connect(server.url.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    let line = format!("GET /chat/session/{}/messages HTTP/1.1\r\nHost: x\r\n", session.as_str().unwrap());
    connection.write_all(format!("{line}Authorization: Bearer {token}\r\n\r\n").as_bytes()).await.unwrap();
    let (mut answer, mut piece, mut told) = (Vec::new(), [0; 1200], None);
    loop {
        let count = connection.read(&mut piece).await.unwrap();
        if count == 0 {
            break;
        }
        answer.extend(&piece[..count]);
        if answer.len() > 12_000 && told.is_none() {
            server.signal("TERM");
            told = Some(Instant::now());
        }
        sleep(Duration::from_millis(100)).await;
    }
    let (head, body) = std::str::from_utf8(&answer).unwrap().split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    println!("read {} of {length} bytes, until {:?} after SIGTERM", body.len(), told.unwrap().elapsed());
    assert_eq!(body.len().to_string(), length);
    let read = Instant::now();
    assert_eq!(server.end().0, Some(0));
    assert!(read.elapsed() < Duration::from_secs(10), "then it ends: {:?}", read.elapsed());
}

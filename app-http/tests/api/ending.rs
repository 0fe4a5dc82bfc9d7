//! What becomes of clients when the server is told to end.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::app::send;
use crate::process::Running;
use futures_util::future::{join, join_all};
use serde_json::json;
use socket2::SockRef;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
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

/// How many clients there are that make a connection for each request.
const VISITORS: usize = 30;

/// What became of a client's last request.
#[derive(Debug, PartialEq, Eq)]
enum Last {
    /// It was let in no more.
    NotLetIn,
    /// Its connection ended without an answer.
    Ended,
    /// It was reset.
    Reset,
}

/// Makes a connection for each request, until one has no answer; tells how many had one.
async fn visit(address: &str, request: &str) -> (usize, Last) {
    for answered in 0.. {
        let Ok(mut connection) = TcpStream::connect(address).await else { return (answered, Last::NotLetIn) };
        let mut answer = Vec::new();
        let sent = connection.write_all(request.as_bytes()).await;
        if sent.is_err() || connection.read_to_end(&mut answer).await.is_err() {
            return (answered, Last::Reset);
        }
        if answer.is_empty() {
            return (answered, Last::Ended);
        }
        assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
    }
    unreachable!()
}

/// Without a `SHUTDOWN_DELAY`. A connection is half made in the very moment in which the port is closed: the client has it already,
/// and the server not yet. Such a one is reset, and so there may be one for each core.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_let_in_is_answered_though_the_server_is_told_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = [("STORE", "memory"), ("MESSAGE_QUOTA", "off"), ("OWNER_MAX_SESSIONS", "1000000")];
    let server = Running::start(directory.path(), &pairs);
    let (address, token) = (server.url.trim_start_matches("http://").to_owned(), server.token().await);
    let body = json!({ "message": "hi" }).to_string();
    let asks = format!("POST /chat/message HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
    let asks = format!("{asks}Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let requests = [
        format!("{asks}Connection: close\r\n\r\n{body}"),
        "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    let visitors = join_all((0..VISITORS).map(|number| {
        let (address, request) = (address.clone(), requests[number % requests.len()].clone());
        tokio::spawn(async move { visit(&address, &request).await })
    }));
    let told = async {
        sleep(Duration::from_secs(1)).await;
        server.signal("TERM");
    };
    let (visitors, ()) = join(visitors, told).await;
    let visitors: Vec<_> = visitors.into_iter().map(Result::unwrap).collect();
    assert_eq!(server.end().0, Some(0));
    let count = |what| visitors.iter().filter(|(_, last)| *last == what).count();
    let (not_let_in, ended, reset) = (count(Last::NotLetIn), count(Last::Ended), count(Last::Reset));
    let answered: usize = visitors.iter().map(|(answered, _)| answered).sum();
    println!("{answered} answers; then {not_let_in} were not let in, {ended} ended, {reset} reset");
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(ended == 0 && reset <= cores, "{ended} ended, {reset} reset");
}

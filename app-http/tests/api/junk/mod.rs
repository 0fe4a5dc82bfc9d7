//! Raw junk over real sockets: some by hand, more by chance. The server answers with no 5xx, does not panic, and is well
//! afterwards.

mod handwritten;

use crate::app::send;
use crate::process::Running;
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use handwritten::{BODIES, HEADERS, LINES, RAW, Rows, TARGETS};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Mutations of what is written by hand, and of good requests: `JUNK=1000000` for all that were promised.
#[expect(clippy::disallowed_methods, reason = "a test is asked for more than it does by itself")]
fn mutations() -> usize {
    std::env::var("JUNK").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000)
}

/// Something written by hand.
struct Piece {
    /// From which table, and its number there.
    place: String,
    /// The statuses that it gets.
    expected: &'static str,
    bytes: Vec<u8>,
}

/// Everything that is written by hand.
fn handwritten(token: &str) -> Vec<Piece> {
    let authorized = format!(" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let tables: [(_, Rows, &[u8], &[u8]); 5] = [
        ("LINES", LINES, b"", b"\r\nHost: x\r\n\r\n"),
        ("HEADERS", HEADERS, b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"\r\n\r\n"),
        ("BODIES", BODIES, b"POST /auth/login HTTP/1.1\r\nHost: x\r\n", b""),
        ("TARGETS", TARGETS, b"GET ", authorized.as_bytes()),
        ("RAW", RAW, b"", b""),
    ];
    let mut pieces = Vec::new();
    for (table, rows, before, behind) in tables {
        for (number, (expected, junk)) in rows.iter().enumerate() {
            let (place, bytes) = (format!("{table} {number}"), [before, junk, behind].concat());
            pieces.push(Piece { place, expected, bytes });
        }
    }
    pieces
}

/// The statuses of what comes back for these bytes, in order, with a space between. Nothing else is sent.
async fn statuses(url: &str, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    // The server may have heard enough before all is sent.
    let _ = connection.write_all(bytes).await;
    let _ = connection.shutdown().await;
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(30), connection.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open: {}", bytes.escape_ascii());
    let answer = String::from_utf8_lossy(&answer);
    let statuses: Vec<_> = answer.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)).collect();
    statuses.join(" ")
}

/// A server as a process of its own, and a token for it.
async fn start(directory: &tempfile::TempDir) -> (Running, String) {
    let pairs =
        [("STORE", "memory"), ("LOG_LEVEL", "warn,app_http=info"), ("MESSAGE_QUOTA", "off"), ("SHUTDOWN_GRACE", "4s")];
    let server = Running::start(directory.path(), &pairs);
    let token = server.token().await;
    (server, token)
}

/// It answers, ends as it should, and has told of nothing that went wrong.
async fn is_well(server: Running, token: &str) {
    assert_eq!(send(server.message(token, &json!({ "message": "still there?" }))).await.status, 200);
    server.signal("TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "{log}");
}

#[tokio::test]
async fn handwritten_junk_gets_the_statuses_that_stand_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let (server, token) = start(&directory).await;
    let (mut wrong, all) = (Vec::new(), handwritten(&token));
    assert!(all.len() >= 200);
    for Piece { place, expected, bytes } in all {
        let found = statuses(&server.url, &bytes).await;
        if found != expected {
            wrong.push(format!("{place}: {found}, not {expected}: {}", bytes.escape_ascii()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    is_well(server, &token).await;
}

/// One to four changes: a byte, a piece left out, doubled or put in from another one, or the end cut off.
fn mutated(all: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = all[random.usize(..all.len())].clone();
    for _ in 0..random.usize(1..=4) {
        let begin = random.usize(..=bytes.len());
        let end = random.usize(begin..=bytes.len().min(begin + 20));
        let other = &all[random.usize(..all.len())];
        let from = random.usize(..=other.len());
        match random.u8(..6) {
            0 if begin < bytes.len() => bytes[begin] = random.u8(..),
            1 => bytes.insert(begin, b"\r\n\0 :;,/%\xff"[random.usize(..10)]),
            2 => drop(bytes.drain(begin..end)),
            3 => bytes.extend_from_within(begin..end),
            4 => drop(bytes.splice(begin..end, other[from..].iter().copied())),
            _ => bytes.truncate(begin.max(1)),
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mutations_get_no_5xx_and_the_server_is_well_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let (server, token) = start(&directory).await;
    let mut all: Vec<_> = handwritten(&token).into_iter().map(|piece| piece.bytes).collect();
    let good =
        ["GET /chat/sessions?limit=1", "GET /chat/session/x/messages", "POST /chat/message", "DELETE /chat/session/x"];
    for line in good.iter().cycle().take(100) {
        let body = r#"{"message": "hi", "session_id": null, "client_message_id": "k"}"#;
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: \"k\"\r\n");
        all.push(format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into());
    }
    let mut random = Rng::with_seed(11);
    let junk = stream::iter(std::iter::repeat_with(|| mutated(&all, &mut random)).take(mutations()));
    let answers = junk.map(async |bytes| (statuses(&server.url, &bytes).await, bytes)).buffer_unordered(16);
    let answers: Vec<_> = answers.collect().await;
    let is_5xx = |statuses: &str| statuses.split(' ').any(|status| status.starts_with('5'));
    for (statuses, bytes) in &answers {
        assert!(!is_5xx(statuses), "{statuses}: {}", bytes.escape_ascii());
    }
    let with = |wanted: &str| answers.iter().filter(|(statuses, _)| statuses.contains(wanted)).count();
    println!("{} with a 200, {} with a 400, {} with a 422", with("200"), with("400"), with("422"));
    assert!(with("200") > mutations() / 100 && with("400") > mutations() / 10, "they are too much alike");
    is_well(server, &token).await;
}

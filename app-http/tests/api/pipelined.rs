//! Requests that are sent before the answer to the one before has come.

use crate::app::TestApp;
use crate::process::Running;
use crate::wire::exchange;
use futures_util::future::join_all;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// A request's line and what its body is, with the status that it gets. Some bodies look like requests, and some have empty lines
/// where a head would end.
const KINDS: [(u16, &str, &str); 9] = [
    (200, "GET /livez", ""),
    (200, "GET /livez", "a body that nobody reads\n\n\n"),
    (404, "GET /nowhere", "\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    (405, "PUT /livez", "\n\r\n\r\n"),
    (404, "DELETE /chat/session/0190b6a1-0000-7000-8000-000000000000", ""),
    (422, "POST /auth/login", "{}"),
    (400, "POST /auth/login", "{"),
    (200, "POST /chat/message", "\n{\n\n\"message\":\r\n\r\n\"hi\"\r\n\n}\n\n"),
    (200, "POST /chat/message", "{\"message\": \"hi\"}"),
];

/// A request of this number and of some kind, and its status.
fn request(number: usize, token: &str) -> (u16, String) {
    let (status, line, body) = KINDS[fastrand::usize(..KINDS.len())];
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Request-Id: {number}\r\n");
    let text = match fastrand::u8(..3) {
        0 if body.is_empty() => format!("{head}\r\n"),
        0 | 1 => format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
        _ => {
            let (one, other) = body.split_at(body.len() / 2);
            let chunk =
                |text: &str| if text.is_empty() { String::new() } else { format!("{:x}\r\n{text}\r\n", text.len()) };
            let trailer = if fastrand::bool() { "X: y\r\n" } else { "" };
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{}{}0\r\n{trailer}\r\n", chunk(one), chunk(other))
        }
    };
    (status, text)
}

/// Whatever they are, and however they are cut into packets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    let app = TestApp::with(&[("OWNER_MAX_SESSIONS", "1000000")]).await;
    for round in 0..40 {
        let seed = fastrand::u64(..);
        fastrand::seed(seed);
        let requests: Vec<_> = (0..50).map(|number| request(number, app.token())).collect();
        let (statuses, texts): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let last = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: last\r\n\r\n";
        let sent = texts.concat() + last;
        // At once, or piece by piece: at most so much at a time.
        let most = [usize::MAX, 4000, 300, 9][round % 4];
        let answers = in_pieces(&app.url, sent.as_bytes(), most).await;
        let answers: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
        let numbers = (0..50).map(|number: usize| number.to_string()).chain(["last".to_owned()]);
        let wanted: Vec<_> = statuses.into_iter().chain([200]).zip(numbers).collect();
        let got: Vec<_> = answers.iter().map(|answer| told(answer)).collect();
        assert_eq!(got, wanted, "seed {seed}, at most {most} bytes at once");
    }
}

/// What comes back for these bytes, sent in pieces of random length, some of them with a pause.
async fn in_pieces(url: &str, mut bytes: &[u8], most: usize) -> String {
    if most == usize::MAX {
        return exchange(url, bytes).await;
    }
    let connection = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    connection.set_nodelay(true).unwrap();
    let (mut reads, mut writes) = connection.into_split();
    let reading = tokio::spawn(async move {
        let mut answers = String::new();
        reads.read_to_string(&mut answers).await.unwrap();
        answers
    });
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(fastrand::usize(1..=most).min(bytes.len()));
        writes.write_all(piece).await.unwrap();
        if fastrand::u8(..20) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        bytes = rest;
    }
    reading.await.unwrap()
}

/// The status and the request id of an answer.
fn told(answer: &str) -> (u16, String) {
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    (answer[..3].parse().unwrap(), id.unwrap_or_default().to_owned())
}

/// How many connections send requests and read no answer, and how many requests each sends.
const CONNECTIONS: usize = 20;
const REQUESTS: usize = 2000;
/// What one of them may take, in kB. A request alone takes 7.
const MOST: u64 = 1000;

/// The requests wait where they came from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_thousands_of_requests_and_reads_no_answer_takes_no_memory() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("STORE", "memory"), ("HTTP_WORKERS", "2")]);
    // Its first answers take what it has for all.
    let one = "GET /docs/redoc.standalone.js HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..2 {
        assert!(
            server
                .client
                .get(format!("{}/docs/redoc.standalone.js", server.url))
                .send()
                .await
                .unwrap()
                .bytes()
                .await
                .is_ok()
        );
    }
    for many in [one.to_owned(), "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{".to_owned() + one] {
        let before = server.memory();
        let address = server.url.trim_start_matches("http://");
        let connections = join_all((0..CONNECTIONS).map(async |_| {
            let connection = TcpStream::connect(address).await.unwrap();
            let bytes = many.repeat(REQUESTS);
            let mut sent = 0;
            // The system takes no more where nobody reads.
            while sent < bytes.len() {
                match tokio::time::timeout(Duration::from_secs(1), connection.writable()).await {
                    Ok(ready) => ready.unwrap(),
                    Err(_) => break,
                }
                sent += connection.try_write(&bytes.as_bytes()[sent..]).unwrap_or_default();
            }
            connection
        }))
        .await;
        sleep(Duration::from_secs(1)).await;
        let each = server.memory().saturating_sub(before) / CONNECTIONS as u64;
        println!("each connection takes {each} kB");
        assert!(each < MOST, "each of {CONNECTIONS} connections takes {each} kB");
        drop(connections);
    }
    assert_eq!(server.client.get(format!("{}/livez", server.url)).send().await.unwrap().status(), 200);
}

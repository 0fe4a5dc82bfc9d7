//! Requests that are sent before the answer to the one before has come.

use crate::app::TestApp;
use crate::process::Running;
use crate::wire::exchange;
use futures_util::future::join_all;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

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
            let trailer = ["", "X: y\r\n", "\n\r\n", "X: y\n\r\n"][fastrand::usize(..4)];
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

/// What somebody sends who reads no answer.
struct Flood {
    first: &'static str,
    then: &'static str,
    times: usize,
    connections: usize,
}

/// A long answer, one without a body, and what may come before a request.
const LONG: &str = "GET /docs/redoc.standalone.js HTTP/1.1\r\nHost: x\r\n\r\n";
const PREFLIGHT: &str =
    "OPTIONS /livez HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\nAccess-Control-Request-Method: GET\r\n\r\n";
const BODY: &str = "POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\n\r\n\r\n";
const CONNECT: &str = "CONNECT x:1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
const FLOODS: [Flood; 4] = [
    Flood { first: "", then: LONG, times: 2000, connections: 20 },
    Flood { first: BODY, then: LONG, times: 2000, connections: 20 },
    Flood { first: CONNECT, then: LONG, times: 2000, connections: 20 },
    Flood { first: "", then: PREFLIGHT, times: 60_000, connections: 4 },
];
/// What a connection may take, in kB. A request alone takes 7.
const MOST: u64 = 1000;

impl Flood {
    /// Goes on until all is sent, or the server takes no more, or none at all.
    async fn run(&self, address: &str) -> TcpStream {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let bytes = self.first.to_owned() + &self.then.repeat(self.times);
        let _ = timeout(Duration::from_secs(2), connection.write_all(bytes.as_bytes())).await;
        connection
    }
}

/// The requests wait where they came from, and so do those whose answers wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_thousands_of_requests_and_reads_no_answer_takes_no_memory() {
    for flood in FLOODS {
        let directory = tempfile::tempdir().unwrap();
        let settings = [("STORE", "memory"), ("HTTP_WORKERS", "2"), ("CORS_ALLOWED_ORIGINS", "*")];
        let server = Running::start(directory.path(), &settings);
        let address = server.url.trim_start_matches("http://");
        // What it has for all its answers.
        let long = server.client.get(format!("{}/docs/redoc.standalone.js", server.url));
        assert!(long.send().await.unwrap().bytes().await.is_ok());
        let before = server.memory();
        let connections = join_all((0..flood.connections).map(|_| flood.run(address))).await;
        let each = server.memory().saturating_sub(before) / flood.connections as u64;
        let what = format!("{}{}", flood.first, flood.then);
        println!("{each} kB for each connection: {what:?}");
        assert!(each < MOST, "each of {} connections takes {each} kB: {what:?}", flood.connections);
        assert_eq!(server.client.get(format!("{}/livez", server.url)).send().await.unwrap().status(), 200);
        drop(connections);
    }
}

/// A connection that ends with an answer serves nothing that was sent behind, however many answers wait before that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_behind_the_last_answer() {
    let app = TestApp::with(&[("CORS_ALLOWED_ORIGINS", "*")]).await;
    let upgrade = PREFLIGHT.replace("Host", "Connection: upgrade\r\nHost");
    let endless = CONNECT.replace("0\r\n\r\n", "5\r\nhello\r\n");
    for (first, last) in [(0, CONNECT), (0, &*endless), (14_000, &*upgrade)] {
        let connection = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
        let (mut reads, mut writes) = connection.into_split();
        let bytes = PREFLIGHT.repeat(first) + last + &"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
        let writing = tokio::spawn(async move { writes.write_all(bytes.as_bytes()).await.map(|()| writes) });
        sleep(Duration::from_secs(1)).await;
        let mut answers = Vec::new();
        let read = timeout(Duration::from_secs(30), reads.read_to_end(&mut answers)).await;
        // Chunks that are none break it off.
        let read = read.expect("the connection ends");
        assert!(read.is_ok() || last == endless, "{read:?}: {last:?}");
        let answers = String::from_utf8(answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), first + 1, "{last:?}");
        assert_eq!(answers.matches("connection: close").count(), 1, "{last:?}");
        drop(writing.await.unwrap());
    }
}

//! Clients that take their time, and what there may be of them.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::app::{TestApp, send};
use crate::process::Running;
use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::json;
use socket2::SockRef;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

/// How many slow clients there are.
const CLIENTS: usize = 1000;
/// After which time none of them is connected any more, where nothing else runs.
const CLOSED: Duration = Duration::from_secs(15);
/// How long they are idle between one byte and the next.
const PAUSE: Duration = Duration::from_millis(500);

/// What a slow client sends at once, and what it does then.
struct Slow {
    at_once: String,
    then: Then,
}

/// What it does after each [`PAUSE`].
enum Then {
    /// Sends one of these bytes, again and again from the first on.
    Sends(&'static str),
    /// Reads so many bytes.
    Reads(usize),
}

impl Slow {
    /// Goes on until the server closes the connection, and tells how long that took.
    async fn run(&self, address: &str) -> Duration {
        let since = Instant::now();
        let mut connection = self.connect(address).await;
        // Of many requests the server may not read all.
        let _ = timeout(PAUSE, connection.write_all(self.at_once.as_bytes())).await.map(Result::unwrap);
        for number in 0.. {
            sleep(PAUSE).await;
            let closed = match self.then {
                Then::Sends(text) => {
                    let byte = text.as_bytes()[number % text.len()];
                    connection.write_all(&[byte]).await.is_err() || has_ended(&connection)
                }
                // An end would stand behind all that is not read yet, so only a connection that was cut off counts.
                Then::Reads(count) => {
                    let _ = connection.try_read(&mut vec![0; count]);
                    SockRef::from(&connection).take_error().unwrap().is_some()
                }
            };
            if closed {
                break;
            }
        }
        since.elapsed()
    }

    /// Who reads slowly has little room and small packets, as it would be over a network; the loop device's are huge.
    async fn connect(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        if matches!(self.then, Then::Reads(_)) {
            socket.set_recv_buffer_size(4096).unwrap();
            SockRef::from(&socket).set_tcp_mss(1400).unwrap();
        }
        socket.connect(address.parse().unwrap()).await.unwrap()
    }
}

/// Reads what has come, and tells whether no more will.
fn has_ended(connection: &TcpStream) -> bool {
    loop {
        match connection.try_read(&mut [0; 4096]) {
            Ok(1..) => {}
            Ok(0) => return true,
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// One of each kind.
fn kinds(token: &str, session: &str) -> [(&'static str, Slow); 6] {
    let sends = |at_once: &str, text| Slow { at_once: at_once.into(), then: Then::Sends(text) };
    let head = "GET /livez HTTP/1.1\r\nHost: x\r\n";
    let of_user = |line: String| format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
    let post = of_user("POST /chat/message".into());
    let history = of_user(format!("GET /chat/session/{session}/messages")) + "\r\n";
    let reads = |count| Slow { at_once: history.clone(), then: Then::Reads(count) };
    [
        ("a first head", sends(head, "X-Slow: x\r\n")),
        ("a second head", sends(&format!("{head}\r\n{head}"), "X-Slow: x\r\n")),
        ("a body", sends(&format!("{post}Content-Length: 1000\r\n\r\n"), " ")),
        ("a body that nobody reads", sends(&format!("{head}Transfer-Encoding: chunked\r\n\r\n"), "1\r\nx\r\n")),
        ("an answer that is not read", reads(0)),
        ("an answer that is read slowly", reads(10)),
    ]
}

/// How long a healthy request may take at most, whatever else this machine does.
const HARMED: Duration = Duration::from_secs(10);

/// How long healthy requests took, made for this time one after the other: the time within which 99 of 100 were answered.
async fn p99(app: &TestApp, time: Duration) -> Duration {
    let (mut took, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < time {
        let since = Instant::now();
        app.say("hi").await;
        assert_eq!(send(app.request(Method::GET, "/livez")).await.status, 200);
        took.push(since.elapsed());
    }
    took.sort_unstable();
    assert!(took[took.len() - 1] < HARMED, "{took:?}");
    took[took.len() * 99 / 100]
}

/// The same, twice: whatever else this machine does is in one of them, what slow clients do to others is in both.
async fn p99_twice(app: &TestApp) -> [Duration; 2] {
    [p99(app, Duration::from_secs(2)).await, p99(app, Duration::from_secs(2)).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_clients_leave_others_unharmed_and_are_cut_off() {
    let app = TestApp::with(&[("HTTP_WORKERS", "2"), ("OWNER_MAX_SESSIONS", "1000000")]).await;
    let session = app.say("hi").await["session_id"].as_str().unwrap().to_owned();
    for _ in 0..6 {
        let long = json!({ "message": "x".repeat(30_000), "session_id": session });
        assert_eq!(app.message(&long).await.status, 200);
    }
    let alone = p99_twice(&app).await;
    let (address, kinds) = (app.url.trim_start_matches("http://"), kinds(app.token(), &session));
    let slow = join_all((0..CLIENTS).map(async |number| {
        sleep(Duration::from_millis(2) * number as u32).await;
        kinds[number % kinds.len()].1.run(address).await
    }));
    // From when all are there until the first are closed.
    let healthy = async {
        sleep(Duration::from_millis(2500)).await;
        p99_twice(&app).await
    };
    let (closed, beside) = join(timeout(Duration::from_secs(60), slow), healthy).await;
    let closed = closed.unwrap_or_else(|_| panic!("slow clients are still connected"));
    for (number, (name, _)) in kinds.iter().enumerate() {
        let of_kind: BTreeSet<_> = closed.iter().skip(number).step_by(kinds.len()).collect();
        println!("{name}: closed after {:?} to {:?}", of_kind.first().unwrap(), of_kind.last().unwrap());
    }
    println!("p99 of others: {alone:?} alone, {beside:?} beside {CLIENTS} slow clients");
    // The other tests come and go, and take their time from this one. With `ALONE=1` there are none.
    let alone_here = std::env::var_os("ALONE").is_some();
    let late = if alone_here { CLOSED } else { 2 * CLOSED };
    assert!(closed.iter().all(|after| *after < late), "some were not closed in time");
    let is_unharmed = beside.iter().min() < alone.map(|alone| 2 * alone).iter().max();
    assert!(!alone_here || is_unharmed, "{alone:?} alone, {beside:?} beside them");
}

/// Whatever becomes of the request, and however long an idle connection is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_reads_to_its_end_holds_no_connection() {
    let app = TestApp::with(&[("HTTP_KEEP_ALIVE", "75s")]).await;
    let user = format!("Host: x\r\nAuthorization: Bearer {}\r\n", app.token());
    let json = format!("{user}Content-Type: application/json\r\n");
    let closed = join_all(["GET /livez", "PUT /livez", "POST /nope", "POST /chat/message"].map(async |line| {
        let at_once = format!("{line} HTTP/1.1\r\n{json}Transfer-Encoding: chunked\r\n\r\n");
        Slow { at_once, then: Then::Sends("1\r\nx\r\n") }.run(app.url.trim_start_matches("http://")).await
    }));
    let closed = timeout(2 * CLOSED, closed).await.expect("none is connected any more");
    println!("closed after {closed:?}");
}

/// However long an idle connection is kept, and though each of them would be taken at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_many_short_answers_is_cut_off() {
    let app = TestApp::with(&[("HTTP_KEEP_ALIVE", "75s")]).await;
    let closed = join_all([("GET", 0), ("GET", 100), ("HEAD", 0), ("HEAD", 100)].map(async |(method, count)| {
        let at_once = format!("{method} /livez HTTP/1.1\r\nHost: x\r\n\r\n").repeat(30_000);
        Slow { at_once, then: Then::Reads(count) }.run(app.url.trim_start_matches("http://")).await
    }));
    let closed = timeout(2 * CLOSED, closed).await.expect("none is connected any more");
    println!("closed after {closed:?}");
}

/// More than 3.2 kB a second, of one long answer and of many short ones, is fast enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_slowly_and_steadily_is_not_cut_off() {
    let app = TestApp::start().await;
    let session = app.say("hi").await["session_id"].as_str().unwrap().to_owned();
    for _ in 0..6 {
        let long = json!({ "message": "x".repeat(30_000), "session_id": session });
        assert_eq!(app.message(&long).await.status, 200);
    }
    let history = &kinds(app.token(), &session)[4].1.at_once;
    let short = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(30_000);
    join_all([history, &short].map(async |at_once| {
        let slow = Slow { at_once: at_once.clone(), then: Then::Reads(2500) };
        let cut_off = timeout(Duration::from_secs(30), slow.run(app.url.trim_start_matches("http://"))).await;
        assert!(cut_off.is_err(), "{:?} was cut off after {cut_off:?}", &at_once[..20]);
    }))
    .await;
}

/// A tab that reads a session along.
struct Tab {
    connection: TcpStream,
    address: String,
}

impl Tab {
    async fn of(app: &TestApp, session: &str) -> Self {
        let address = app.url.trim_start_matches("http://").to_owned();
        let head = format!("GET /chat/session/{session}/events HTTP/1.1\r\nHost: x\r\n");
        let head = format!("{head}Authorization: Bearer {}\r\n\r\n", app.token());
        let slow = Slow { at_once: head, then: Then::Reads(0) };
        let mut connection = slow.connect(&address).await;
        connection.write_all(slow.at_once.as_bytes()).await.unwrap();
        Self { connection, address }
    }

    /// How much the system holds that the tab has not taken.
    fn unread(&self) -> usize {
        let port = |address: &str| format!("{:04X}", address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap());
        let (here, there) = (port(&self.address), port(&self.connection.local_addr().unwrap().to_string()));
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let of_tab = |line: &&str| {
            let mut words = line.split_whitespace().skip(1).take(2);
            words.next().is_some_and(|word| word.ends_with(&format!(":{here}")))
                && words.next().is_some_and(|word| word.ends_with(&format!(":{there}")))
        };
        let line = table.lines().find(of_tab).unwrap();
        usize::from_str_radix(line.split_whitespace().nth(4).unwrap().split_once(':').unwrap().0, 16).unwrap()
    }

    fn is_cut_off(&self) -> bool {
        SockRef::from(&self.connection).take_error().unwrap().is_some()
    }

    /// Reads all that comes until it has seen this.
    async fn read_until(&mut self, text: &str) {
        let (mut read, mut last) = (vec![0; 1 << 16], Vec::new());
        while !String::from_utf8_lossy(&last).contains(text) {
            let count = timeout(LATE, self.connection.read(&mut read)).await.unwrap().unwrap();
            assert!(count > 0, "it has ended");
            last.drain(..last.len().saturating_sub(text.len()));
            last.extend(&read[..count]);
        }
    }
}

/// Until when a tab that reads nothing is cut off. That it does not is seen with a heartbeat at the latest.
const LATE: Duration = Duration::from_secs(40);

/// Asks until the system has no room for what this tab does not read, and the server holds the rest; how much the system holds.
async fn fill(app: &TestApp, session: &str, tab: &Tab) -> usize {
    let small = json!({ "message": "x".repeat(500), "session_id": session });
    let (mut unread, mut same) = (0, 0);
    while same < 6 {
        assert_eq!(app.message(&small).await.status, 200);
        let now = tab.unread();
        same = if now > 0 && now == unread { same + 1 } else { 0 };
        unread = now;
    }
    unread
}

#[tokio::test]
async fn a_tab_that_reads_nothing_is_cut_off_and_one_that_catches_up_is_not() {
    let app = TestApp::with(&[("OWNER_MAX_SESSIONS", "1000000")]).await;
    let [one, two] =
        [app.say("hi").await, app.say("hi").await].map(|said| said["session_id"].as_str().unwrap().to_owned());
    let mut late = Tab::of(&app, &one).await;
    fill(&app, &one, &late).await;
    let last = json!({ "message": "this is the last", "session_id": one });
    late.read_until(app.message(&last).await.json()["message_id"].as_str().unwrap()).await;
    let never = Tab::of(&app, &two).await;
    let held = fill(&app, &two, &never).await;
    let since = Instant::now();
    while !never.is_cut_off() {
        assert!(since.elapsed() < LATE, "it is still there");
        sleep(PAUSE).await;
    }
    println!("cut off {:?} after the system held {held} bytes", since.elapsed());
    // Now the other would have been cut off as well.
    late.read_until(app.message(&last).await.json()["message_id"].as_str().unwrap()).await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_as_long_as_the_settings_say() {
    let app = TestApp::with(&[("HTTP_KEEP_ALIVE", "2s")]).await;
    let mut connection = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    for _ in 0..3 {
        connection.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let count = connection.read(&mut [0; 1024]).await;
        assert!(count.is_ok_and(|count| count > 0), "it was closed before its time");
        sleep(Duration::from_secs(1)).await;
    }
    let end = timeout(Duration::from_millis(2500), connection.read(&mut [0; 1024])).await;
    assert_eq!(end.expect("it is still there").unwrap(), 0, "it ends without being broken off");
}

#[tokio::test]
async fn more_connections_than_there_may_be_wait_for_one_that_closes() {
    // A proxy that is believed, since anybody else gets but half of them.
    let settings = [("HTTP_WORKERS", "1"), ("HTTP_MAX_CONNECTIONS", "3"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let app = TestApp::with(&settings).await;
    let address = app.url.trim_start_matches("http://");
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(connection.read(&mut [0; 1024]).await.unwrap() > 0);
        open.push(connection);
    }
    let mut further = TcpStream::connect(address).await.unwrap();
    further.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let early = timeout(Duration::from_millis(500), further.read_to_end(&mut answer)).await;
    assert!(early.is_err(), "it was answered beside the others: {}", String::from_utf8_lossy(&answer));
    open.pop();
    further.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
}

/// What waits for the rest of a body takes little more room than what has come of it, and of a login there is never much.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_lacks_its_end_takes_little_more_memory_than_it_is_long() {
    // In kB. A connection and a request that is served take some 50 without a body.
    for (path, length, most) in
        [("/auth/login", 262_144, 120), ("/auth/login", 16_384, 120), ("/chat/message", 262_144, 450)]
    {
        let directory = tempfile::tempdir().unwrap();
        let server = Running::start(directory.path(), &[("STORE", "memory"), ("HTTP_WORKERS", "2")]);
        let (address, before) = (server.url.trim_start_matches("http://"), server.memory());
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nX-Device-Id: device-0001\r\nContent-Length: {length}\r\n\r\n");
        let sent = head.into_bytes().into_iter().chain(std::iter::repeat_n(b' ', length - 1000)).collect::<Vec<_>>();
        let connections = 300;
        let begun = join_all((0..connections).map(|_| async {
            let mut connection = TcpStream::connect(address).await.unwrap();
            let _ = connection.write_all(&sent).await;
            connection
        }));
        let begun = begun.await;
        let mut each = 0;
        for _ in 0..30 {
            each = each.max(server.memory().saturating_sub(before) / connections);
            sleep(Duration::from_millis(100)).await;
        }
        drop(begun);
        println!("{each} kB for each connection: {path}, {length}");
        assert!(each < most, "each takes {each} kB: {path}, {length}");
    }
}

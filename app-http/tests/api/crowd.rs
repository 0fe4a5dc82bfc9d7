//! Who takes all that one may have: of streams, of connections. Others find a place all the same.

use crate::app::{TestApp, send};
use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const DEVICE: &str = "device-0001";
/// Until when whoever is let in has an answer.
const SOON: Duration = Duration::from_secs(10);
/// Streams that an owner may have.
const OF_OWNER: usize = 64;
/// Connections that there are in all.
const ROOM: usize = 40;

async fn guests_session(app: &TestApp) -> String {
    let body = json!({ "message": "hi", "device_id": DEVICE });
    let said = send(app.request(Method::POST, "/chat/message").json(&body)).await.json();
    said["session_id"].as_str().unwrap().to_owned()
}

/// Follows a session from this address of the machine, as a guest; the status, where there is an answer.
async fn follow(app: &TestApp, from: &str, session: &str, header: &str) -> Option<(u16, TcpStream)> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut connection = socket.connect(app.url.trim_start_matches("http://").parse().unwrap()).await.ok()?;
    let head =
        format!("GET /chat/session/{session}/events HTTP/1.1\r\nHost: x\r\nX-Device-Id: {DEVICE}\r\n{header}\r\n");
    connection.write_all(head.as_bytes()).await.ok()?;
    let mut begin = [0; 12];
    timeout(SOON, connection.read_exact(&mut begin)).await.ok()?.ok()?;
    Some((std::str::from_utf8(&begin[9..]).unwrap().parse().unwrap(), connection))
}

/// The streams of so many that tried at once.
async fn crowd(app: &TestApp, from: &str, session: &str, header: &str) -> Vec<TcpStream> {
    let tried = join_all((0..2 * ROOM).map(|_| follow(app, from, session, header))).await;
    let begun = |tried: Option<(u16, TcpStream)>| tried.filter(|(status, _)| *status == 200);
    tried.into_iter().filter_map(begun).map(|(_, connection)| connection).collect()
}

/// Asks at once on a connection for which there is no place; what comes back.
async fn ask_in_vain(app: &TestApp, from: &str, device: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut connection = socket.connect(app.url.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    let body = json!({ "message": "hi", "device_id": device }).to_string();
    let head = "POST /chat/message HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length";
    let _ = connection.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    let mut told = Vec::new();
    let _ = timeout(SOON, connection.read_to_end(&mut told)).await.unwrap();
    String::from_utf8_lossy(&told).into_owned()
}

async fn is_alive(app: &TestApp) -> bool {
    let asked = app.request(Method::GET, "/livez").timeout(SOON).send().await;
    asked.is_ok_and(|answer| answer.status() == 200)
}

#[tokio::test]
async fn an_address_that_holds_all_it_can_leaves_room_for_others() {
    let room = ROOM.to_string();
    let settings = [("HTTP_WORKERS", "2"), ("HTTP_MAX_CONNECTIONS", &*room), ("GUEST_QUOTA", "off")];
    let app = TestApp::with(&settings).await;
    let session = guests_session(&app).await;
    let held = crowd(&app, "127.0.0.2", &session, "").await;
    assert_eq!(held.len(), ROOM / 2, "half of all connections");
    assert!(is_alive(&app).await, "one address has taken all");
    // What comes on a connection that is closed as it comes is not done: nobody would know.
    for number in 0..20 {
        let device = format!("refused-{number:04}");
        assert_eq!(ask_in_vain(&app, "127.0.0.2", &device).await, "");
        let sessions = send(app.request(Method::GET, "/chat/sessions").header("x-device-id", &device)).await;
        assert_eq!(sessions.json(), json!([]), "{device}");
    }
    drop(app);

    // A proxy brings many, of whom each may have as many streams.
    let app = TestApp::with(&[&settings[..], &[("TRUSTED_PROXIES", "127.0.0.2")]].concat()).await;
    let session = guests_session(&app).await;
    let held = crowd(&app, "127.0.0.2", &session, "X-Forwarded-For: 9.9.9.9\r\n").await;
    assert_eq!(held.len(), ROOM / 2, "half as many streams as connections");
    let (status, _other) = follow(&app, "127.0.0.2", &session, "X-Forwarded-For: 8.8.8.8\r\n").await.unwrap();
    assert_eq!(status, 200, "another one behind the same proxy");
    assert!(is_alive(&app).await, "one who is behind a proxy has taken all");
}

#[tokio::test]
async fn an_owner_reads_so_many_streams_at_once_and_one_more_when_one_ends() {
    let app = TestApp::with(&[("AI_DEMO_DELAY", "2s")]).await;
    let said = app.say("hi").await;
    let of = |name: &str| said[name].as_str().unwrap().to_owned();
    let session = format!("/chat/session/{}", of("session_id"));
    let events = format!("{session}/events");
    let mut held: Vec<Response> = Vec::new();
    for _ in 0..OF_OWNER {
        held.push(app.authed(Method::GET, &events).send().await.unwrap());
    }
    assert!(held.iter().all(|stream| stream.status() == 200));
    let turn = format!("{session}/turns/{}/stream", of("message_id"));
    for path in [&events, &turn, &format!("{session}/stream")] {
        let refused = timeout(SOON, app.get(path)).await.expect("one more is read along");
        refused.is_problem(429, "too_many_streams");
        assert_eq!(refused.header("retry-after"), Some("20"));
    }
    // Who asks is no reader; who asks again under the key of a turn that runs is one.
    let ask = async || {
        let body = json!({ "message": "once", "client_message_id": "once" });
        let asked = app.authed(Method::POST, "/chat/message").header("accept", "text/event-stream").json(&body);
        asked.send().await.unwrap()
    };
    let first = ask().await;
    assert_eq!([first.status(), ask().await.status()].map(|status| status.as_u16()), [200, 429]);
    let guest = guests_session(&app).await;
    let guest = app.request(Method::GET, &format!("/chat/session/{guest}/events")).header("x-device-id", DEVICE);
    assert_eq!(guest.send().await.unwrap().status(), 200, "somebody else");
    drop(held.pop());
    let more: Value = json!({ "message": "more", "session_id": of("session_id") });
    let again = async {
        // What is written to it shows that its reader is gone.
        while app.authed(Method::GET, &events).send().await.unwrap().status() == 429 {
            assert_eq!(app.message(&more).await.status, 200);
        }
    };
    timeout(SOON, again).await.expect("the place of a stream that has ended is free");
}

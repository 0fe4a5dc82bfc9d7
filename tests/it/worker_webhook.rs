//! The webhook as a receiver sees it, and the way of an event that it does not take: to the dead letters and back.

use crate::client::Client;
use crate::process::{Server, command};
use crate::worker_process::{Call, Hook, Worker, eventually};
use axum::http::StatusCode;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpSocket;

const SECRET: &str = "b7e151628aed2a6abf7158809cf4f3c7";

fn settings(url: &str) -> [(&str, &str); 4] {
    [("WORKER_HANDLERS", "webhook"), ("WEBHOOK_URL", url), ("WEBHOOK_SECRET", SECRET), ("WORKER_TRIES", "3")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_signed_and_comes_again_until_it_is_taken() {
    let server = Server::start(&[]);
    let answer = Client::login(&server).await.ask(json!({"message": "hello"})).await;
    let refused = Arc::new(AtomicBool::new(false));
    let hook = Hook::start(move |_| {
        let again = refused.swap(true, Ordering::Relaxed);
        Some(if again { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE })
    });
    let hook = hook.await;
    let _worker = Worker::start(server.folder(), &settings(&hook.url));
    let calls = hook.wait_for(3).await;
    calls.iter().for_each(check_signature);
    let header = |call: &Call, name: &str| call.headers[name].to_str().unwrap().to_owned();
    let types: Vec<_> = calls.iter().map(|call| header(call, "x-chatcore-event-type")).collect();
    assert_eq!(types, ["chat.requested", "chat.requested", "chat.responded"]);
    assert_eq!(calls[0].body, calls[1].body, "the same event again");
    let event: Value = serde_json::from_slice(&calls[2].body).unwrap();
    assert_eq!(header(&calls[2], "x-chatcore-event-id"), event["event_id"]);
    assert_eq!((&event["response"], &event["session_id"]), (&answer["ai_response"], &answer["session_id"]));
}

/// As a receiver does it.
fn check_signature(call: &Call) {
    let signature = call.headers["x-chatcore-signature"].to_str().unwrap();
    let (time, hex) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let mac = mac.chain_update(time).chain_update(".").chain_update(&call.body);
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
    assert!(time.parse::<u64>().unwrap() > 1_700_000_000);
}

/// In unix seconds.
fn signed_at(call: &Call) -> u64 {
    let signature = call.headers["x-chatcore-signature"].to_str().unwrap();
    signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_or_busy_is_waited_for() {
    let server = Server::start(&[]);
    let client = Client::login(&server).await;
    let mut sessions = Vec::new();
    for number in 0..5 {
        sessions.push(client.ask(json!({"message": number.to_string()})).await["session_id"].clone());
    }
    // Its port is taken, and nobody listens there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/hook", socket.local_addr().unwrap());
    let settings = [&settings(&url)[..], &[("WORKER_PORT", "0")]].concat();
    let mut worker = Worker::start(server.folder(), &settings);
    let metrics = worker.url("/metrics");
    let number = async |name: &str| {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0").trim();
        line.parse::<f64>().unwrap()
    };
    // A worker with three tries would have given up five times by then.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(text(&letters(server.folder(), &["list"])), "");
    assert!(number(r#"chatcore_worker_handler_failures_total{handler="webhook"}"#).await > 5.0);
    assert!(number("chatcore_worker_handler_oldest_seconds ").await > 2.0);
    let told = "events wait for what a handler needs";
    assert_eq!(worker.told(told), 1, "however many events wait and tries there are");
    worker.stop();
    let ended = tokio::time::timeout(Duration::from_secs(10), worker.ended()).await;
    assert_eq!(ended, Ok(Some(0)), "it waits for nobody when it is told to end, and gives back what it has");
    let _worker = Worker::start(server.folder(), &settings);

    let busy = AtomicBool::new(true);
    let hook = Hook::start_on(socket.listen(64).unwrap(), move |_| {
        let busy = busy.swap(false, Ordering::Relaxed);
        Some(if busy { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK })
    });
    let calls = hook.wait_for(11).await;
    let event = |call: &Call| serde_json::from_slice::<Value>(&call.body).unwrap();
    let taken: Vec<_> = calls[1..].iter().map(event).collect();
    for session in &sessions {
        let types = taken.iter().filter(|event| event["session_id"] == *session).map(|event| &event["type"]);
        assert_eq!(types.collect::<Vec<_>>(), ["chat.requested", "chat.responded"]);
    }
    let again = calls[1..].iter().find(|call| call.body == calls[0].body).unwrap();
    assert!(signed_at(again) >= signed_at(&calls[0]) + Hook::RETRY_AFTER, "it is left alone for as long as it asks");
    assert_eq!(text(&letters(server.folder(), &["list"])), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_a_dead_letter_and_comes_again_when_it_is_replayed() {
    let server = Server::start(&[]);
    let client = Client::login(&server).await;
    client.ask(json!({"message": "the poisoned text"})).await;
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    let hook = Hook::start(move |call| {
        let poisoned = call.headers["x-chatcore-event-type"] == "chat.requested" && !is_mended.load(Ordering::Relaxed);
        Some(if poisoned { StatusCode::BAD_REQUEST } else { StatusCode::OK })
    });
    let hook = hook.await;
    let _worker = Worker::start(server.folder(), &settings(&hook.url));
    assert_eq!(hook.wait_for(2).await.len(), 2, "one try, and the session goes on with its next event");

    let folder = server.folder();
    let listed =
        eventually(|| Some(text(&letters(folder, &["list"]))).filter(|listed| !listed.is_empty()), String::new);
    let listed = listed.await;
    let (id, rest) = listed.trim_end().split_once('\t').unwrap();
    assert!(rest.starts_with("workers\t") && rest.ends_with("\tthe webhook answered 400"), "{listed}");
    let shown: Value = serde_json::from_str(&text(&letters(folder, &["list", "--json", "--limit", "1"]))).unwrap();
    assert_eq!((&shown["id"], &shown["record"]["message"]), (&json!(id), &json!("the poisoned text")));

    mended.store(true, Ordering::Relaxed);
    assert!(text(&letters(folder, &["replay", id])).contains(id));
    let calls = hook.wait_for(3).await;
    assert_eq!(calls[2].body, calls[0].body);
    let none = letters(folder, &["list"]);
    assert_eq!((text(&none).as_str(), none.status.code()), ("", Some(0)));
    let again = letters(folder, &["replay", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("no such dead letter"));
    assert!(letters(folder, &["replay", "--all"]).status.success(), "there are none, which is what was asked for");
}

/// `app-worker dead-letters ...`
fn letters(folder: &Path, arguments: &[&str]) -> Output {
    command("app-worker", folder).arg("dead-letters").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

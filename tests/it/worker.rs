//! `app-worker` beside the server: every event, in session order, through a kill.

use crate::client::Client;
use crate::process::{Server, command};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running worker, and the lines of all workers of a test.
pub(crate) struct Worker(Child);

pub(crate) type Lines = Arc<Mutex<Vec<Value>>>;

impl Worker {
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)], lines: &Lines) -> Self {
        let mut command = command("app-worker", folder);
        let mut process = command.env("LOG_LEVEL", "off").envs(settings.iter().copied()).spawn().unwrap();
        let (stdout, lines) = (process.stdout.take().unwrap(), lines.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self(process)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_prints_each_event_in_session_order_through_a_kill() {
    let server = Server::start(&[("MESSAGE_QUOTA", "off")]);
    let client = Client::login(&server).await;
    let lines = Lines::default();
    let worker = Worker::start(server.folder(), &[], &lines);
    let talk = |names: std::ops::Range<u32>| {
        let client = client.clone();
        async move {
            for name in names {
                client.ask(json!({"message": format!("question {name}"), "client_message_id": name.to_string()})).await;
            }
        }
    };
    talk(0..10).await;
    drop(worker); // SIGKILL
    talk(10..20).await;
    let _worker = Worker::start(server.folder(), &[], &lines);
    let events = printed(&lines, 40).await;
    assert_eq!(events.len(), 20, "each session");
    assert!(events.values().all(|events| *events == ["1 chat.requested", "2 chat.responded"]), "{events:?}");
    assert!(lines.lock().unwrap().iter().all(|line| line.get("message").is_none()), "never the text");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_output_is_full_parks_nothing() {
    let server = Server::start(&[]);
    let client = Client::login(&server).await;
    client.ask(json!({"message": "hello"})).await;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut worker = command("app-worker", server.folder()).stdout(full).spawn().unwrap();
    // Longer than a handler's tries take.
    tokio::time::sleep(Duration::from_secs(3)).await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    let lines = Lines::default();
    let _worker = Worker::start(server.folder(), &[], &lines);
    assert_eq!(printed(&lines, 2).await.len(), 1, "the session's events came again");
}

/// What is printed once there are so many events, or after a while.
pub(crate) async fn printed(lines: &Lines, count: usize) -> BTreeMap<String, Vec<String>> {
    for _ in 0..150 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let events = firsts(&lines.lock().unwrap());
        if events.values().map(Vec::len).sum::<usize>() == count {
            return events;
        }
    }
    firsts(&lines.lock().unwrap())
}

/// The numbers and types of each session's events, by their first occurrence.
fn firsts(lines: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut firsts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.iter().filter(|line| seen.insert(line["event_id"].to_string())) {
        let (session, kind) = (line["session_id"].to_string(), line["type"].as_str().unwrap_or_default());
        firsts.entry(session).or_default().push(format!("{} {kind}", line["seq"]));
    }
    firsts
}

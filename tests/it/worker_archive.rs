//! The archive through kills: whoever dies over it, each event stands in the raw files once, in session order.

use crate::client::Client;
use crate::process::Server;
use crate::worker_process::{Call, Hook, Worker, eventually};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CLIENTS: usize = 6;
const QUESTIONS: usize = 25;
const EVENTS: usize = 2 * CLIENTS * QUESTIONS;

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_leave_each_event_once_in_the_archive() {
    let field = Field::new().await;
    let steady = field.worker();
    for _ in 0..4 {
        let killed = field.worker();
        let calls = field.hook.calls().len();
        field.hook.wait_for((calls + 20).min(EVENTS)).await;
        drop(killed); // SIGKILL
    }
    assert!(lines(&field.dir).len() < EVENTS, "there was work left when each was killed");
    drop(steady);
    let _last = field.worker();
    field.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_until_others_had_its_events_writes_none_of_them_again() {
    let field = Field::new().await;
    let frozen = [field.worker(), field.worker()];
    field.hook.wait_for(20).await;
    frozen.iter().for_each(Worker::freeze);
    let _other = field.worker();
    // What they had in hand comes back after 5 s.
    tokio::time::sleep(Duration::from_millis(6500)).await;
    frozen.iter().for_each(Worker::thaw);
    field.check().await;
}

/// A server with many events, and what workers need that archive them.
struct Field {
    server: Server,
    hook: Hook,
    dir: PathBuf,
}

impl Field {
    async fn new() -> Self {
        let server = Server::start(&[("MESSAGE_QUOTA", "off")]);
        let client = Client::login(&server).await;
        let talks: Vec<_> = (0..CLIENTS).map(|name| tokio::spawn(talk(client.clone(), name))).collect();
        for talk in talks {
            talk.await.unwrap();
        }
        // Slow enough that a kill finds nearly all lanes behind the archive and before the acknowledgement.
        let slow = |_: &Call| {
            std::thread::sleep(Duration::from_millis(40));
            Some(StatusCode::OK)
        };
        let (hook, dir) = (Hook::start(slow).await, server.folder().join("archive"));
        Self { server, hook, dir }
    }

    fn worker(&self) -> Worker {
        let settings = [
            ("WORKER_HANDLERS", "archive,webhook"),
            ("ARCHIVE_DIR", self.dir.to_str().unwrap()),
            // Several files, so that the end of one is not all that is to be looked at.
            ("ARCHIVE_MAX_BYTES", "20KiB"),
            ("WEBHOOK_URL", &self.hook.url),
            ("WEBHOOK_SECRET", "b7e151628aed2a6abf7158809cf4f3c7"),
        ];
        Worker::start(self.server.folder(), &settings)
    }

    /// Once every event was through all handlers: each stands there once, in session order.
    async fn check(&self) {
        let told = || format!("{} of {EVENTS} lines", lines(&self.dir).len());
        let done = || (lines(&self.dir).len() >= EVENTS && behind_the_archive(&self.hook) == EVENTS).then_some(());
        eventually(done, told).await;
        check(&lines(&self.dir));
    }
}

/// One session with several questions.
async fn talk(client: Client, name: usize) {
    for number in 0..QUESTIONS {
        // Five questions a session: enough sessions for all lanes, and an order to keep.
        let key = format!("{name}-{}", number / 5);
        let first = client.ask(json!({"message": "hello", "client_message_id": key})).await;
        if number % 5 > 0 {
            let id = format!("{key}-{number}");
            client.ask(json!({"message": "laptop", "session_id": first["session_id"], "client_message_id": id})).await;
        }
    }
}

/// How many events came through it.
fn behind_the_archive(hook: &Hook) -> usize {
    let id = |call: &Call| call.headers["x-chatcore-event-id"].as_bytes().to_vec();
    hook.calls().iter().map(id).collect::<BTreeSet<_>>().len()
}

/// All lines, in the order in which they were written.
fn lines(dir: &Path) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let place = |path: &PathBuf| {
        let name = path.file_stem()?.to_str()?.strip_prefix("events-0-")?.to_owned();
        let (date, number) = name.rsplit_once('-')?;
        Some((date.to_owned(), number.parse::<u64>().ok()?))
    };
    let files: BTreeMap<_, _> = paths.filter_map(|path| Some((place(&path)?, path))).collect();
    let text: String = files.values().map(|path| fs::read_to_string(path).unwrap()).collect();
    // What is being written has no end yet.
    text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line.strip_suffix('\n')?).ok()).collect()
}

fn check(lines: &[Value]) {
    let mut offsets: Vec<_> = lines.iter().map(|line| line["offset"].as_u64().unwrap()).collect();
    offsets.sort_unstable();
    assert!(offsets.windows(2).all(|two| two[0] < two[1]), "twice: {offsets:?}");
    let mut sessions: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines {
        let seq = sessions.entry(line["event"]["session_id"].as_str().unwrap()).or_default();
        *seq += 1;
        assert_eq!(line["event"]["seq"], *seq, "once and in order: {line}");
        assert_eq!((&line["topic"], &line["partition"]), (&json!("events"), &json!(0)));
    }
    assert_eq!(lines.len(), EVENTS);
}

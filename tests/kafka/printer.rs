//! Workers that print the events, and what all workers of a test have printed.

use crate::process::command;
use krafka::producer::murmur2;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running worker. It is killed when it is dropped.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)], printed: &Printed) -> Self {
        let mut command = command("app-worker", folder);
        let mut process = command.env("LOG_LEVEL", "off").envs(settings.iter().copied()).spawn().unwrap();
        let (stdout, printed) = (process.stdout.take().unwrap(), printed.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                printed.note(&serde_json::from_str(&line).unwrap());
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

/// The events that were printed: of each session, in the order of their first occurrence.
#[derive(Clone, Default)]
pub(crate) struct Printed(Arc<Mutex<BTreeMap<String, Vec<Event>>>>, Arc<Mutex<BTreeSet<Place>>>);

/// A type, so a topic, and a partition.
type Place = (String, u32);
/// As many partitions has a topic that the programs make.
const PARTITIONS: u32 = 3;

/// A number in a session, and a type.
type Event = (u64, String);

impl Printed {
    fn note(&self, line: &Value) {
        let event = (line["seq"].as_u64().unwrap(), line["type"].as_str().unwrap().to_owned());
        let session = line["session_id"].as_str().unwrap();
        let partition = (murmur2(session.as_bytes()) & 0x7fff_ffff) % PARTITIONS;
        self.1.lock().unwrap().insert((event.1.clone(), partition));
        let mut sessions = self.0.lock().unwrap();
        let events = sessions.entry(session.to_owned()).or_default();
        if !events.contains(&event) {
            events.push(event);
        }
    }

    /// How many there are, each counted once.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Waits until there are so many.
    pub(crate) async fn wait_for(&self, count: usize, limit: Duration) {
        let wait = async {
            while self.count() < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(limit, wait).await;
        assert!(came.is_ok(), "{} of {count} events were printed within {limit:?}", self.count());
    }

    /// Waits until each partition of the three topics is read from now on.
    pub(crate) async fn wait_for_each_partition(&self, limit: Duration) {
        self.1.lock().unwrap().clear();
        let wait = async {
            while self.1.lock().unwrap().len() < 3 * PARTITIONS as usize {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(limit, wait).await;
        assert!(came.is_ok(), "within {limit:?} only these were read: {:?}", self.1.lock().unwrap());
    }

    /// The numbers of a session's events.
    pub(crate) fn numbers_of(&self, session: &str) -> Vec<u64> {
        let sessions = self.0.lock().unwrap();
        sessions.get(session).into_iter().flatten().map(|event| event.0).collect()
    }

    /// Sees that there are just the events of these sessions, which have so many turns each: all questions in order and all
    /// answers in order, and the deletion of some. Between the topics there is no order while a relay catches up.
    pub(crate) fn are_those_of(&self, turns: &BTreeMap<String, u64>) {
        let sessions = self.0.lock().unwrap();
        for (session, events) in &*sessions {
            let turns = turns.get(session).copied().unwrap_or_default();
            let of = |kind: &str| events.iter().filter(|event| event.1 == kind).map(|event| event.0).collect();
            for (kind, first) in [("chat.requested", 1), ("chat.responded", 2)] {
                let told: Vec<u64> = of(kind);
                let right: Vec<u64> = (0..turns).map(|turn| 2 * turn + first).collect();
                assert_eq!(told, right, "{kind} of session {session}");
            }
            let deleted: Vec<u64> = of("session.deleted");
            assert!(deleted.is_empty() || deleted == [2 * turns + 1], "{deleted:?} of session {session}");
            assert_eq!(events.len() as u64, 2 * turns + deleted.len() as u64, "and nothing else of session {session}");
        }
        assert_eq!(sessions.len(), turns.len(), "of each session");
    }
}

//! The thread that writes for all lanes: what waits for one partition shares a write and a wait for the disk.

use super::ArchiveConfig;
use super::files::Folder;
use super::part::{Appended, Cut, Part, Record};
use super::remembered::Mark;
use chatcore::event::Event;
use chatcore::port::{Place, Runtime};
use chatcore::stamp::rfc3339;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::mem::take;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long it waits before it asks again for a lock that another worker holds.
const LOCK_PAUSE: Duration = Duration::from_millis(1);
/// From when on it says that it waits for a lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// A line, and who waits for it to be on the disk.
#[derive(Debug)]
pub(super) struct Line {
    part: (String, u32),
    record: Record,
    tell: oneshot::Sender<Result<(), String>>,
}

impl Line {
    pub(super) fn new(event: &Event, place: &Place, tell: oneshot::Sender<Result<(), String>>) -> Self {
        let Place { topic, partition, offset } = place;
        // The topic has no letter that JSON would write otherwise: `files::is_name`.
        let event_json = event.to_json();
        let text =
            format!("{{\"topic\":\"{topic}\",\"partition\":{partition},\"offset\":{offset},\"event\":{event_json}}}\n");
        let record = Record { mark: Mark::new(*offset, &event.id().to_string()), text };
        Self { part: (topic.clone(), *partition), record, tell }
    }
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    config: ArchiveConfig,
    runtime: Arc<dyn Runtime>,
    parts: BTreeMap<(String, u32), Part>,
    waiting: BTreeMap<(String, u32), Waiting>,
}

/// Lines of one partition.
#[derive(Debug)]
struct Waiting {
    lines: Vec<Line>,
    since: Duration,
    told: bool,
}

impl Writer {
    pub(super) fn new(config: ArchiveConfig, runtime: Arc<dyn Runtime>) -> Self {
        Self { config, runtime, parts: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// Works until nobody can send any more.
    pub(super) fn run(mut self, lines: &Receiver<Line>) {
        while self.gather(lines) {
            for (key, waiting) in take(&mut self.waiting) {
                self.work_off(key, waiting);
            }
        }
    }

    /// Takes all lines that are there; waits for the first of them, but not long where others wait for a lock.
    fn gather(&mut self, lines: &Receiver<Line>) -> bool {
        let first = if self.waiting.is_empty() {
            lines.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            lines.recv_timeout(LOCK_PAUSE)
        };
        match first {
            Ok(line) => self.queue(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        lines.try_iter().for_each(|line| self.queue(line));
        true
    }

    fn queue(&mut self, line: Line) {
        let since = self.runtime.elapsed();
        let new = || Waiting { lines: Vec::new(), since, told: false };
        self.waiting.entry(line.part.clone()).or_insert_with(new).lines.push(line);
    }

    fn work_off(&mut self, key: (String, u32), mut waiting: Waiting) {
        match self.append(&key, &waiting.lines) {
            Ok(Appended::Busy) => {
                if !waiting.told && self.runtime.elapsed() > waiting.since + PATIENCE {
                    tracing::warn!(topic = key.0, partition = key.1, "another worker holds the lock of the archive");
                    waiting.told = true;
                }
                self.waiting.insert(key, waiting);
            }
            Ok(Appended::Done) => answer(waiting.lines, &Ok(())),
            Err(error) => {
                self.parts.remove(&key);
                answer(waiting.lines, &Err(error.to_string()));
            }
        }
    }

    fn append(&mut self, key: &(String, u32), lines: &[Line]) -> io::Result<Appended> {
        let mut today = rfc3339(self.runtime.now());
        today.truncate("2025-01-31".len());
        let cut = Cut { today, max_bytes: self.config.max_bytes };
        let part = match self.parts.entry(key.clone()) {
            Entry::Occupied(part) => part.into_mut(),
            Entry::Vacant(place) => {
                let folder = Folder::new(&self.config.dir, &key.0, key.1);
                place.insert(Part::open(folder, self.runtime.new_id().to_string())?)
            }
        };
        part.append(lines.iter().map(|line| &line.record), &cut)
    }
}

fn answer(lines: Vec<Line>, done: &Result<(), String>) {
    for line in lines {
        // Who waited for it may have been told to stop.
        let _ = line.tell.send(done.clone());
    }
}

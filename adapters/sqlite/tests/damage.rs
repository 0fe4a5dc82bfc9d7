//! The log beside the file: what a crash leaves behind is opened with all that was acknowledged, and what no crash leaves
//! behind is refused.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use chatcore::port::{EventBus, SessionStore};
use chatcore::session::SessionsPage;
use chatcore::turn::Target;
use chatcore_sqlite::{OpenError, Sqlite};
use common::{ann, open_with, talk};
use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::{TempDir, tempdir};

fn open(path: &Path) -> Result<Sqlite, OpenError> {
    open_with(path, |_| ())
}

fn log_of(file: &Path) -> PathBuf {
    file.with_extension("db-wal")
}

/// A file with its log, in a place of their own, as a crash leaves them.
struct Crashed {
    _directory: TempDir,
    path: PathBuf,
}

impl Crashed {
    fn new(file: &[u8], log: &[u8]) -> Self {
        let directory = tempdir().unwrap();
        let path = directory.path().join("chat.db");
        fs::write(&path, file).unwrap();
        fs::write(log_of(&path), log).unwrap();
        Self { _directory: directory, path }
    }

    /// How many messages are there.
    async fn messages(&self) -> u64 {
        let store = open(&self.path).unwrap();
        let sessions = store.sessions(&ann(), &SessionsPage { after: None, limit: 1000 }).await.unwrap();
        sessions.iter().map(|session| session.message_count).sum()
    }

    /// Opens it, which has to be refused and to leave all as it is.
    fn refusal(&self) -> OpenError {
        let found = (fs::read(&self.path).ok(), fs::read(log_of(&self.path)).unwrap());
        let error = open(&self.path).map(drop).expect_err("it should be refused");
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
        assert_eq!((fs::read(&self.path).ok(), fs::read(log_of(&self.path)).unwrap()), found);
        error
    }
}

/// A store whose steps stay in its log.
struct Running {
    directory: TempDir,
    store: Sqlite,
    reader: Connection,
    /// The file, as it is until `reader` lets go.
    file: Vec<u8>,
    turns: u64,
}

impl Running {
    fn new() -> Self {
        let directory = tempdir().unwrap();
        let store = open(&directory.path().join("chat.db")).unwrap();
        let reader = Connection::open(directory.path().join("chat.db")).unwrap();
        hold(&reader);
        let file = fs::read(directory.path().join("chat.db")).unwrap();
        Self { directory, store, reader, file, turns: 0 }
    }

    fn log(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("chat.db-wal")).unwrap()
    }

    /// Talks; the length of the log after each turn.
    async fn talk(&mut self, turns: u64) -> Vec<usize> {
        let mut ends = Vec::new();
        for _ in 0..turns {
            self.turns += 1;
            talk(&self.store, Target::New, &format!("k{}", self.turns), "an answer").await.unwrap();
            ends.push(self.log().len());
        }
        ends
    }

    /// Moves all into the file, so that the next step writes from the log's beginning again.
    fn move_log(&mut self) {
        self.reader.execute_batch("COMMIT; PRAGMA wal_checkpoint(PASSIVE)").unwrap();
        hold(&self.reader);
        self.file = fs::read(self.directory.path().join("chat.db")).unwrap();
    }
}

/// While somebody reads, nothing is moved from the log into the file.
fn hold(reader: &Connection) {
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM sessions", [], |_| Ok(())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_log_is_refused_and_left_alone() {
    let mut running = Running::new();
    let ends = running.talk(30).await;
    let (file, log) = (&running.file, running.log());
    // From the header and the first frame through the middle to the turn before the last.
    let synced = ends[ends.len() - 2];
    let places =
        (0..32).chain([32, 36, 40, 50, 56, 4000]).chain((1..40).map(|part| synced * part / 40)).chain([synced - 1]);
    for place in places {
        let mut damaged = log.clone();
        damaged[place] ^= 0x10;
        let error = Crashed::new(file, &damaged).refusal();
        assert!(error.to_string().contains("its -wal is broken at byte"), "{place}: {error}");
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
    }
    for (from, to) in [(0, 4096), (0, synced / 2), (synced / 2, synced / 2 + 8192)] {
        let mut damaged = log.clone();
        damaged[from..to].fill(0);
        Crashed::new(file, &damaged).refusal();
    }
    assert_eq!(Crashed::new(file, &log).messages().await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_its_file_is_refused_and_left_alone() {
    let mut running = Running::new();
    running.talk(3).await;
    let crashed = Crashed::new(&[], &running.log());
    assert!(crashed.refusal().to_string().contains("missing or empty"));
    fs::remove_file(&crashed.path).unwrap();
    crashed.refusal();
    assert!(!crashed.path.exists(), "nothing is made");
    fs::write(&crashed.path, &running.file).unwrap();
    assert_eq!(crashed.messages().await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_byte_loses_nothing() {
    let mut running = Running::new();
    let ends = running.talk(12).await;
    let log = running.log();
    for part in 0..120 {
        let cut = log.len() * part / 120;
        let acknowledged = ends.iter().filter(|end| **end <= cut).count() as u64;
        let messages = Crashed::new(&running.file, &log[..cut]).messages().await;
        assert!(messages >= 2 * acknowledged, "{messages} messages after {acknowledged} turns, cut at {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing_while_an_older_log_is_written_over() {
    let mut running = Running::new();
    running.talk(20).await;
    let older = running.log();
    running.move_log();
    running.talk(8).await;
    let log = running.log();
    assert_eq!(log.len(), older.len(), "it was written from the beginning again");
    let rewritten = (0..log.len()).rev().find(|place| log[*place] != older[*place]).unwrap();
    for part in 0..60 {
        let cut = 32 + (rewritten - 32) * part / 60;
        let left = [&log[..cut], &older[cut..]].concat();
        let messages = Crashed::new(&running.file, &left).messages().await;
        assert!((40..=56).contains(&messages), "{messages} messages, cut at {cut}");
    }
    assert_eq!(Crashed::new(&running.file, &log).messages().await, 56);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_that_waited_for_the_disk() {
    let mut running = Running::new();
    let ends = running.talk(12).await;
    // These steps do not wait for the disk: any part of them may be missing.
    let consumer = running.store.subscribe("workers").await.unwrap();
    let synced = running.log().len();
    for _ in 0..6 {
        let delivery = consumer.next().await.unwrap().unwrap();
        consumer.ack(&delivery.id).await.unwrap();
    }
    let log = running.log();
    assert!(ends[11] < synced && synced + 10 * 4096 < log.len(), "{ends:?} {synced} {}", log.len());
    for start in (synced..log.len()).step_by(5000) {
        for end in [start + 512, start + 20_000, log.len()] {
            let mut torn = log.clone();
            torn[start..end.min(log.len())].fill(0);
            assert_eq!(Crashed::new(&running.file, &torn).messages().await, 24, "torn from {start} to {end}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_is_whole_without_its_log() {
    let running = Running::new();
    assert_eq!(Crashed::new(&running.file, &[]).messages().await, 0);
    let tables: i64 = running.reader.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    let directory = tempdir().unwrap();
    let copy = directory.path().join("copy.db");
    fs::write(&copy, &running.file).unwrap();
    let copied: i64 =
        Connection::open(&copy).unwrap().query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(copied, tables);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_adds_to_is_soon_in_the_file_itself() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let store = open(&path).unwrap();
    talk(&store, Target::New, "k", "an answer").await.unwrap();
    while Crashed::new(&fs::read(&path).unwrap(), &[]).messages().await < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_last_handle_is_gone_all_is_in_the_file_itself() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let store = open(&path).unwrap();
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { talk(&store, Target::New, &format!("k{number}"), "an answer").await.unwrap() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    drop(store);
    assert!(!log_of(&path).exists());
    assert_eq!(Crashed::new(&fs::read(&path).unwrap(), &[]).messages().await, 100);
}

//! Faults of the file and of the processes around it: each is told clearly, and nothing that was acknowledged is lost.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use chatcore::message::{Message, MessagesPage};
use chatcore::port::{EventBus, Outbox, SessionStore};
use chatcore::session::SessionsPage;
use chatcore::turn::{Began, NewTurn, Target};
use chatcore_sqlite::{OpenError, Sqlite};
use common::{ann, finish, open_with, question, start, talk};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::{TempDir, tempdir};

fn open(path: &Path) -> Result<Sqlite, OpenError> {
    open_with(path, |_| ())
}

/// The messages of a session.
async fn history(store: &Sqlite, target: Target) -> Vec<Message> {
    let Target::Existing(session) = target else { return Vec::new() };
    store.messages(&ann(), &session, &MessagesPage { before: None, limit: 100_000 }).await.unwrap()
}

/// Opens a file that is expected to be refused.
fn refusal(path: &Path) -> OpenError {
    open(path).map(drop).expect_err("it should be refused")
}

/// A file with a few turns in it, closed by everybody.
async fn written(directory: &TempDir) -> std::path::PathBuf {
    let path = directory.path().join("chat.db");
    let store = open(&path).unwrap();
    for number in 0..50 {
        talk(&store, Target::New, &format!("k{number}"), "an answer").await.unwrap();
    }
    path
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let directory = tempdir().unwrap();
    let path = written(&directory).await;
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("run a newer build"), "{error}");
}

#[tokio::test]
async fn a_corrupt_file_is_refused() {
    let directory = tempdir().unwrap();
    let path = written(&directory).await;
    let whole = fs::read(&path).unwrap();
    let (mut scribbled, half) = (whole.clone(), &whole[..whole.len() / 2]);
    scribbled[8192..20_000].fill(0x5a);
    for damaged in [scribbled.as_slice(), half] {
        fs::write(&path, damaged).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
    }
    fs::write(&path, whole).unwrap();
    open(&path).unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    fs::write(&path, "a shopping list ".repeat(1000)).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a shopping list ".repeat(1000));
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("photos.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE photos (name TEXT); PRAGMA user_version = 7").unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    let tables: i64 = other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn an_unwritable_directory_is_refused() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let error = refusal(&directory.path().join("file/data/chat.db"));
    assert!(matches!(error, OpenError::Directory { .. }), "{error:?}");
    assert!(error.to_string().contains("make it by hand"), "{error}");
    // Nobody may make a file there, not even root.
    let error = refusal(Path::new("/proc/chat.db"));
    assert!(matches!(error, OpenError::Unwritable { .. }), "{error:?}");
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::Unwritable { .. }), "{error:?}");
    assert!(error.to_string().contains("check the permissions"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempdir().unwrap();
    let path = directory.path().join("data/chat.db");
    let store = open(&path).unwrap();
    talk(&store, Target::New, "k", "an answer").await.unwrap();
    for file in ["chat.db", "chat.db-wal", "chat.db-shm"] {
        let mode = fs::metadata(path.with_file_name(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let store = open_with(&path, |config| config.max_bytes = Some(2_000_000)).unwrap();
    let kept = talk(&store, Target::New, "kept", "kept").await.unwrap();
    let filling: Vec<_> = (0..16).map(|number| tokio::spawn(fill(store.clone(), number))).collect();
    let mut acknowledged = BTreeMap::new();
    for task in filling {
        acknowledged.extend(task.await.unwrap());
    }
    assert!(acknowledged.len() > 10, "{} turns fit", acknowledged.len());
    let again = open(&path).unwrap();
    for (target, messages) in acknowledged.values() {
        assert_eq!(history(&again, *target).await.len(), *messages);
    }
    // Space is freed: what filled the disk expires.
    tokio::time::sleep(Duration::from_secs(3)).await;
    store.close_orphans(Duration::ZERO, 100).await.unwrap();
    let next = start(&store, &question(Target::Existing(kept.id.session), "next")).await.unwrap();
    finish(&store, &next.turn, &"large ".repeat(5000)).await.unwrap();
    assert_eq!(history(&store, Target::Existing(kept.id.session)).await.len(), 4);
}

/// Talks until the disk is full: the sessions whose messages were acknowledged, and how many.
async fn fill(store: Sqlite, number: usize) -> BTreeMap<String, (Target, usize)> {
    let mut acknowledged = BTreeMap::new();
    for turn in 0.. {
        let key = format!("{number}-{turn}");
        let new = NewTurn { ttl: Duration::from_secs(3), ..question(Target::New, &key) };
        let started = match start(&store, &new).await {
            Ok(started) => started,
            Err(error) => return full(error, acknowledged),
        };
        let target = Target::Existing(started.turn.id.session);
        acknowledged.insert(key.clone(), (target, 1));
        if let Err(error) = finish(&store, &started.turn, &"much ".repeat(2000)).await {
            return full(error, acknowledged);
        }
        acknowledged.insert(key, (target, 2));
    }
    acknowledged
}

fn full<T>(error: chatcore::error::BackendError, acknowledged: T) -> T {
    assert!(error.may_pass() && error.source.to_string().contains("full"), "{:?}", error.source);
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_fails_its_own_calls_alone() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let store = open(&path).unwrap();
    let damaged = talk(&store, Target::New, "damaged", "an answer").await.unwrap().id.session;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("UPDATE sessions SET owner = 'nobody' WHERE id = ?1", [damaged.as_uuid()]).unwrap();
    let call = |number: usize| {
        let (store, fails) = (store.clone(), number % 8 == 3);
        let target = if fails { Target::Existing(damaged) } else { Target::New };
        tokio::spawn(async move { (fails, start(&store, &question(target, &format!("k{number}"))).await) })
    };
    let calls: Vec<_> = (0..64).map(call).collect();
    for call in calls {
        let (fails, started) = call.await.unwrap();
        assert_eq!(started.is_err(), fails, "{started:?}");
        assert!(started.err().is_none_or(|error| !error.may_pass()), "a damaged row stays damaged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_too_long_is_told_and_passes() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let store = open_with(&path, |config| config.call_timeout = Duration::from_millis(200)).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = question(Target::New, "late");
    let error = start(&store, &late).await.unwrap_err();
    assert!(error.may_pass(), "{error:?}");
    other.execute_batch("ROLLBACK").unwrap();
    // The same call again: it may have taken effect meanwhile.
    let mut again = store.begin_turn(&late).await;
    while again.is_err() {
        again = store.begin_turn(&late).await;
    }
    assert!(matches!(again, Ok(Began::Started(_))), "{again:?}");
}

/// A process that writes into the file of its working directory, until it is killed, and lists there what was acknowledged.
fn writer(directory: &Path) -> Child {
    fs::write(directory.join("go"), "").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_other_process", "--ignored", "--test-threads=1"]);
    command.current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "it is the other process of the tests around it, and does nothing by itself"]
async fn the_other_process() {
    if !Path::new("go").exists() {
        return;
    }
    let store = open(Path::new("chat.db")).unwrap();
    let writing: Vec<_> = (0..16).map(|lane| tokio::spawn(write(store.clone(), lane))).collect();
    for task in writing {
        task.await.unwrap();
    }
}

async fn write(store: Sqlite, lane: u32) {
    use std::io::Write;
    let mut list = fs::OpenOptions::new().create(true).append(true).open("acknowledged").unwrap();
    let (mut target, process) = (Target::New, std::process::id());
    for turn in 0..1000 {
        let key = format!("{process}-{lane}-{turn}");
        let ended = talk(&store, target, &key, "an answer").await.unwrap();
        target = Target::Existing(ended.id.session);
        // In one piece, since a kill may come at any moment and others write too.
        list.write_all(format!("{} {key}\n", ended.id.session).as_bytes()).unwrap();
    }
}

/// The lines that were written to the end: the sessions and their keys.
fn acknowledged(directory: &Path) -> BTreeSet<(String, String)> {
    let list = fs::read_to_string(directory.join("acknowledged")).unwrap_or_default();
    let whole = &list[..list.rfind('\n').map_or(0, |end| end + 1)];
    let pair = |line: &str| line.split_once(' ').map(|(session, key)| (session.to_owned(), key.to_owned()));
    whole.lines().filter_map(pair).collect()
}

async fn wait_for(directory: &Path, turns: usize) {
    while acknowledged(directory).len() < turns {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_commit_loses_nothing() {
    let directory = tempdir().unwrap();
    for round in 1..=4 {
        let mut child = writer(directory.path());
        wait_for(directory.path(), round * 150).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = open(&directory.path().join("chat.db")).unwrap();
    let mut sessions = BTreeSet::new();
    for (session, key) in acknowledged(directory.path()) {
        let target = Target::Existing(session.parse().unwrap());
        let replayed = store.begin_turn(&NewTurn { ..question(target, &key) }).await.unwrap();
        assert!(
            matches!(&replayed, Began::Replayed(replayed) if replayed.answer.content == "an answer"),
            "{replayed:?}"
        );
        sessions.insert(session);
    }
    let events = store.claim(100_000, Duration::ZERO).await.unwrap();
    for session in sessions {
        let messages = history(&store, Target::Existing(session.parse().unwrap())).await;
        let told = events.iter().filter(|entry| entry.event.session.to_string() == session);
        assert!(messages.iter().map(|message| message.seq).eq(1..=messages.len() as u64), "{messages:?}");
        assert!(told.map(|entry| entry.event.seq).eq(1..=messages.len() as u64), "a message without its event");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_one_file() {
    let directory = tempdir().unwrap();
    let store = open(&directory.path().join("chat.db")).unwrap();
    let consumer = store.subscribe("log").await.unwrap();
    let mut child = writer(directory.path());
    let ours = tokio::spawn({
        let store = store.clone();
        async move {
            let mut target = Target::New;
            for turn in 0..50 {
                target =
                    Target::Existing(talk(&store, target, &format!("ours{turn}"), "ours").await.unwrap().id.session);
            }
            target
        }
    });
    let mut seen: BTreeMap<_, u64> = BTreeMap::new();
    for _ in 0..300 {
        let delivery = consumer.next().await.unwrap().unwrap();
        let event = delivery.event.unwrap();
        let last = seen.entry(event.session).or_default();
        assert_eq!(event.seq, *last + 1, "an event is missing or out of order");
        *last = event.seq;
        consumer.ack(&delivery.id).await.unwrap();
    }
    assert_eq!(history(&store, ours.await.unwrap()).await.len(), 100);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen.len() > 1, "events of both processes: {seen:?}");
    let sessions = store.sessions(&ann(), &SessionsPage { after: None, limit: 100 }).await.unwrap();
    assert_eq!(sessions.len(), 17, "the sessions of both processes");
}

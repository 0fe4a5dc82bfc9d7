//! The archive: what stands in its files, and that it stands there once.
#![expect(clippy::unwrap_used, reason = "a test may")]

use app_worker::handlers::archive::{Archive, ArchiveConfig, REMEMBERED};
use chatcore::consume::{EventHandler, Unhandled};
use chatcore::event::{Event, EventBody};
use chatcore::id::{SessionId, UserId};
use chatcore::owner::Owner;
use chatcore::port::{Place, Runtime};
use chatcore_ports::tokio::TokioRuntime;
use futures_util::future::{BoxFuture, Either, join_all, select};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// A runtime whose day is set by hand, and where time passes at once.
#[derive(Debug)]
struct Calendar {
    real: TokioRuntime,
    day: Mutex<i64>,
    passed: Mutex<Duration>,
}

impl Calendar {
    fn new(day: i64) -> Arc<Self> {
        Arc::new(Self { real: TokioRuntime::current(), day: Mutex::new(day), passed: Mutex::default() })
    }

    fn turn_to(&self, day: i64) {
        *self.day.lock().unwrap() = day;
    }

    fn pass(&self, time: Duration) {
        *self.passed.lock().unwrap() += time;
    }
}

impl Runtime for Calendar {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(*self.day.lock().unwrap() * 86_400).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.real.elapsed() + *self.passed.lock().unwrap()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.real.sleep(time)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.real.spawn(task);
    }

    fn new_id(&self) -> Uuid {
        self.real.new_id()
    }
}

/// 31 January 1970.
const DAY: i64 = 30;

fn archive(dir: &Path, max_bytes: u64, runtime: Arc<Calendar>) -> Archive {
    Archive::open(ArchiveConfig { dir: dir.to_owned(), max_bytes }, runtime).unwrap()
}

fn event(number: u64) -> Event {
    let (session, owner) = (SessionId::from(Uuid::from_u128(7)), Owner::User(UserId::parse("u").unwrap()));
    let (at, body) = (OffsetDateTime::UNIX_EPOCH, EventBody::SessionDeleted);
    Event { session, owner, seq: number, at, request_id: None, body }
}

/// As the consumer does it: again for as long as it cannot be written.
async fn keep(archive: &Archive, offset: u64) {
    while let Err(unhandled) = archive.handle(&event(offset), &place(offset)).await {
        assert!(matches!(unhandled, Unhandled::Away { .. }), "{unhandled}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn place(offset: u64) -> Place {
    Place { topic: "chat-requests".into(), partition: 2, offset }
}

/// The files with the offsets that stand in them.
fn kept(dir: &Path) -> Vec<(String, Vec<u64>)> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let offset = |line: &str| serde_json::from_str::<Value>(line).unwrap()["offset"].as_u64().unwrap();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap().lines().map(offset).collect())
    };
    files.iter().map(read).collect()
}

/// The offsets of all files.
fn offsets(dir: &Path) -> Vec<u64> {
    kept(dir).into_iter().flat_map(|(_, offsets)| offsets).collect()
}

const FIRST: &str = "chat-requests-2-1970-01-31-1.jsonl";
const NEXT: &str = "chat-requests-2-1970-01-31-2.jsonl";

#[tokio::test]
async fn a_line_holds_the_place_and_the_event() {
    let dir = tempfile::tempdir().unwrap();
    keep(&archive(dir.path(), 1 << 20, Calendar::new(DAY)), 5).await;
    let text = fs::read_to_string(dir.path().join(FIRST)).unwrap();
    let event = event(5).to_json();
    assert_eq!(text, format!("{{\"topic\":\"chat-requests\",\"partition\":2,\"offset\":5,\"event\":{event}}}\n"));
}

#[tokio::test]
async fn a_file_ends_with_its_day_and_at_its_size() {
    let (dir, calendar) = (tempfile::tempdir().unwrap(), Calendar::new(DAY));
    let line =
        1 + format!("{{\"topic\":\"chat-requests\",\"partition\":2,\"offset\":5,\"event\":{}}}", event(5).to_json())
            .len();
    let archive = archive(dir.path(), 2 * line as u64, calendar.clone());
    for offset in 1..=3 {
        keep(&archive, offset).await;
    }
    calendar.turn_to(DAY + 1);
    keep(&archive, 4).await;
    // The clock goes back: no older file is opened again.
    calendar.turn_to(DAY);
    keep(&archive, 5).await;
    let files = [(FIRST, vec![1, 2]), (NEXT, vec![3]), ("chat-requests-2-1970-02-01-1.jsonl", vec![4, 5])];
    assert_eq!(kept(dir.path()), files.map(|(name, offsets)| (name.to_owned(), offsets)));
}

#[tokio::test]
async fn what_stands_there_is_not_written_again_in_whichever_order_it_comes() {
    let (dir, calendar) = (tempfile::tempdir().unwrap(), Calendar::new(DAY));
    let first = archive(dir.path(), 300, calendar.clone());
    for offset in [7, 3, 9, 1, 8] {
        keep(&first, offset).await;
    }
    drop(first);
    let second = archive(dir.path(), 300, calendar);
    for offset in [1, 2, 3, 7, 8, 9, 10] {
        keep(&second, offset).await;
    }
    assert_eq!(offsets(dir.path()), [7, 3, 9, 1, 8, 2, 10]);
    assert!(kept(dir.path()).len() > 2, "over several files");
}

#[tokio::test]
async fn a_log_that_was_made_anew_is_kept_although_its_numbers_begin_again() {
    let (dir, calendar) = (tempfile::tempdir().unwrap(), Calendar::new(DAY));
    keep(&archive(dir.path(), 1 << 20, calendar.clone()), 1).await;
    let archive = archive(dir.path(), 1 << 20, calendar);
    archive.handle(&event(77), &place(1)).await.unwrap();
    assert_eq!(offsets(dir.path()), [1, 1]);
}

#[tokio::test]
async fn a_last_line_that_was_cut_off_is_taken_away_and_its_event_written() {
    let (dir, calendar) = (tempfile::tempdir().unwrap(), Calendar::new(DAY));
    let first = archive(dir.path(), 1 << 20, calendar.clone());
    keep(&first, 1).await;
    keep(&first, 2).await;
    drop(first);
    let path = dir.path().join(FIRST);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 1]).unwrap();
    let second = archive(dir.path(), 1 << 20, calendar);
    for offset in [2, 3] {
        keep(&second, offset).await;
    }
    assert_eq!(offsets(dir.path()), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_share_a_directory_write_each_event_once() {
    let (dir, calendar) = (tempfile::tempdir().unwrap(), Calendar::new(DAY));
    let workers = [0; 3].map(|_| archive(dir.path(), 2000, calendar.clone()));
    for chunk in (1..=60).collect::<Vec<u64>>().chunks(4) {
        // All of them have the same events at once, and none goes on before the others.
        let calls = workers.iter().flat_map(|worker| chunk.iter().map(|offset| keep(worker, *offset)));
        join_all(calls.collect::<Vec<_>>()).await;
    }
    let mut offsets = offsets(dir.path());
    offsets.sort_unstable();
    assert_eq!(offsets, (1..=60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_partition_whose_files_are_read_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let line = |offset: usize| format!("{{\"offset\":{offset},\"event\":{{\"event_id\":\"x\"}}}}\n");
    fs::write(dir.path().join(FIRST), (0..REMEMBERED).map(line).collect::<String>()).unwrap();
    let archive = archive(dir.path(), 1 << 30, Calendar::new(DAY));
    let other = Place { partition: 3, ..place(1) };
    let (event, place) = (event(1), place(1 << 20));
    match select(archive.handle(&event, &place), archive.handle(&event, &other)).await {
        Either::Right((done, first)) => assert_eq!((done, first.await), (Ok(()), Ok(()))),
        Either::Left(_) => panic!("it waited for {REMEMBERED} lines of another"),
    }
}

#[tokio::test]
async fn a_partition_whose_writer_is_frozen_is_taken_over_and_it_finds_out() {
    let (dir, calendar) = (tempfile::tempdir().unwrap(), Calendar::new(DAY));
    let [old, new] = [0; 2].map(|_| archive(dir.path(), 1 << 20, calendar.clone()));
    keep(&old, 1).await;
    // As one that is frozen in the middle of a line.
    let frozen = File::open(dir.path().join(".chat-requests-2.lock")).unwrap();
    frozen.lock().unwrap();
    let mut file = File::options().append(true).open(dir.path().join(FIRST)).unwrap();
    let line =
        format!("{{\"topic\":\"chat-requests\",\"partition\":2,\"offset\":3,\"event\":{}}}\n", event(3).to_json());
    let (begun, rest) = line.split_at(40);
    file.write_all(begun.as_bytes()).unwrap();

    let waits = async {
        // Another partition goes on at once.
        new.handle(&event(2), &Place { partition: 3, ..place(2) }).await.unwrap();
        calendar.pass(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!dir.path().join(NEXT).exists(), "its writer may go on yet");
        calendar.pass(Duration::from_secs(4));
    };
    let taken_over = futures_util::future::join(keep(&new, 2), waits);
    tokio::time::timeout(Duration::from_secs(20), taken_over).await.expect("it waits for the frozen one for ever");
    assert_eq!(fs::read_to_string(dir.path().join(FIRST)).unwrap().lines().last(), Some(begun), "it is left as it is");

    // It goes on and ends its write; then it is aside, and finds what the other wrote.
    file.write_all(rest.as_bytes()).unwrap();
    drop(frozen);
    for offset in [1, 2, 3, 4] {
        keep(&old, offset).await;
    }
    keep(&new, 5).await;
    let files = [(FIRST, vec![1, 3]), (NEXT, vec![2, 4, 5]), ("chat-requests-3-1970-01-31-1.jsonl", vec![2])];
    assert_eq!(kept(dir.path()), files.map(|(name, offsets)| (name.to_owned(), offsets)));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_no_fault_of_the_event() {
    let (root, calendar) = (tempfile::tempdir().unwrap(), Calendar::new(DAY));
    let (dir, away) = (root.path().join("archive"), root.path().join("away"));
    let archive = archive(&dir, 1 << 20, calendar);
    keep(&archive, 1).await;
    fs::rename(&dir, &away).unwrap();
    let refused = archive.handle(&event(2), &place(2)).await;
    assert!(matches!(refused, Err(Unhandled::Away { .. })), "{refused:?}");
    fs::rename(&away, &dir).unwrap();
    keep(&archive, 2).await;
    assert_eq!(offsets(&dir), [1, 2]);
}

#[tokio::test]
async fn a_topic_that_leads_elsewhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place { topic: "../x".into(), partition: 0, offset: 1 };
    let archive = archive(dir.path(), 1 << 20, Calendar::new(DAY));
    assert!(matches!(archive.handle(&event(1), &place).await, Err(Unhandled::Refused(_))));
}

//! What health checks see: a file that is gone, replaced, overwritten or cannot be written, and no more writes than needed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::port::{Probe, Runtime};
use chatcore::turn::Target;
use chatcore_ports::tokio::TokioRuntime;
use chatcore_sqlite::Sqlite;
use common::{open_with, talk};
use rusqlite::Connection;
use std::fs;
use std::path::PathBuf;
use tempfile::{TempDir, tempdir};

/// A store that is healthy, and has something in its file.
async fn healthy() -> (TempDir, PathBuf, Sqlite) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let store = open_with(&path, |_| ()).unwrap();
    talk(&store, Target::New, "k", "an answer").await.unwrap();
    store.check().await.unwrap();
    (directory, path, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_moved_away_or_replaced_is_told() {
    for suffix in ["db", "db-wal", "db-shm"] {
        let (_directory, path, store) = healthy().await;
        let (file, away) = (path.with_extension(suffix), path.with_extension("away"));
        fs::rename(&file, &away).unwrap();
        let error = store.check().await.unwrap_err();
        assert!(error.source.to_string().contains("moved, deleted or replaced"), "{suffix}: {error:?}");
        assert!(!error.may_pass() && !file.exists(), "{suffix}: nothing is made in its place");
        fs::copy(&away, &file).unwrap();
        assert!(store.check().await.is_err(), "{suffix}: a copy is another file");
        fs::rename(&away, &file).unwrap();
        store.check().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_overwritten_is_told() {
    for cut in [false, true] {
        let (_directory, path, store) = healthy().await;
        let length = fs::metadata(&path).unwrap().len();
        let opened = fs::OpenOptions::new().write(true).truncate(cut).open(&path).unwrap();
        std::io::Write::write_all(&mut &opened, &vec![0x5a; if cut { 0 } else { usize::try_from(length).unwrap() }])
            .unwrap();
        let mut seen = store.check().await;
        // What was written lately is in the log, and still whole there.
        for _ in 0..50 {
            if seen.is_err() {
                break;
            }
            seen = store.check().await;
        }
        // Damage, or a read that came to the end too soon: which of them depends on what was moved into the file meanwhile.
        assert!(seen.is_err(), "cut: {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_is_told_within_a_second_and_passes() {
    let (_directory, path, store) = healthy().await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.check().await.unwrap_err();
    assert!(error.may_pass(), "{error:?}");
    other.execute_batch("ROLLBACK").unwrap();
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_few_look() {
    let (_directory, path, store) = healthy().await;
    let file = Connection::open(&path).unwrap();
    let written = || file.query_row("SELECT synced FROM log", [], |row| row.get::<_, i64>(0)).unwrap();
    let (before, start) = (written(), TokioRuntime::current());
    let ask = |store: Sqlite| async move {
        for _ in 0..3 {
            store.check().await.unwrap();
        }
    };
    let asking: Vec<_> = (0..300).map(|_| tokio::spawn(ask(store.clone()))).collect();
    for asking in asking {
        asking.await.unwrap();
    }
    let (written, took) = (written() - before, start.elapsed());
    assert!((3..=1 + i64::try_from(took.as_millis()).unwrap() / 200).contains(&written), "{written} in {took:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_behind_a_link_is_as_good() {
    let directory = tempdir().unwrap();
    let (real, link) = (directory.path().join("real.db"), directory.path().join("link.db"));
    std::os::unix::fs::symlink(&real, &link).unwrap();
    fs::write(&real, "").unwrap();
    let store = open_with(&link, |_| ()).unwrap();
    talk(&store, Target::New, "k", "an answer").await.unwrap();
    store.check().await.unwrap();
}

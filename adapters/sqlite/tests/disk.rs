//! Disks that are really full, really read-only, or limit the size of a file: each test runs its second half in a process of
//! its own, to which such a disk is given.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says what it skips")]

mod common;

use chatcore::error::BackendError;
use chatcore::message::MessagesPage;
use chatcore::port::{Probe, SessionStore};
use chatcore::turn::{Target, Turn};
use chatcore_sqlite::{OpenError, Sqlite};
use common::{ann, finish, open_with, question, start, talk};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use tempfile::tempdir;

/// Ways to a place where one may mount: as root, as anybody, and with a right that is asked for.
const WAYS: [&[&str]; 3] = [
    &["unshare", "--mount"],
    &["unshare", "--user", "--map-root-user", "--mount"],
    &["sudo", "--non-interactive", "unshare", "--mount"],
];

/// Runs `script` with the directory as `$1` and this test program as `$2`; whether it succeeded.
fn run(way: &[&str], script: &str, directory: &Path) -> bool {
    let words = way.iter().copied().chain(["sh", "-ec", script, "sh"]).collect::<Vec<_>>();
    let program = std::env::current_exe().unwrap();
    let run = Command::new(words[0]).args(&words[1..]).arg(directory).arg(program).status();
    run.is_ok_and(|status| status.success())
}

/// Runs a test of this file inside a file system of two megabytes.
fn run_on_small_disk(test: &str) {
    let directory = tempdir().unwrap();
    let mount = r#"mount -t tmpfs -o size=2m none "$1""#;
    let Some(way) = WAYS.iter().find(|way| run(way, mount, directory.path())) else {
        // As in most containers. The other tests of this file need no such right.
        return eprintln!("not run: no right to mount a small file system");
    };
    let script = format!(r#"{mount}; cd "$1"; touch given; "$2" --exact {test} --ignored --nocapture"#);
    assert!(run(way, &script, directory.path()), "{test} failed, see above");
}

/// Whether this process was started by [`run`].
fn is_given() -> bool {
    Path::new("given").exists()
}

fn open() -> Result<Sqlite, OpenError> {
    open_with(Path::new("chat.db"), |_| ())
}

/// Talks until the disk says no: the turns that were acknowledged, and what it said.
async fn talk_until_refused(store: &Sqlite, name: &str, text: &str) -> (Vec<Turn>, BackendError) {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        match talk(store, Target::New, &format!("{name}{number}"), text).await {
            Ok(turn) => acknowledged.push(turn),
            Err(error) => return (acknowledged, error),
        }
    }
    unreachable!("there is always a next number")
}

async fn assert_kept(store: &Sqlite, turns: &[Turn]) {
    for turn in turns {
        let page = MessagesPage { before: None, limit: 100 };
        let messages = store.messages(&ann(), &turn.id.session, &page).await.unwrap();
        assert_eq!(messages.len(), 2, "{turn:?}");
    }
}

#[test]
fn a_disk_that_is_full_loses_nothing() {
    run_on_small_disk("on_a_full_disk");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the second half of the test before it"]
async fn on_a_full_disk() {
    if !is_given() {
        return;
    }
    fs::write("room", [0; 500_000]).unwrap();
    let store = open().unwrap();
    let (mut acknowledged, error) = talk_until_refused(&store, "large", &"much ".repeat(2000)).await;
    assert!(error.may_pass() && error.source.to_string().contains("full"), "{:?}", error.source);
    // Not a page is left.
    let mut rest = fs::OpenOptions::new().create(true).append(true).open("rest").unwrap();
    while rest.write(&[0; 4096]).is_ok() {}
    let late = question(Target::New, "late");
    assert!(start(&store, &late).await.unwrap_err().may_pass());
    assert!(store.check().await.unwrap_err().may_pass(), "health tells of it");
    assert_kept(&store, &acknowledged).await;
    assert_kept(&open().unwrap(), &acknowledged).await;
    let new = open_with(Path::new("new.db"), |_| ()).map(drop);
    assert!(matches!(new, Err(OpenError::Full { .. } | OpenError::Unwritable { .. })), "{new:?}");
    // The same call succeeds once there is room.
    fs::remove_file("room").unwrap();
    acknowledged.push(start(&store, &late).await.unwrap().turn);
    finish(&store, acknowledged.last().unwrap(), "an answer").await.unwrap();
    store.check().await.unwrap();
    drop(store);
    assert_kept(&open().unwrap(), &acknowledged).await;
}

#[test]
fn a_read_only_disk_is_refused_and_left_alone() {
    run_on_small_disk("on_a_read_only_disk");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the second half of the test before it"]
async fn on_a_read_only_disk() {
    if !is_given() {
        return;
    }
    let turn = talk(&open().unwrap(), Target::New, "k", "an answer").await.unwrap();
    let remount = |how: &str| {
        let here = std::env::current_dir().unwrap();
        assert!(Command::new("mount").args(["-o", how]).arg(here).status().unwrap().success());
    };
    remount("remount,ro");
    for path in ["chat.db", "new.db", "new/chat.db"] {
        let error = open_with(Path::new(path), |_| ()).map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Unwritable { .. } | OpenError::Directory { .. }), "{path}: {error:?}");
    }
    remount("remount,rw");
    assert_kept(&open().unwrap(), &[turn]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_the_size_of_files_loses_nothing() {
    let directory = tempdir().unwrap();
    // The signal that would end the process is ignored: what is left is an error of writing.
    let script = r#"trap "" 25; cd "$1"; touch given; ulimit -f 4000; "$2" --exact with_limited_files --ignored"#;
    assert!(run(&["env"], script, directory.path()), "with_limited_files failed, see above");
    let acknowledged = fs::read_to_string(directory.path().join("acknowledged")).unwrap();
    let store = open_with(&directory.path().join("chat.db"), |_| ()).unwrap();
    assert!(acknowledged.lines().count() > 10, "{acknowledged}");
    for session in acknowledged.lines() {
        let page = MessagesPage { before: None, limit: 100 };
        assert_eq!(store.messages(&ann(), &session.parse().unwrap(), &page).await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the second half of the test before it"]
async fn with_limited_files() {
    if !is_given() {
        return;
    }
    let store = open().unwrap();
    let (acknowledged, error) = talk_until_refused(&store, "large", &"much ".repeat(2000)).await;
    assert!(error.may_pass() && error.source.to_string().contains("I/O error"), "{:?}", error.source);
    assert_kept(&store, &acknowledged).await;
    let sessions: Vec<_> = acknowledged.iter().map(|turn| turn.id.session.to_string()).collect();
    fs::write("acknowledged", sessions.join("\n")).unwrap();
}

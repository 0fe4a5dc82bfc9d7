//! What has expired goes, with all that belonged to it, a bounded piece at a time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::policy::Quota;
use chatcore::port::{SessionStore, Throttle};
use chatcore::turn::{NewTurn, Piece, Target};
use common::{ann, finish, open_with, question, start, talk};
use std::path::Path;
use std::time::Duration;
use tempfile::tempdir;

const BRIEF: Duration = Duration::from_millis(300);

fn brief(target: Target, key: &str) -> NewTurn {
    NewTurn { ttl: BRIEF, quota: Some(Quota { limit: 10_000, window: BRIEF }), ..question(target, key) }
}

/// How many rows there are in the tables of sessions.
fn rows(path: &Path) -> Vec<(&'static str, i64)> {
    let file = rusqlite::Connection::open(path).unwrap();
    let count = |table| file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    let tables = ["sessions", "owners", "messages", "turns", "live", "takes", "trash"];
    tables.into_iter().map(|table| (table, count(table))).filter(|(_, rows)| *rows > 0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_leaves_nothing_behind() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let store = open_with(&path, |_| ()).unwrap();
    let open = start(&store, &brief(Target::New, "open")).await.unwrap().turn;
    let piece = Piece { offset: 0, text: "live text".into() };
    store.extend_turn(&open, &piece, Duration::from_secs(60)).await.unwrap();
    let deleted = start(&store, &brief(Target::New, "deleted")).await.unwrap().turn;
    store.extend_turn(&deleted, &piece, Duration::from_secs(60)).await.unwrap();
    store.delete(&ann(), &deleted.id.session, None).await.unwrap();
    let long = start(&store, &brief(Target::New, "long")).await.unwrap().turn;
    finish(&store, &long, "an answer").await.unwrap();
    store.take("somebody", &Quota { limit: 1, window: BRIEF }).await.unwrap();
    tokio::time::sleep(BRIEF + Duration::from_millis(20)).await;
    assert_eq!(store.close_orphans(Duration::ZERO, 100).await.unwrap().closed, 0, "an expired turn is not closed");
    assert_eq!(rows(&path), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_goes_in_pieces() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let store = open_with(&path, |_| ()).unwrap();
    let turn = talk(&store, Target::New, "k", "an answer").await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    let many = "INSERT INTO messages (place, session, turn, content, status, at)
        WITH RECURSIVE n(n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
        SELECT m.place - 1 + n, m.session, m.turn, m.content, m.status, m.at FROM n, messages m WHERE m.key = 'k'";
    file.execute(many, []).unwrap();
    let kept = start(&store, &question(Target::New, "kept")).await.unwrap().turn;
    store.delete(&ann(), &turn.id.session, None).await.unwrap();
    for left in [3001, 1001, 1, 1] {
        store.close_orphans(Duration::ZERO, 100).await.unwrap();
        let messages: i64 = file.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
        assert_eq!(messages, left);
    }
    finish(&store, &kept, "the other session's messages are left alone").await.unwrap();
}

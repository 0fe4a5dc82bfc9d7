//! The log within its limits: what it drops, and what its readers make of that.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../redis/tests/common/warnings.rs"]
mod warnings;

use chatcore::policy::{OutboxFull, StoreLimits};
use chatcore::port::{Acked, DeadLetters, DeadLettersPage, EntryId, EventBus, Outbox, Settled, Subscription};
use chatcore::turn::Target;
use chatcore_sqlite::Sqlite;
use common::{open_with, talk};
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;
use tempfile::{TempDir, tempdir};
use tokio::time::timeout;
use warnings::warnings;

/// A log of ten events.
fn ten(directory: &TempDir) -> Sqlite {
    let mut limits = StoreLimits::default();
    limits.outbox_events = 10;
    open_with(&directory.path().join("chat.db"), |config| config.limits = limits).unwrap()
}

/// So many turns, each in a session of its own: two events each.
async fn turns(store: &Sqlite, name: &str, count: usize) {
    for number in 0..count {
        talk(store, Target::New, &format!("{name}{number}"), "an answer").await.unwrap();
    }
}

async fn work_off(member: &Arc<dyn Subscription>, events: u64) {
    for _ in 0..events {
        let delivery = member.next().await.unwrap().unwrap();
        assert_eq!(member.ack(&delivery.id).await.unwrap(), Acked::Done);
    }
}

/// Waits until all is told that a group missed, if anything is.
async fn told(group: &str, all: u64) {
    let start = format!("message=events were dropped before they were read group={group:?} dropped=");
    let count = |warning: String| warning.strip_prefix(&start)?.trim().parse::<u64>().ok();
    let sum = || warnings().into_iter().filter_map(count).sum::<u64>();
    let soon = async {
        while sum() < all {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(Duration::from_secs(20), soon).await.is_ok(), "{group}: {:?}", warnings());
    // What comes now would be too much.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sum(), all, "{group}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_drops_the_oldest_and_tells_the_groups_that_missed_them() {
    warnings();
    let directory = tempdir().unwrap();
    let store = ten(&directory);
    let [late, early, quick] = ["late", "early", "quick"].map(|group| store.subscribe(group));
    let (late, early, quick) = (late.await.unwrap(), early.await.unwrap(), quick.await.unwrap());
    turns(&store, "a", 4).await;
    work_off(&early, 4).await;
    work_off(&quick, 8).await;
    turns(&store, "b", 5).await;
    work_off(&quick, 10).await;
    turns(&store, "c", 5).await;
    assert_eq!((store.dropped().await.unwrap(), late.lag().await.unwrap(), early.lag().await.unwrap()), (18, 10, 10));
    // Who comes when they are gone has missed nothing.
    let new = store.subscribe("new").await.unwrap();
    for member in [late, early, quick, new] {
        for left in (0..10).rev() {
            work_off(&member, 1).await;
            assert_eq!(member.lag().await.unwrap(), left);
        }
        member.close().await.unwrap();
    }
    for (group, missed) in [("late", 18), ("early", 14), ("quick", 0), ("new", 0)] {
        told(group, missed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_dropped_holds_up_nobody() {
    let directory = tempdir().unwrap();
    warnings();
    let store = ten(&directory);
    let consumer = store.subscribe("slow").await.unwrap();
    turns(&store, "old", 2).await;
    let held = [consumer.next().await.unwrap().unwrap(), consumer.next().await.unwrap().unwrap()];
    // The answers of both sessions wait behind their questions; all four are dropped.
    turns(&store, "new", 5).await;
    assert_eq!(consumer.lag().await.unwrap(), 10);
    assert_eq!(consumer.ack(&held[0].id).await.unwrap(), Acked::Done);
    assert_eq!(consumer.park(&held[1].id, "too late", 1).await.unwrap(), Acked::Done);
    for _ in 0..10 {
        let delivery = consumer.next().await.unwrap().unwrap();
        assert!(held.iter().all(|held| held.key != delivery.key), "{delivery:?}");
        consumer.ack(&delivery.id).await.unwrap();
    }
    assert_eq!(consumer.lag().await.unwrap(), 0);
    let letters = store.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
    assert_eq!(letters, [], "there is nothing left to park");
    // Those that were in hand were worked off.
    told("slow", 2).await;
}

/// The names of what is claimed.
async fn claimed(store: &Sqlite) -> Vec<EntryId> {
    store.claim(100, Duration::ZERO).await.unwrap().into_iter().map(|entry| entry.id).collect()
}

async fn settle(store: &Sqlite, ids: &[EntryId]) {
    let entries: Vec<_> = ids.iter().map(|id| (id.clone(), Settled::Published)).collect();
    store.settle(&entries).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_trimmed_and_uses_no_number_twice() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let refuse = |config: &mut chatcore_sqlite::SqliteConfig| config.limits.outbox_full = OutboxFull::Refuse;
    warnings();
    let store = open_with(&path, refuse).unwrap();
    let early = store.subscribe("early of a queue").await.unwrap();
    let file = Connection::open(&path).unwrap();
    let mut before: Vec<EntryId> = Vec::new();
    for round in 0..5 {
        turns(&store, &format!("round{round}-"), 3).await;
        let ids = claimed(&store).await;
        assert!(ids.len() == 6 && ids.iter().all(|id| !before.contains(id)), "{ids:?} after {before:?}");
        // The newest first, and what was settled before once more.
        settle(&store, &ids[3..]).await;
        assert_eq!((store.backlog().await.unwrap().events, claimed(&store).await), (3, ids[..3].to_vec()));
        settle(&store, &[&before, &ids[..3]].concat()).await;
        assert_eq!(store.backlog().await.unwrap().events, 0);
        let kept: i64 = file.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        assert_eq!((kept, store.dropped().await.unwrap()), (1, 0), "only the newest number is kept");
        before.extend(ids);
    }
    // It was published, and not dropped.
    work_off(&early, 1).await;
    early.close().await.unwrap();
    told("early of a queue", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_is_what_is_not_settled_whatever_was_dropped() {
    let directory = tempdir().unwrap();
    let store = ten(&directory);
    let file = Connection::open(directory.path().join("chat.db")).unwrap();
    for round in 1..40 {
        turns(&store, &format!("round{round}-"), 1 + round % 4).await;
        let ids = claimed(&store).await;
        let some: Vec<_> = ids.into_iter().enumerate().filter(|(place, _)| (place * 7 + round) % 3 == 0).collect();
        settle(&store, &some.into_iter().map(|(_, id)| id).collect::<Vec<_>>()).await;
        let counts = "SELECT count(*) FILTER (WHERE settled = 0), min(no) - 1 FROM events";
        let counts: (u32, u32) = file.query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let told = (store.backlog().await.unwrap().events, store.dropped().await.unwrap());
        assert_eq!(told, (counts.0.into(), counts.1.into()), "round {round}");
    }
}

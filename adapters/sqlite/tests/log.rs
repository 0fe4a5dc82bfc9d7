//! The log within its limits: what it drops, and what its readers make of that.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::policy::StoreLimits;
use chatcore::port::{Acked, DeadLetters, DeadLettersPage, EventBus};
use chatcore::turn::Target;
use chatcore_sqlite::Sqlite;
use common::{open_with, talk};
use tempfile::{TempDir, tempdir};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_drops_the_oldest_and_counts_them() {
    let directory = tempdir().unwrap();
    let store = ten(&directory);
    let consumer = store.subscribe("late").await.unwrap();
    turns(&store, "k", 15).await;
    assert_eq!((store.dropped().await.unwrap(), consumer.lag().await.unwrap()), (20, 10));
    for left in (0..10).rev() {
        let delivery = consumer.next().await.unwrap().unwrap();
        assert_eq!(consumer.ack(&delivery.id).await.unwrap(), Acked::Done);
        assert_eq!(consumer.lag().await.unwrap(), left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_dropped_holds_up_nobody() {
    let directory = tempdir().unwrap();
    let store = ten(&directory);
    let consumer = store.subscribe("slow").await.unwrap();
    turns(&store, "old", 2).await;
    let held = [consumer.next().await.unwrap().unwrap(), consumer.next().await.unwrap().unwrap()];
    // The answers of both sessions wait behind their questions; all four are dropped.
    turns(&store, "new", 5).await;
    assert_eq!(consumer.lag().await.unwrap(), 10);
    assert_eq!(consumer.ack(&held[0].id).await.unwrap(), Acked::Done);
    assert_eq!(consumer.park(&held[1].id, "too late").await.unwrap(), Acked::Done);
    for _ in 0..10 {
        let delivery = consumer.next().await.unwrap().unwrap();
        assert!(held.iter().all(|held| held.key != delivery.key), "{delivery:?}");
        consumer.ack(&delivery.id).await.unwrap();
    }
    assert_eq!(consumer.lag().await.unwrap(), 0);
    let letters = store.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
    assert_eq!(letters, [], "there is nothing left to park");
}

//! What happens to a log, or to a member, that its reader cannot expect: nothing is lost without a word.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::event::Event;
use chatcore::port::EventBus;
use common::{Broker, broker, new_session, next, open, publish, question, take};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// Until it is gone: what a broker takes before that is gone with it.
async fn delete(broker: &Broker, topic: &str) {
    broker.tool(&["topics", "--delete", "--topic", topic]).await;
    while broker.tool(&["topics", "--list"]).await.lines().any(|line| line == topic) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_deleted_is_made_again_and_read_on() {
    let Some(broker) = broker().await else { return };
    let (mut config, session) = (common::config(broker), new_session());
    config.partitions = 1;
    let bus = open(config.clone());
    let member = bus.subscribe("group").await.unwrap();
    // Each time there are fewer than the member has read: its place is behind the end of the new topic.
    let mut seq = 0;
    for count in [7, 5, 3, 1] {
        let events: Vec<Event> = (1..=count).map(|next| question(session, seq + next, "?")).collect();
        publish(&bus, &events).await;
        let wanted = seq + count;
        while seq < wanted {
            let came = take(&member).await.seq;
            assert!(came <= seq + 1, "{came} came after {seq}");
            seq = seq.max(came);
        }
        delete(broker, &config.topics.requests).await;
    }
    publish(&bus, &[question(session, seq + 1, "?")]).await;
    let other = bus.subscribe("other").await.unwrap();
    assert_eq!(take(&other).await.seq, seq + 1, "it begins with the new topic");
    member.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_with_more_in_it_is_read_from_its_start() {
    let Some(broker) = broker().await else { return };
    let (mut config, session) = (common::config(broker), new_session());
    config.partitions = 1;
    let (bus, topic) = (open(config.clone()), &*config.topics.requests);
    let member = bus.subscribe("group").await.unwrap();
    let of = |seqs: std::ops::RangeInclusive<u64>| seqs.map(|seq| question(session, seq, "?")).collect::<Vec<_>>();
    publish(&bus, &of(1..=3)).await;
    for seq in 1..=3 {
        assert_eq!(take(&member).await.seq, seq);
    }
    // It must not see the new topic while there is less in it.
    let acls = async |args: &[&str]| broker.tool(&[&["acls", "--topic", topic], args].concat()).await;
    acls(&["--add", "--allow-principal", "User:*", "--operation", "All"]).await;
    acls(&["--add", "--deny-principal", "User:*", "--operation", "Read"]).await;
    delete(broker, topic).await;
    publish(&bus, &of(4..=10)).await;
    acls(&["--remove", "--force"]).await;
    let mut seen = BTreeSet::new();
    let read = async {
        while seen.len() < 7 {
            seen.insert(take(&member).await.seq);
        }
    };
    assert!(timeout(Duration::from_secs(30), read).await.is_ok(), "of the new topic these were read: {seen:?}");
    member.close().await.unwrap();
}

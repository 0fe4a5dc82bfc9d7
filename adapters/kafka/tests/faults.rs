//! What happens to a log, or to a member, that its reader cannot expect: nothing is lost without a word.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../redis/tests/common/warnings.rs"]
mod warnings;

use chatcore::event::{Event, EventBody, Malformed};
use chatcore::port::{
    Acked, DeadLetter, DeadLetters, DeadLettersPage, Delivery, EventBus, Replay, Runtime, Subscription,
};
use chatcore_kafka::Kafka;
use chatcore_ports::tokio::TokioRuntime;
use common::{
    Broker, OF_COMMITS, broker, lose, lose_no_more, new_session, next, open, open_line, publish, question, take,
};
use futures_util::future::BoxFuture;
use krafka::__private::util::crc32c;
use krafka::admin::DeleteRecordsOptions;
use krafka::consumer::TopicPartition;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;
use warnings::warnings;

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_fail_are_told_until_they_succeed() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    let group = format!("{}group", config.group_prefix);
    open_line(broker);
    config.bootstrap_servers = vec![format!("127.0.0.1:{}", broker.line())];
    (config.call_timeout, config.session_timeout) = (Duration::from_secs(1), Duration::from_secs(60));
    let bus = open(config);
    let member = bus.subscribe("group").await.unwrap();
    publish(&bus, &[question(new_session(), 1, "?")]).await;
    let held = next(&member).await;
    // All else of the group arrives, its heartbeats too.
    lose(OF_COMMITS, &group);
    assert_eq!(member.ack(&held.id).await.unwrap(), Acked::Done);
    for _ in 0..2 {
        let told = timeout(Duration::from_secs(30), member.next()).await.expect("who waits is told, and again");
        let told = told.expect_err("nothing else is there");
        assert!(told.may_pass() && told.source.to_string().starts_with("a commit failed: "), "{told:?}");
    }
    lose_no_more(&group);
    // Longer than it takes to be told again.
    let quiet = async { while timeout(Duration::from_secs(5), member.next()).await.is_ok() {} };
    timeout(Duration::from_secs(20), quiet).await.expect("nobody is told any more");
    member.close().await.unwrap();
}

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
            // That it might not read may be told a moment after it may.
            let Ok(delivery) = member.next().await else { continue };
            let delivery = delivery.unwrap();
            assert_eq!(member.ack(&delivery.id).await.unwrap(), Acked::Done);
            seen.insert(delivery.event.unwrap().seq);
        }
    };
    assert!(timeout(Duration::from_secs(30), read).await.is_ok(), "of the new topic these were read: {seen:?}");
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_read_is_a_dead_letter_and_its_partition_goes_on() {
    let Some(broker) = broker().await else { return };
    let (mut config, session) = (common::config(broker), new_session());
    config.partitions = 1;
    let (bus, topic) = (open(config.clone()), &*config.topics.requests);
    let of = |seq: u64, text: &str| question(session, seq, text);
    publish(&bus, &[of(1, "?")]).await;
    publish(&bus, &[of(2, "first"), of(3, "damaged")]).await;
    publish(&bus, &[of(4, "second"), of(5, "?")]).await;
    publish(&bus, &[of(6, "?")]).await;
    damage(broker, topic);
    let member = bus.subscribe("group").await.unwrap();
    let (mut read, mut unreadable) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let delivery = next(&member).await;
        match delivery.event {
            Ok(event) => {
                read.push(event.seq);
                assert_eq!(member.ack(&delivery.id).await.unwrap(), Acked::Done);
            }
            Err(Malformed::Other(why)) => {
                assert_eq!(member.park(&delivery.id, &why, 1).await.unwrap(), Acked::Done);
                unreadable.push((delivery.place.offset, why));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(read, [1, 6]);
    let letters = letters(&bus).await;
    assert_eq!((letters.len(), unreadable.len()), (2, 2));
    for ((letter, (offset, why)), (first, last)) in letters.iter().zip(unreadable).zip([(1, 2), (3, 4)]) {
        assert_eq!((offset, &*letter.raw), (last, &b""[..]));
        assert!(why.starts_with(&format!("the batch from offset {first} to {last} cannot be read: ")), "{why}");
        assert_eq!(letter.reason, format!("{why}; see {topic} 0 {last}"));
        let stays = bus.replay(&letter.id).await.unwrap_err();
        assert!(!stays.may_pass(), "there is nothing in it to give back: {stays:?}");
        assert_eq!(stays.source.to_string(), format!("it cannot be given back: see {topic} 0 {last}"));
    }
    member.close().await.unwrap();
    // All of it is committed.
    publish(&bus, &[of(7, "?")]).await;
    let other = bus.subscribe("group").await.unwrap();
    assert_eq!(take(&other).await.seq, 7);
    other.close().await.unwrap();
}

/// Puts a record aside, and leaves the group. Answers its letter.
async fn park(bus: &Kafka, member: Arc<dyn Subscription>, held: &Delivery) -> DeadLetter {
    assert_eq!(member.park(&held.id, "a test", 1).await.unwrap(), Acked::Done);
    member.close().await.unwrap();
    letters(bus).await.remove(0)
}

async fn letters(bus: &Kafka) -> Vec<DeadLetter> {
    bus.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_topic_that_was_renamed_goes_back_to_nobody_unless_it_is_taken_over() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    let (bus, old) = (open(config.clone()), config.topics.sessions.clone());
    let member = bus.subscribe("group").await.unwrap();
    let deletion = Event { body: EventBody::SessionDeleted, ..question(new_session(), 1, "") };
    publish(&bus, std::slice::from_ref(&deletion)).await;
    let held = next(&member).await;
    let letter = park(&bus, member, &held).await;
    config.topics.sessions = format!("{old}-renamed");
    let bus = open(config);
    let member = bus.subscribe("group").await.unwrap();
    let refused = bus.clone().replaying_of("group").replay(&letter.id).await.expect_err("nobody reads there");
    assert!(!refused.may_pass() && refused.source.to_string().contains(&old), "{refused:?}");
    assert_eq!(letters(&bus).await, std::slice::from_ref(&letter), "it stays one");
    assert_eq!(bus.replaying_to("group").replay(&letter.id).await.unwrap(), Replay::Queued);
    assert_eq!(take(&member).await, deletion);
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_partition_is_gone_goes_where_its_key_goes_now() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    let bus = open(config.clone());
    let member = bus.subscribe("group").await.unwrap();
    publish(&bus, &[(); 30].map(|()| question(new_session(), 1, "?"))).await;
    let mut held = next(&member).await;
    while held.place.partition == 0 {
        assert_eq!(member.ack(&held.id).await.unwrap(), Acked::Done);
        held = next(&member).await;
    }
    let letter = park(&bus, member, &held).await;
    delete(broker, &config.topics.requests).await;
    config.partitions = 1;
    let bus = open(config);
    let member = bus.subscribe("group").await.unwrap();
    assert_eq!(bus.replay(&letter.id).await.unwrap(), Replay::Queued);
    assert_eq!(take(&member).await, held.event.unwrap());
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_before_it_was_read_is_told() {
    warnings();
    let Some(broker) = broker().await else { return };
    let (mut config, session) = (common::config(broker), new_session());
    config.partitions = 1;
    let (bus, topic) = (open(config.clone()), &config.topics.requests);
    publish(&bus, &[1, 2, 3, 4, 5].map(|seq| question(session, seq, "?"))).await;
    let member = bus.subscribe("group").await.unwrap();
    assert_eq!(take(&member).await.seq, 1);
    member.close().await.unwrap();
    let kafka = krafka::Kafka::builder(format!("127.0.0.1:{}", broker.port)).connect().await.unwrap();
    let before = [(TopicPartition::new(topic, 0), 4)];
    _ = kafka.admin().delete_records(before, DeleteRecordsOptions::default()).await.unwrap();
    let member = bus.subscribe("group").await.unwrap();
    assert_eq!(take(&member).await.seq, 5);
    let told = format!(r#"group="group" topic="{topic}" partition=0 gone=3 "#);
    let all = warnings();
    assert!(all.iter().any(|warning| warning.contains(&told)), "{told}: {all:#?}");
    member.close().await.unwrap();
}

/// The second batch of the log does not fit its checksum any more. The third does, and says that it is compressed.
fn damage(broker: &Broker, topic: &str) {
    let path = broker.dir.join(format!("data/{topic}-0/00000000000000000000.log"));
    let mut log = fs::read(&path).unwrap();
    let mut starts = vec![0];
    while let Some(length) = log.get(starts[starts.len() - 1] + 8..).and_then(|rest| rest.first_chunk()) {
        starts.push(starts[starts.len() - 1] + 12 + u32::from_be_bytes(*length) as usize);
    }
    let (second, third) = (starts[1], starts[2]);
    log[third - 1] ^= 1;
    let batch = &mut log[third..starts[3]];
    batch[22] |= 1;
    let checksum = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    assert!(second < third && starts.len() == 5, "four batches: {starts:?}");
    // In its place, since the broker has it open.
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, &log).unwrap();
}

/// Once it is armed, whoever is to sleep for this long falls over.
#[derive(Debug)]
struct Trap {
    real: TokioRuntime,
    time: Duration,
    armed: AtomicBool,
}

impl Runtime for Trap {
    fn now(&self) -> OffsetDateTime {
        self.real.now()
    }

    fn elapsed(&self) -> Duration {
        self.real.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        assert!(time != self.time || !self.armed.load(Ordering::Relaxed), "it falls over");
        self.real.sleep(time)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.real.spawn(task);
    }

    fn new_id(&self) -> Uuid {
        self.real.new_id()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_ends_when_one_of_its_tasks_falls_over() {
    let Some(broker) = broker().await else { return };
    // Before a commit, and between two looks around.
    for time in [Duration::from_millis(20), Duration::from_secs(1)] {
        let trap = Arc::new(Trap { real: TokioRuntime::current(), time, armed: AtomicBool::new(false) });
        let bus = Kafka::open(common::config(broker), trap.clone()).unwrap();
        let member = bus.subscribe("group").await.unwrap();
        let events = [1, 2].map(|seq| question(new_session(), seq, "?"));
        publish(&bus, &events[..1]).await;
        let held = next(&member).await;
        trap.armed.store(true, Ordering::Relaxed);
        assert_eq!(member.ack(&held.id).await.unwrap(), Acked::Done);
        let ended = timeout(Duration::from_secs(10), member.next()).await;
        assert!(matches!(ended, Ok(Ok(None))), "{time:?}: {ended:?}");
        assert!(member.close().await.is_err(), "{time:?}: it did not leave the group");
    }
}

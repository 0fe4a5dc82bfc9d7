//! What lies in the topics, as Kafka's own tools and another client see and write it; and who may connect.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use chatcore::error::BackendError;
use chatcore::event::{Event, EventBody, Malformed};
use chatcore::id::RequestId;
use chatcore::message::Role;
use chatcore::port::{Acked, DeadLetters, DeadLettersPage, EventBus, Probe, Published, Replay, Subscription};
use chatcore_kafka::{Compression, Kafka, KafkaConfig, Mechanism, Sasl, Tls};
use chatcore_ports::tokio::TokioRuntime;
use common::{Broker, answered, broker, either, new_session, next, open, open_line, publish, question, take, well};
use krafka::producer::{Producer, Record};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How soon partitions are read that were added; the client by itself would never see them.
const ADDED: Duration = Duration::from_secs(30);

/// Another client, with a partitioner of its own, which is the Java client's.
async fn producer(broker: &Broker) -> Producer {
    let kafka = krafka::Kafka::builder(format!("127.0.0.1:{}", broker.port)).connect().await.unwrap();
    kafka.producer().build().await.unwrap()
}

/// What the console consumer prints of a topic.
async fn printed(broker: &Broker, topic: &str, count: &str) -> String {
    let show = "print.key=true print.headers=true print.partition=true print.offset=true";
    let mut args = vec!["consume", "--topic", topic, "--from-beginning", "--max-messages", count];
    args.extend(show.split(' ').flat_map(|property| ["--formatter-property", property]));
    broker.tool(&args).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_lies_in_its_topic_as_old_consumers_expect_it() {
    let Some(broker) = broker().await else { return };
    let (mut config, session) = (common::config(broker), new_session());
    config.compression = Compression::Gzip;
    let bus = open(config.clone());
    let event = Event { request_id: RequestId::parse("r-1").ok(), ..question(session, 1, "Tìm iPhone") };
    publish(&bus, std::slice::from_ref(&event)).await;
    let printed = printed(broker, &config.topics.requests, "1").await;
    for part in [format!("event-id:{session}-1"), "request-id:r-1,".into(), "type:chat.requested,v:1".into()] {
        assert!(printed.contains(&part), "{part} in {printed}");
    }
    assert!(printed.contains(&format!("\t{session}\t{}", event.to_json())), "key and value in {printed}");
    let member = bus.subscribe("group").await.unwrap();
    let delivery = next(&member).await;
    assert_eq!(delivery.event.as_ref(), Ok(&event));
    assert!(printed.contains(&format!("Partition:{}", delivery.place.partition)), "{printed}");
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_the_old_system_are_read_and_garbage_is_told() {
    let Some(broker) = broker().await else { return };
    let (config, session) = (common::config(broker), new_session());
    let bus = open(config.clone());
    publish(&bus, &[question(session, 1, "ours")]).await;
    let (producer, topics) = (producer(broker).await, config.topics);
    let old = format!(
        r#"{{"message_id": "550e8400-e29b-41d4-a716-446655440000", "session_id": "{session}", "user_id": "user_123",
            "message": "theirs", "timestamp": "2025-10-28T10:30:00.123456"}}"#
    );
    for value in [old, "garbage".to_owned(), r#"{"v": 2}"#.to_owned()] {
        let record = Record::new(topics.requests.clone(), value).key(session.to_string());
        _ = producer.send(record).await.unwrap();
    }
    let member = bus.subscribe("group").await.unwrap();
    let ours = next(&member).await;
    member.ack(&ours.id).await.unwrap();
    let old = next(&member).await;
    assert_eq!(old.place.partition, ours.place.partition, "a Java client puts a session where we do");
    let event = old.event.clone().unwrap();
    assert!(matches!(&event.body, EventBody::ChatRequested(message) if message.content == "theirs"), "{event:?}");
    assert_eq!(event.message().map(|message| message.role), Some(Role::User));
    member.ack(&old.id).await.unwrap();
    let garbage = next(&member).await;
    assert_eq!(garbage.key, session.to_string(), "its key is told");
    assert!(matches!(garbage.event, Err(Malformed::Other(_))), "{garbage:?}");
    assert_eq!(member.park(&garbage.id, "malformed", 3).await.unwrap(), Acked::Done);
    let newer = next(&member).await;
    assert_eq!(newer.event, Err(Malformed::NewerVersion));
    assert_eq!(member.park(&newer.id, "newer_version", 1).await.unwrap(), Acked::Done);
    let letters = printed(broker, &topics.dlq, "2").await;
    let (partition, offset) = (garbage.place.partition, garbage.place.offset);
    let told = format!(
        "dlq-attempts:3,dlq-group:group,dlq-offset:{offset},dlq-partition:{partition},dlq-reason:malformed,dlq-topic:{}\t{session}\tgarbage",
        topics.requests
    );
    assert!(letters.contains(&told), "{told} in {letters}");
    let left = bus.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
    assert_eq!(left.iter().map(|letter| &*letter.raw).collect::<Vec<_>>(), [&b"garbage"[..], br#"{"v": 2}"#]);
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_alone() {
    let Some(broker) = broker().await else { return };
    let (bus, session) = (open(common::config(broker)), new_session());
    let large = "x".repeat(2 << 20);
    let events: Vec<_> = (1..=30).map(|seq| question(session, seq, if seq == 17 { &large } else { "?" })).collect();
    let results = bus.publish(&events).await.unwrap();
    for (event, result) in events.iter().zip(&results) {
        match event.seq {
            17 => assert!(matches!(result, Published::Refused(_)), "{result:?}"),
            _ => assert!(matches!(result, Published::Done), "{} {result:?}", event.seq),
        }
    }
    let member = bus.subscribe("group").await.unwrap();
    for seq in (1..=30).filter(|seq| *seq != 17) {
        assert_eq!(take(&member).await.seq, seq);
    }
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_once_and_left_as_they_are() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.partitions = 5;
    let topics = config.topics.clone();
    let made = [&topics.requests, &topics.responses, &topics.sessions, &topics.dlq].map(Clone::clone);
    assert_eq!(open(config.clone()).create_topics().await.unwrap(), made);
    config.partitions = 2;
    let bus = open(config);
    assert_eq!(bus.create_topics().await.unwrap(), [""; 0]);
    let listed = broker.tool(&["topics", "--describe", "--topic", &topics.requests]).await;
    assert!(listed.contains("PartitionCount: 5"), "{listed}");
    let events: Vec<_> = (0..20).map(|_| question(new_session(), 1, "?")).collect();
    publish(&bus, &events).await;
    let member = bus.subscribe("group").await.unwrap();
    let mut partitions = BTreeSet::new();
    for _ in &events {
        let delivery = next(&member).await;
        partitions.insert(delivery.place.partition);
        member.ack(&delivery.id).await.unwrap();
    }
    assert!(partitions.len() > 2, "all partitions that are there are used: {partitions:?}");
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_the_headers_of_a_marker_hides_no_letter() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.partitions = 1;
    let (bus, producer) = (open(config.clone()), producer(broker).await);
    let member = bus.subscribe("group").await.unwrap();
    let record = |value: &'static str| Record::new(config.topics.requests.clone(), value);
    // It would cross out the letter before it and its own, and have none of its bytes.
    let poison = record("poison").header("dlq-replayed", "0").header("dlq-replayed", "1").header("dlq-cut", "1");
    for record in [record("garbage"), poison] {
        _ = producer.send(record).await.unwrap();
        let held = next(&member).await;
        assert_eq!(member.park(&held.id, "a test", 1).await.unwrap(), Acked::Done);
    }
    let list = async || bus.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
    let letters = list().await;
    let told: Vec<_> = letters.iter().map(|letter| (&*letter.raw, &*letter.reason)).collect();
    assert_eq!(told, [(&b"garbage"[..], "a test"), (b"poison", "a test")]);
    assert_eq!(bus.replay(&letters[1].id).await.unwrap(), Replay::Queued);
    assert_eq!(list().await, letters[..1]);
    assert!(next(&member).await.event.is_err(), "it comes again");
    member.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_letters_are_read_once_however_many_are_given_back() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    let bus = open(config.clone());
    open_line(broker);
    config.bootstrap_servers = vec![format!("127.0.0.1:{}", broker.line())];
    let operator = open(config);
    let member = bus.subscribe("group").await.unwrap();
    let events: Vec<_> = (0..200).map(|_| question(new_session(), 1, "?")).collect();
    publish(&bus, &events).await;
    for _ in &events {
        let held = next(&member).await;
        assert_eq!(member.park(&held.id, "a test", 1).await.unwrap(), Acked::Done);
    }
    member.close().await.unwrap();
    let start = answered();
    let letters = operator.list(&DeadLettersPage { after: None, limit: 1000 }).await.unwrap();
    let listed = answered() - start;
    assert_eq!(letters.len(), events.len());
    for letter in &letters {
        assert_eq!(operator.replay(&letter.id).await.unwrap(), Replay::Queued);
    }
    let replayed = answered() - start - listed;
    assert!(replayed < 5 * listed, "{listed} bytes were read to list them, {replayed} to give them back");
    assert_eq!(operator.list(&DeadLettersPage { after: None, limit: 1 }).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_while_members_run_are_soon_read() {
    let Some(broker) = broker().await else { return };
    let (mut config, mut places) = (common::config(broker), BTreeSet::new());
    config.partitions = 2;
    let topic = config.topics.requests.clone();
    let (first, second) = (open(config.clone()), open(config));
    let members = [first.subscribe("group").await.unwrap(), second.subscribe("group").await.unwrap()];
    let (session, mut written) = (new_session(), 0);
    // Nobody joins or leaves, so that only the members themselves can notice.
    for partitions in [2, 3, 6] {
        if partitions > 2 {
            let count = partitions.to_string();
            broker.tool(&["topics", "--alter", "--topic", &topic, "--partitions", &count]).await;
        }
        // One that knows of them.
        let producer = producer(broker).await;
        for partition in 0..partitions {
            written += 1;
            let event = question(session, written, "?").to_json();
            let record = Record::new(topic.clone(), event).key(session.to_string()).partition(partition);
            _ = producer.send(record).await.unwrap();
        }
        let read = async {
            while places.len() < usize::try_from(written).unwrap() {
                let (member, delivery) = either(&members[0], &members[1]).await;
                places.insert((delivery.place.partition, delivery.place.offset));
                _ = member.ack(&delivery.id).await.unwrap();
            }
        };
        let start = Instant::now();
        assert!(timeout(ADDED, read).await.is_ok(), "of {partitions} partitions these were read: {places:?}");
        println!("{partitions} partitions were read after {:.1} s", start.elapsed().as_secs_f64());
    }
    for member in members {
        member.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_told_at_once_and_an_absent_broker_in_time() {
    type Change = fn(&mut KafkaConfig);
    let wrong: [Change; 8] = [
        |config| config.bootstrap_servers.clear(),
        |config| config.bootstrap_servers = vec!["localhost".to_owned()],
        |config| config.topics.dlq = config.topics.requests.clone(),
        |config| config.topics.sessions = "no topic".to_owned(),
        |config| config.partitions = 0,
        |config| config.call_timeout = Duration::ZERO,
        |config| config.security.tls = Some(Tls { ca_file: Some("no/such/file".into()) }),
        |config| {
            config.security.tls = Some(Tls { ca_file: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()) })
        },
    ];
    let runtime = || Arc::new(TokioRuntime::current());
    for (number, change) in wrong.iter().enumerate() {
        let mut config = KafkaConfig::new(vec!["127.0.0.1:1".to_owned()]);
        change(&mut config);
        assert!(Kafka::open(config, runtime()).is_err(), "fault {number}");
    }
    let mut config = KafkaConfig::new(vec!["127.0.0.1:1".to_owned()]);
    config.call_timeout = Duration::from_secs(1);
    let (bus, start) = (Kafka::open(config, runtime()).unwrap(), Instant::now());
    let published = bus.publish(&[question(new_session(), 1, "?")]).await;
    assert!(published.is_err_and(|error| error.may_pass()));
    assert!(bus.subscribe("group").await.is_err_and(|error| error.may_pass()));
    assert!(bus.check().await.is_err());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

fn secured(broker: &Broker, mechanism: Mechanism, username: &str) -> KafkaConfig {
    let mut config = common::config(broker);
    config.bootstrap_servers = vec![format!("localhost:{}", broker.port + 2)];
    config.security.tls = Some(Tls { ca_file: Some(broker.dir.join("ca.pem")) });
    config.security.sasl =
        Some(Sasl { mechanism, username: username.to_owned(), password: format!("{username}-secret") });
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_every_mechanism_of_sasl_carry_events_both_ways() {
    let Some(broker) = broker().await else { return };
    let mechanisms =
        [(Mechanism::Plain, "plain"), (Mechanism::ScramSha256, "scram256"), (Mechanism::ScramSha512, "scram512")];
    for (mechanism, username) in mechanisms {
        let (bus, event) = (open(secured(broker, mechanism, username)), question(new_session(), 1, "?"));
        well(&bus).await;
        publish(&bus, std::slice::from_ref(&event)).await;
        let member = bus.subscribe("group").await.unwrap_or_else(|error| panic!("{mechanism:?}: {:?}", error.source));
        assert_eq!(take(&member).await, event, "{mechanism:?}");
        member.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_with_a_wrong_password_or_trusts_a_stranger() {
    let Some(broker) = broker().await else { return };
    let mut wrong = secured(broker, Mechanism::ScramSha256, "scram256");
    wrong.call_timeout = Duration::from_secs(2);
    let mut stranger = wrong.clone();
    wrong.security.sasl.as_mut().unwrap().password = "wrong".to_owned();
    assert!(!format!("{wrong:?}").contains("wrong"), "a password is not shown");
    stranger.security.tls = Some(Tls::default());
    for config in [wrong, stranger] {
        let bus = open(config);
        assert!(bus.check().await.is_err());
        assert!(bus.publish(&[question(new_session(), 1, "?")]).await.is_err());
        assert!(bus.subscribe("group").await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_had_harms_only_what_needs_it() {
    let Some(broker) = broker().await else { return };
    let (mut config, session) = (common::config(broker), new_session());
    // Kafka makes no topic whose name is that of another but for a dot: as good as rights that are missing.
    config.topics.dlq = format!("{}.letters", config.group_prefix);
    config.topics.sessions = format!("{}.sessions", config.group_prefix);
    for taken in ["letters", "sessions"] {
        broker.tool(&["topics", "--create", "--topic", &format!("{}_{taken}", config.group_prefix)]).await;
    }
    let bus = open(config.clone());
    open(config.clone()).list(&DeadLettersPage { after: None, limit: 1 }).await.expect_err("there are no letters");
    assert!(!broker.tool(&["topics", "--list"]).await.contains(&config.topics.requests), "who lists only looks");
    publish(&bus, &[question(session, 1, "?")]).await;
    let deletion = Event { body: EventBody::SessionDeleted, ..question(session, 2, "?") };
    let published = bus.publish(&[deletion]).await.unwrap();
    assert!(matches!(published[..], [Published::Later(_)]), "its own topic is missing: {published:?}");
    bus.list(&DeadLettersPage { after: None, limit: 1 }).await.expect_err("there can be no letters");
    bus.create_topics().await.expect_err("who asks for all of them is told");
    publish(&bus, &[question(session, 3, "?")]).await;
    let read = printed(broker, &config.topics.requests, "2").await;
    assert_eq!(read.lines().filter(|line| line.contains(&session.to_string())).count(), 2, "{read}");
}

/// Nothing else comes that would have it committed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_to_one_group_is_no_lag_of_another() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.partitions = 1;
    let bus = open(config.clone());
    let member = bus.subscribe("group").await.unwrap();
    let others = [bus.subscribe("other").await.unwrap(), open(config).subscribe("other").await.unwrap()];
    publish(&bus, &[question(new_session(), 1, "?")]).await;
    let (other, delivery) = either(&others[0], &others[1]).await;
    assert_eq!(other.ack(&delivery.id).await.unwrap(), Acked::Done);
    let held = next(&member).await;
    assert_eq!(member.park(&held.id, "a test", 1).await.unwrap(), Acked::Done);
    let letters = bus.list(&DeadLettersPage { after: None, limit: 1 }).await.unwrap();
    assert_eq!(bus.replay(&letters[0].id).await.unwrap(), Replay::Queued);
    take(&member).await;
    // One of them has the partition, and the other sees what is committed.
    let all_read = async { while others[0].lag().await.unwrap() + others[1].lag().await.unwrap() > 0 {} };
    timeout(Duration::from_secs(20), all_read).await.expect("it is not for them");
    for member in [member].iter().chain(&others) {
        member.close().await.unwrap();
    }
}

/// What a member says in the end that may not read.
async fn fault(member: &Arc<dyn Subscription>) -> BackendError {
    let told = timeout(Duration::from_secs(60), member.next()).await.expect("it says so, and not to its log alone");
    told.expect_err("it gets nothing to read")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_may_not_read_says_so_until_it_may() {
    let Some(broker) = broker().await else { return };
    let (config, session) = (common::config(broker), new_session());
    let (group, topic) = (format!("{}group", config.group_prefix), config.topics.requests.clone());
    let bus = open(config);
    publish(&bus, &[question(session, 1, "?")]).await;
    // The group may be seen, and the topic, but not read.
    for of in [["--group", &group], ["--topic", &topic]] {
        let acls = async |args: &[&str]| broker.tool(&[&["acls"], args, &of[..]].concat()).await;
        acls(&["--add", "--allow-principal", "User:*", "--operation", "Describe"]).await;
        acls(&["--add", "--deny-principal", "User:*", "--operation", "Read"]).await;
        let member = bus.subscribe("group").await.unwrap();
        let first = fault(&member).await;
        assert_eq!(first.may_pass(), of[0] == "--topic", "{first:?}");
        fault(&member).await;
        acls(&["--remove", "--force"]).await;
        let read = async {
            loop {
                // It may have found out only now.
                if let Ok(delivery) = member.next().await {
                    return delivery.unwrap();
                }
            }
        };
        let delivery = timeout(Duration::from_secs(60), read).await.expect("it goes on by itself");
        assert_eq!(delivery.event.unwrap().session, session);
        // Not acknowledged: it is there for the next member as well.
        member.close().await.unwrap();
    }
}

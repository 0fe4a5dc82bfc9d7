//! The server and the worker on a real Kafka: every event gets there, and a Kafka that is away does the chat no harm.

#[path = "../../adapters/kafka/tests/common/broker.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the adapter's own tests use the rest")]
#[expect(clippy::print_stderr, reason = "a test says why it is skipped")]
mod brokers;

use crate::client::Client;
use crate::process::Server;
use crate::worker::{Lines, Worker, printed};
use crate::worker_process::{self, eventually};
use brokers::{Broker, broker};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Settings for this broker, with topics and a group that no other test has.
fn settings(broker: &Broker, name: &str) -> [(&'static str, String); 7] {
    [
        ("MESSAGE_QUOTA", "off".into()),
        ("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", broker.port)),
        ("KAFKA_TOPIC_CHAT_REQUESTS", format!("{name}-requests")),
        ("KAFKA_TOPIC_CHAT_RESPONSES", format!("{name}-responses")),
        ("KAFKA_TOPIC_CHAT_SESSIONS", format!("{name}-sessions")),
        ("KAFKA_TOPIC_DLQ", format!("{name}-dlq")),
        ("KAFKA_CONSUMER_GROUP", format!("{name}-workers")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_gets_to_kafka_and_to_a_worker_though_kafka_is_killed_under_the_chat() {
    let Some(broker) = broker().await else { return };
    let settings = settings(broker, "killed");
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::start(&settings);
    let client = Client::login(&server).await;
    let lines = Lines::default();
    let _worker = Worker::start(server.folder(), &settings, &lines);
    let ask = async |names: std::ops::Range<u32>| {
        for name in names {
            let body = json!({"message": "hello", "client_message_id": name.to_string()});
            let (status, _, answer) = client.try_ask(&body).await.unwrap();
            assert!(status.is_success(), "{status}: {answer}");
        }
    };
    ask(0..20).await;
    all_printed(&lines, 20).await;
    broker.kill().await;
    ask(20..60).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ask(60..80).await;
    broker.run();
    broker.answers().await;
    all_printed(&lines, 80).await;
}

/// Each session's question and answer, in this order.
async fn all_printed(lines: &Lines, sessions: usize) {
    // The first start makes topics and forms a group, which takes some seconds.
    let mut events = printed(lines, 2 * sessions).await;
    if events.len() < sessions {
        events = printed(lines, 2 * sessions).await;
    }
    assert_eq!(events.len(), sessions);
    assert!(events.values().all(|types| *types == ["1 chat.requested", "2 chat.responded"]), "{events:?}");
}

const CLIENTS: usize = 6;
const QUESTIONS: usize = 40;
const EVENTS: usize = 2 * CLIENTS * QUESTIONS;

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_share_the_events_and_archive_each_once_though_one_is_killed_under_load() {
    let Some(broker) = broker().await else { return };
    let settings = settings(broker, "shared");
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::start(&settings);
    let client = Client::login(&server).await;
    let dir = server.folder().join("archive");
    let of_workers = [("WORKER_HANDLERS", "archive"), ("ARCHIVE_DIR", dir.to_str().unwrap())];
    let of_workers = [&settings[..], &of_workers].concat();
    let mut workers: Vec<_> = (0..3).map(|_| worker_process::Worker::start(server.folder(), &of_workers)).collect();
    client.ask(json!({"message": "hello", "client_message_id": "first"})).await;
    members(broker, 3).await;
    let talks: Vec<_> = (0..CLIENTS).map(|name| tokio::spawn(talk(client.clone(), name))).collect();
    eventually(|| (archived(&dir).len() > EVENTS / 5).then_some(()), || "nothing is archived".into()).await;
    workers.pop(); // SIGKILL
    assert!(archived(&dir).len() < EVENTS, "there was work left when it was killed");
    workers.push(worker_process::Worker::start(server.folder(), &of_workers));
    for talk in talks {
        talk.await.unwrap();
    }
    let all = EVENTS + 2;
    eventually(|| (archived(&dir).len() >= all).then_some(()), || format!("{} of {all}", archived(&dir).len())).await;
    let described = members(broker, 3).await;
    assert!(described.iter().all(|partition| partition.lag == "0"), "{described:?}");
    let (mut once, mut last) = (BTreeSet::new(), BTreeMap::new());
    for line in archived(&dir) {
        let (event, topic) = (&line["event"], line["topic"].to_string());
        assert!(once.insert(event["event_id"].to_string()), "twice: {line}");
        let before = last.insert((topic, event["session_id"].to_string()), event["seq"].as_u64());
        assert!(before < Some(event["seq"].as_u64()), "out of order: {line}");
    }
    assert_eq!(once.len(), all);
}

/// One session with many questions.
async fn talk(client: Client, name: usize) {
    let first = client.ask(json!({"message": "hello", "client_message_id": name.to_string()})).await;
    for number in 1..QUESTIONS {
        let id = format!("{name}-{number}");
        client.ask(json!({"message": "laptop", "session_id": first["session_id"], "client_message_id": id})).await;
    }
}

/// What is told of a partition.
#[derive(Debug)]
struct Described {
    lag: String,
    member: String,
}

/// What Kafka's own tool tells of the group's partitions, once they are shared by so many members.
async fn members(broker: &Broker, count: usize) -> Vec<Described> {
    for _ in 0..60 {
        let told = broker.tool(&["groups", "--describe", "--group", "shared-workers"]).await;
        // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID
        let rows = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of_group = rows.filter(|row| row.len() >= 7 && row[0] == "shared-workers" && row[6] != "-");
        let described = |row: Vec<&str>| Described { lag: row[5].to_owned(), member: row[6].to_owned() };
        let described: Vec<Described> = of_group.map(described).collect();
        let members: BTreeSet<_> = described.iter().map(|partition| &partition.member).collect();
        if members.len() == count {
            return described;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the group never had {count} members");
}

/// All lines of the archive; those of a topic's partition in the order in which they were written.
fn archived(dir: &Path) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    let text: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    // What is being written has no end yet.
    text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line.strip_suffix('\n')?).ok()).collect()
}

//! Workers that share the events as members of a group, and archive each once, whatever happens to one of them. The events are of
//! three servers on one Redis, whose relays take turns: each is on Kafka once.

use crate::brokers::{Broker, broker};
use crate::client::Client;
use crate::field::{pairs, settings};
use crate::process::Server;
use crate::redis::Server as Redis;
use crate::worker_process::{Worker, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;

const CLIENTS: usize = 6;
const QUESTIONS: usize = 40;
const EVENTS: usize = 2 * CLIENTS * QUESTIONS;
/// Longer than a member's session is, so that the group goes on without it.
const PAST_ITS_SESSION: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_share_the_events_and_archive_each_once_though_one_is_killed_under_load() {
    let Some(broker) = broker().await else { return };
    let mut field = Field::new(broker, "shared").await;
    let talks = field.talks();
    field.archives(EVENTS / 5).await;
    field.workers.pop(); // SIGKILL
    assert!(archived(&field.dir).len() < EVENTS, "there was work left when it was killed");
    field.workers.push(field.worker());
    // Nor does a relay that ends leave a batch half done.
    tokio::task::block_in_place(|| {
        assert_eq!(field.servers[0].end(), Some(0));
        field.servers[0].restart();
    });
    field.check(talks).await;
    let described = members(broker, "shared", 3).await;
    assert!(described.iter().all(|partition| partition.lag == "0"), "{described:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_frozen_past_its_session_under_load() {
    let Some(broker) = broker().await else { return };
    let field = Field::new(broker, "frozen-member").await;
    let talks = field.talks();
    field.archives(EVENTS / 10).await;
    field.workers[0].freeze();
    assert!(archived(&field.dir).len() < EVENTS, "there was work left when it was frozen");
    tokio::time::sleep(PAST_ITS_SESSION).await;
    members(broker, "frozen-member", 2).await;
    // The others have what it had, and the chat goes on.
    let talks = talks.into_iter().chain(field.talks()).collect();
    field.archives(EVENTS + 2).await;
    field.workers[0].thaw();
    members(broker, "frozen-member", 3).await;
    field.check(talks).await;
}

/// Three servers and three workers that archive.
struct Field {
    name: &'static str,
    settings: [(&'static str, String); 7],
    /// A user at each server.
    clients: Vec<Client>,
    servers: Vec<Server>,
    _redis: Redis,
    dir: PathBuf,
    workers: Vec<Worker>,
}

impl Field {
    /// With a name that no other test has; once all workers are members.
    async fn new(broker: &Broker, name: &'static str) -> Self {
        let (settings, redis) = (settings(broker, name), Redis::start());
        let url = redis.url();
        let with_redis = [&pairs(&settings)[..], &[("REDIS_URL", &url)]].concat();
        let servers: Vec<Server> = (0..3).map(|_| Server::start(&with_redis)).collect();
        let client = Client::login(&servers[0]).await;
        let clients = servers.iter().map(|server| client.at(server)).collect();
        let dir = servers[0].folder().join("archive");
        let mut field = Self { name, settings, clients, servers, _redis: redis, dir, workers: Vec::new() };
        field.workers = (0..3).map(|_| field.worker()).collect();
        field.clients[0].ask(json!({"message": "hello", "client_message_id": "first"})).await;
        members(broker, name, 3).await;
        field
    }

    fn worker(&self) -> Worker {
        let archive = [("WORKER_HANDLERS", "archive"), ("ARCHIVE_DIR", self.dir.to_str().unwrap())];
        Worker::start(self.servers[0].folder(), &[&pairs(&self.settings)[..], &archive].concat())
    }

    /// Clients that chat at once.
    fn talks(&self) -> Vec<JoinHandle<()>> {
        self.clients.iter().cycle().take(CLIENTS).map(|client| tokio::spawn(talk(client.clone()))).collect()
    }

    /// Waits until there is so much in the archive.
    async fn archives(&self, count: usize) {
        let told = || format!("{}: {} of {count}", self.name, archived(&self.dir).len());
        eventually(|| (archived(&self.dir).len() >= count).then_some(()), told).await;
    }

    /// Waits for the clients. Each of their events stands there once, and those of a session in order.
    async fn check(&self, talks: Vec<JoinHandle<()>>) {
        let all = talks.len() * 2 * QUESTIONS + 2;
        for talk in talks {
            talk.await.unwrap();
        }
        self.archives(all).await;
        let (mut once, mut last) = (BTreeSet::new(), BTreeMap::new());
        for line in archived(&self.dir) {
            let (event, topic) = (&line["event"], line["topic"].to_string());
            assert!(once.insert(event["event_id"].to_string()), "twice: {line}");
            let before = last.insert((topic, event["session_id"].to_string()), event["seq"].as_u64());
            assert!(before < Some(event["seq"].as_u64()), "out of order: {line}");
        }
        assert_eq!(once.len(), all);
    }
}

/// One session with many questions.
async fn talk(client: Client) {
    let mut session = Value::Null;
    for _ in 0..QUESTIONS {
        let key = fastrand::u64(..).to_string();
        let answer = client.ask(json!({"message": "laptop", "session_id": session, "client_message_id": key})).await;
        session = answer["session_id"].clone();
    }
}

/// What is told of a partition.
#[derive(Debug)]
struct Described {
    lag: String,
    member: String,
}

/// What Kafka's own tool tells of the group's partitions, once they are shared by so many members.
async fn members(broker: &Broker, name: &str, count: usize) -> Vec<Described> {
    let group = format!("{name}-workers");
    for _ in 0..60 {
        let told = broker.tool(&["groups", "--describe", "--group", &group]).await;
        // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID
        let rows = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of_group = rows.filter(|row| row.len() >= 7 && row[0] == group && row[6] != "-");
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

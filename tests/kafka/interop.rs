//! Other clients on our topics: Kafka's own, which is Java's, librdkafka's, and the functions of the old consumer.

mod librdkafka;
mod member;

pub(crate) use librdkafka::librdkafka;
pub(crate) use member::Group;

use crate::brokers::broker;
use crate::client::Client;
use crate::field::{pairs, settings};
use crate::process::{Server, command};
use crate::worker_process::eventually;
use librdkafka::{PYTHON, has_python, lines, script};
use member::{Member, console_consumer, is_event};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many partitions a topic has where three members share them.
const PARTITIONS: &str = "6";
/// Of the three topics.
const ALL_PARTITIONS: usize = 18;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_shares_its_group_with_members_of_java_and_of_librdkafka() {
    shared_by_three_clients("classic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_shares_its_group_with_members_of_java_and_of_librdkafka_by_the_newer_protocol() {
    shared_by_three_clients("consumer").await;
}

/// Under load: two other members come to a worker and leave again, then the worker leaves.
async fn shared_by_three_clients(protocol: &str) {
    let Some(broker) = broker().await else { return };
    let Some(librdkafka) = librdkafka().await else { return };
    let name = format!("mixed-{protocol}");
    let (ours, group) = (settings(broker, &name), Group { broker, name: format!("{name}-workers") });
    let more = [("KAFKA_TOPIC_PARTITIONS", PARTITIONS), ("KAFKA_GROUP_PROTOCOL", protocol)];
    let settings = [&pairs(&ours)[..], &more].concat();
    let server = Server::start(&settings);
    create_topics(server.folder(), &settings);
    let stop = Arc::new(AtomicBool::new(false));
    let talk = tokio::spawn(talk(Client::login(&server).await, stop.clone()));

    let worker = Member::start(command("app-worker", server.folder()).envs(settings.iter().copied()));
    group.is_shared_by(&["chatcore"], ALL_PARTITIONS).await;
    let topics = ["requests", "responses", "sessions"].map(|topic| format!("{name}-{topic}"));
    let topics = topics.each_ref().map(String::as_str);
    let arguments = [&["member", &group.name, protocol][..], &topics].concat();
    let other = Member::start(&mut librdkafka.command(broker, &arguments));
    let java = Member::start(&mut console_consumer(broker, &group.name, protocol, &topics));
    group.is_shared_by(&["chatcore", "java", "librdkafka"], ALL_PARTITIONS).await;
    for member in [&worker, &other, &java] {
        let before = member.read().len();
        eventually(|| (member.read().len() > before).then_some(()), || member.log()).await;
    }

    let (other, java) = (other.leave().await, java.leave().await);
    assert_eq!(other.code, Some(0), "{}", other.log);
    assert!(java.log.contains("Processed a total of"), "{}", java.log);
    // By the older protocol, one that did not say that it leaves would keep its share for minutes.
    group.is_shared_by(&["chatcore"], ALL_PARTITIONS).await;
    stop.store(true, Ordering::Relaxed);
    let events = 2 * talk.await.unwrap();
    let by_others: BTreeSet<String> = other.read.iter().chain(&java.read).cloned().collect();
    let read = || worker.read().into_iter().chain(by_others.iter().cloned()).collect::<BTreeSet<_>>().len();
    eventually(|| (read() >= events).then_some(()), || format!("{} of {events} are read", read())).await;
    let worker = worker.leave().await;
    assert!(worker.code == Some(0) && worker.log.contains("left the group"), "{}", worker.log);
    assert_eq!(group.members().await.len(), 0, "nobody is left");
    let lags = group.lags().await;
    assert!(lags.iter().all(|lag| ["0", "-"].contains(&&**lag)), "all is committed: {lags:?}");
    let all = [&worker, &other, &java];
    let [by_worker, by_other, by_java] = all.map(|left| left.read.len());
    println!(
        "{protocol}: {events} events: the worker read {by_worker}, librdkafka's member {by_other}, Java's {by_java}"
    );
    let twice = twice(&all.map(|left| left.read.as_slice()));
    let logs = all.map(|left| left.log.as_str()).join("\n\n");
    assert!(twice.is_empty(), "each is read once, but {twice:#?} by the worker, librdkafka's and Java's:\n{logs}");
}

/// The events that came more than once, with how often they came to which member.
fn twice<const N: usize>(reads: &[&[String]; N]) -> BTreeMap<String, [usize; N]> {
    let mut counts = BTreeMap::new();
    for (member, read) in reads.iter().enumerate() {
        for event in *read {
            counts.entry(event.clone()).or_insert([0; N])[member] += 1;
        }
    }
    counts.retain(|_, counts| counts.iter().sum::<usize>() > 1);
    counts
}

fn create_topics(folder: &Path, settings: &[(&str, &str)]) {
    let mut create = command("app-worker", folder);
    assert!(create.arg("create-topics").envs(settings.iter().copied()).status().unwrap().success());
}

/// Opens one session after the other, until it is told to stop; how many that were.
async fn talk(client: Client, stop: Arc<AtomicBool>) -> usize {
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        client.ask(json!({"message": "hello", "client_message_id": asked.to_string()})).await;
        asked += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_of_the_old_consumer_find_what_they_look_for() {
    let Some(broker) = broker().await else { return };
    if !has_python() {
        return;
    }
    let ours = settings(broker, "old");
    let ours = pairs(&ours);
    let without_ai = [&ours[..], &[("AI_API_URL", "http://127.0.0.1:1")]].concat();
    let servers = [Server::start(&ours), Server::start(&without_ai)];
    create_topics(servers[0].folder(), &ours);
    let mut expected = Vec::new();
    for server in &servers {
        let client = Client::login(server).await;
        for text in ["Tìm iPhone 15 giá dưới 30 triệu", "hello \"you\"\n\u{1f600}"] {
            let answer = client.ask(json!({ "message": text })).await;
            let (id, session) = (&answer["message_id"], &answer["session_id"]);
            let response: String = answer["ai_response"].as_str().unwrap().chars().take(50).collect();
            let user = "user_123";
            let question = json!({"message_id": id, "session_id": session, "user_id": user, "message": text});
            expected.push(json!({ "question": question }));
            expected.push(json!({"answer": {"message_id": id, "response": response}}));
        }
    }
    let count = expected.len().to_string();
    let arguments = ["--include", "old-(requests|responses)", "--from-beginning", "--max-messages", &count];
    // Where fewer come it ends all the same.
    let records = broker.tool(&[&["consume"], &arguments[..], &["--timeout-ms", "60000"]].concat()).await;
    let mut python = Command::new(PYTHON);
    python.arg(script("old_consumer.py"));
    let records = records.lines().filter(|line| is_event(line)).map(|line| format!("{line}\n")).collect();
    let found: Vec<Value> = lines(python, records).await;
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(expected.iter().all(|record| found.contains(record)), "{expected:#?} in {found:#?}");
}

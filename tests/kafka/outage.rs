//! A Kafka that is away, frozen or full: the chat goes on, and afterwards every event gets to the workers.

use crate::brokers::{Broker, broker, own_broker};
use crate::client::Client;
use crate::field::{Field, LONG};
use crate::printer::{Printed, Worker};
use crate::process::free_port;
use crate::talk::{TURNS, Talks, say};
use reqwest::StatusCode;
use serde_json::json;
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

/// How many clients chat at once.
const CLIENTS: usize = 4;
/// How soon workers read again.
const BACK: Duration = Duration::from_secs(10);
/// What is left of the chat's speed at least while Kafka is in trouble: nine tenths on a machine that does nothing else
/// (`SPEED_LEFT=0.9`), where the clients leave no pause. Beside other tests, which come and go, half shows that nothing waits for
/// Kafka, and clients with a pause leave room for those.
fn left() -> (f64, Duration) {
    let alone = std::env::var("SPEED_LEFT").ok().and_then(|left| left.parse().ok());
    alone.map_or((0.5, Duration::from_millis(50)), |left| (left, Duration::ZERO))
}

/// How long speed is measured, three times, before it is and in most troubles.
const WINDOW: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn kafka_down_for_a_minute_under_load() {
    let Some(broker) = own_broker().await else { return };
    let load = Load::start(&broker, "down").await;
    broker.kill().await;
    load.is_as_fast_as_before(Duration::from_secs(20)).await;
    load.tells_that_kafka_is_away().await;
    broker.run();
    broker.answers().await;
    load.reads_again().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_killed_and_restarted_under_load() {
    let Some(broker) = own_broker().await else { return };
    let load = Load::start(&broker, "restarted").await;
    let restart = async || {
        broker.kill().await;
        broker.run();
        broker.answers().await;
    };
    restart().await;
    load.reads_again().await;
    // And once more amid what waits since the first time.
    restart().await;
    load.goes_on().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_frozen_and_thawed_under_load() {
    let Some(broker) = own_broker().await else { return };
    let load = Load::start(&broker, "frozen").await;
    broker.signal("STOP");
    // Longer than a call to Kafka may take, and than the session of a member.
    load.is_as_fast_as_before(WINDOW).await;
    broker.signal("CONT");
    load.reads_again().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_kafka_is_full_under_load() {
    let Some(broker) = own_broker().await else { return };
    let load = Load::start(&broker, "full").await;
    // A file that may not grow is to Kafka what a full disk is: a write fails in the middle. It ends itself then.
    let full = Command::new("prlimit").args(["--pid", &broker.pid(), "--fsize=100000:unlimited"]).status();
    assert!(full.unwrap().success());
    tokio::time::timeout(LONG, broker.is_gone()).await.expect("a broker that cannot write ends itself");
    load.is_as_fast_as_before(WINDOW).await;
    // There is room again.
    broker.run();
    broker.answers().await;
    load.reads_again().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_is_full_while_kafka_is_down() {
    let Some(broker) = own_broker().await else { return };
    let field = Field::new(&broker, "outbox", &[("OUTBOX_MAX", "40")]);
    let (printed, client) = (Printed::default(), Client::login(&field.server).await);
    let _worker = field.worker(&printed);
    say(&client, None).await;
    printed.wait_for(2, LONG).await;
    broker.kill().await;
    let (mut turns, ask) = (1, json!({"message": "hello"}));
    let mut tried = client.try_ask(&ask).await.unwrap();
    while tried.0 == StatusCode::OK && turns < 100 {
        turns += 1;
        tried = client.try_ask(&ask).await.unwrap();
    }
    let (status, wait, answer) = tried;
    assert_eq!((status, &answer["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("outbox_full")), "{answer}");
    assert!(wait.is_some(), "it says when to come again: {answer}");
    assert!((20..=21).contains(&turns), "{turns} turns have two events each");
    assert_eq!(client.sessions().await.len(), turns, "a question that was refused leaves nothing");
    broker.run();
    broker.answers().await;
    // A client that comes again when it is told gets through.
    client.ask(ask).await;
    printed.wait_for(2 * (turns + 1), LONG).await;
}

/// A server and a worker under load.
struct Load {
    field: Field,
    talks: Talks,
    printed: Printed,
    /// Turns a second, as a rule.
    before: f64,
    worker_port: u16,
    _worker: Worker,
}

impl Load {
    /// Once events have come through.
    async fn start(broker: &Broker, name: &str) -> Self {
        let (field, printed, worker_port) = (Field::new(broker, name, &[]), Printed::default(), free_port());
        let _worker = field.worker_with(&printed, &[("WORKER_PORT", &worker_port.to_string())]);
        let talks = Talks::start(&Client::login(&field.server).await, CLIENTS, left().1);
        printed.wait_for(100, LONG).await;
        let [_, before, _] = talks.speeds(WINDOW).await;
        Self { field, talks, printed, before, worker_port, _worker }
    }

    /// The best of three windows is held against what was usual before: whatever else this machine does slows a window down,
    /// and what Kafka does to the chat would show in all of them.
    async fn is_as_fast_as_before(&self, window: Duration) {
        let (before, during) = (self.before, self.talks.speeds(window).await);
        println!("{before:.0} turns/s before, {during:.0?} while Kafka was in trouble");
        assert!(during[2] >= left().0 * before, "{during:?} turns/s while Kafka was in trouble, {before} before");
    }

    /// The server serves on and says so; the worker does not. Both tell what waits.
    async fn tells_that_kafka_is_away(&self) {
        let worker = |path: &str| format!("http://127.0.0.1:{}{path}", self.worker_port);
        let (status, text) = told(&self.field.server.url("/readyz")).await;
        assert!(status == StatusCode::OK && text.contains("kafka: un"), "{status} {text}");
        let (status, text) = told(&worker("/readyz")).await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && text.contains("kafka: un"), "{status} {text}");
        let (_, numbers) = told(&self.field.server.url("/metrics")).await;
        assert!(number(&numbers, "chatcore_outbox_events") > 0.0, "{numbers}");
        let (_, numbers) = told(&worker("/metrics")).await;
        assert!(number(&numbers, "chatcore_worker_lag_events") >= 0.0, "{numbers}");
    }

    /// Something is worked off soon after Kafka is back. Which partitions it is of, where thousands wait in each, is a matter of
    /// how fast this machine is.
    async fn goes_on(&self) {
        self.printed.wait_for(self.printed.count() + 100, BACK).await;
    }

    /// Each partition is read soon after Kafka is back, by a worker that had read all before.
    async fn reads_again(&self) {
        let start = Instant::now();
        self.printed.wait_for_each_partition(BACK).await;
        println!("all partitions were read again {:.1} s after Kafka was back", start.elapsed().as_secs_f64());
    }

    /// No message was refused, and of each session all events have come, in order.
    async fn end(self) {
        let turns = self.talks.end().await;
        let deleted = turns.values().filter(|turns| **turns == TURNS).count();
        let count = 2 * usize::try_from(turns.values().sum::<u64>()).unwrap() + deleted;
        println!("{count} events of {} sessions, {deleted} of them deleted", turns.len());
        self.printed.wait_for(count, LONG).await;
        self.printed.are_those_of(&turns);
        assert!(self.field.letters().is_empty(), "nothing is parked");
    }
}

/// What a program says there.
pub(crate) async fn told(url: &str) -> (StatusCode, String) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// A number on `/metrics`.
pub(crate) fn number(text: &str, name: &str) -> f64 {
    let told = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    told.unwrap_or_else(|| panic!("{name} is missing: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_publishes_what_a_server_without_a_relay_leaves_in_the_outbox() {
    let Some(broker) = broker().await else { return };
    let (field, printed) = (Field::new(broker, "relayed", &[("RELAY", "off")]), Printed::default());
    let client = Client::login(&field.server).await;
    let outbox = async |wanted: f64| {
        let look =
            async { while number(&told(&field.server.url("/metrics")).await.1, "chatcore_outbox_events") != wanted {} };
        tokio::time::timeout(LONG, look).await.expect("so many events wait");
    };
    let session = say(&client, None).await;
    for _ in 1..5 {
        say(&client, Some(&session)).await;
    }
    outbox(10.0).await;
    // As the store's settings, both have the same folder.
    let _worker = field.worker_with(&printed, &[("RELAY", "on")]);
    printed.wait_for(10, LONG).await;
    outbox(0.0).await;
    printed.are_those_of(&[(session, 5)].into());
}

//! A Kafka that is away, frozen or full: the chat goes on, and afterwards every event gets to the workers.

use crate::brokers::{Broker, own_broker};
use crate::client::Client;
use crate::field::{Field, LONG};
use crate::printer::{Printed, Worker};
use crate::talk::{Talks, say};
use reqwest::StatusCode;
use serde_json::json;
use std::process::Command;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How many clients chat at once.
const CLIENTS: usize = 4;
/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(40);
/// How soon workers read again.
const BACK: Duration = Duration::from_secs(10);
#[tokio::test(flavor = "multi_thread")]
async fn kafka_down_for_a_minute_under_load() {
    let Some(broker) = own_broker().await else { return };
    let load = Load::start(&broker, "down").await;
    let before = load.talks.speed(Duration::from_secs(8)).await;
    broker.kill().await;
    let during = load.talks.speed(Duration::from_secs(60)).await;
    println!("{before:.0} turns/s before, {during:.0} while Kafka was down");
    assert!(during > before / 5.0, "{during} turns/s while Kafka was down, {before} before");
    broker.run();
    broker.answers().await;
    load.reads_again().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_frozen_and_thawed_under_load() {
    let Some(broker) = own_broker().await else { return };
    let load = Load::start(&broker, "frozen").await;
    broker.signal("STOP");
    // Longer than a call to Kafka may take, and than the session of a member.
    sleep(Duration::from_secs(15)).await;
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
    sleep(Duration::from_secs(5)).await;
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
    _worker: Worker,
}

impl Load {
    /// Once events have come through.
    async fn start(broker: &Broker, name: &str) -> Self {
        let (field, printed) = (Field::new(broker, name, &[]), Printed::default());
        let _worker = field.worker(&printed);
        let talks = Talks::start(&Client::login(&field.server).await, CLIENTS, PAUSE);
        printed.wait_for(100, LONG).await;
        Self { field, talks, printed, _worker }
    }

    /// The worker goes on soon after Kafka is back.
    async fn reads_again(&self) {
        let start = Instant::now();
        self.printed.wait_for(self.printed.count() + 1, BACK).await;
        println!("read again {:.1} s after Kafka was back", start.elapsed().as_secs_f64());
    }

    /// No message was refused, and of each session all events have come, in order.
    async fn end(self) {
        let turns = self.talks.end().await;
        let count = 2 * turns.values().sum::<u64>();
        println!("{count} events of {} sessions", turns.len());
        self.printed.wait_for(usize::try_from(count).unwrap(), LONG).await;
        self.printed.are_those_of(&turns);
        assert!(self.field.letters().is_empty(), "nothing is parked");
    }
}

//! Topics that are not there.

use crate::brokers::{Broker, broker, own_broker};
use crate::client::Client;
use crate::field::{Begun, Field, LONG};
use crate::printer::Printed;
use crate::records::write;
use crate::talk::{Turns, say};
use crate::worker_process::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_missing_and_is_deleted_while_it_is_used() {
    let Some(broker) = broker().await else { return };
    let (field, printed) = (Field::new(broker, "deleted", &[]), Printed::default());
    let client = Client::login(&field.server).await;
    let mut turns = Turns::new();
    let mut talk = async |sessions: usize| {
        for _ in 0..sessions {
            turns.insert(say(&client, None).await, 1);
        }
        (2 * turns.len(), turns.clone())
    };
    // None is there at first.
    let (count, _) = talk(20).await;
    let _worker = field.worker(&printed);
    printed.wait_for(count, LONG).await;
    for topic in ["deleted-responses", "deleted-requests"] {
        delete(broker, topic).await;
        // Fewer than there were before: the new topic ends before the worker's place in the old one.
        let (count, turns) = talk(3).await;
        printed.wait_for(count, LONG).await;
        printed.are_those_of(&turns);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_dead_letters_is_deleted_while_it_is_used() {
    let Some(broker) = broker().await else { return };
    let Begun { field, client, printed, session, _worker } = Begun::start(broker, "letterless").await;
    delete(broker, "letterless-dlq").await;
    write(broker, "letterless-requests", &session, &[b"garbage"]).await;
    say(&client, Some(&session)).await;
    printed.wait_for(4, LONG).await;
    eventually(|| (field.letters().len() == 1).then_some(()), || format!("{:?}", field.letters())).await;
}

/// Until it is gone: what a broker takes before that is gone with it.
async fn delete(broker: &Broker, topic: &str) {
    broker.tool(&["topics", "--delete", "--topic", topic]).await;
    let is_there = async || broker.tool(&["topics", "--list"]).await.lines().any(|line| line == topic);
    let gone = async { while is_there().await {} };
    tokio::time::timeout(LONG, gone).await.expect("the topic is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_makes_the_topics_before_the_first_message_also_if_kafka_comes_later() {
    let Some(broker) = own_broker().await else { return };
    broker.kill().await;
    let _field = Field::new(&broker, "prepared", &[]);
    broker.run();
    broker.answers().await;
    let all = ["prepared-dlq", "prepared-requests", "prepared-responses", "prepared-sessions"];
    let made = async {
        let mut listed = String::new();
        while !all.iter().all(|topic| listed.lines().any(|line| line == *topic)) {
            listed = broker.tool(&["topics", "--list"]).await;
        }
    };
    tokio::time::timeout(LONG, made).await.expect("nobody has said anything, and the topics are there");
}

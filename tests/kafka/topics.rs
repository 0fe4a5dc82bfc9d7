//! Topics that are not there.

use crate::brokers::{Broker, broker, own_broker};
use crate::client::Client;
use crate::field::{Begun, Field, LONG, pairs, settings};
use crate::printer::Printed;
use crate::process::command;
use crate::records::write;
use crate::talk::{Turns, say};
use crate::worker_process::eventually;
use reqwest::StatusCode;
use serde_json::json;

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

/// As where there are fewer brokers than replicas are asked for. Messages are answered until the outbox is full.
#[tokio::test(flavor = "multi_thread")]
async fn topics_that_cannot_be_made_are_told_by_health_numbers_and_the_doctor() {
    let Some(broker) = broker().await else { return };
    let too_many = [("KAFKA_REPLICATION", "3"), ("OUTBOX_MAX", "2")];
    let field = Field::new(broker, "unmade", &too_many);
    let get = async |path: &str| {
        let answer = reqwest::get(field.server.url(path)).await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let told = async |path: &str, what: &str| {
        let told = async {
            loop {
                let (status, text) = get(path).await;
                if text.contains(what) {
                    return status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(LONG, told).await.unwrap_or_else(|_| panic!("{path} never told {what}"))
    };
    told("/health", "\"kafka\":\"unhealthy\"").await;
    assert_eq!(told("/readyz", "kafka: unhealthy").await, StatusCode::OK, "messages are still answered");
    told("/metrics", "chatcore_dependency_up{dependency=\"kafka\"} 0").await;
    let all = "unmade-requests, unmade-responses, unmade-sessions";
    let doctor = || {
        let settings = settings(broker, "unmade");
        let mut doctor = command("app-http", field.server.folder());
        let found = doctor.arg("doctor").envs(pairs(&settings)).envs(too_many).output().unwrap();
        (found.status.success(), String::from_utf8(found.stdout).unwrap())
    };
    let (well, said) = doctor();
    let look = said.lines().find(|line| line.starts_with("look   kafka: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(well && look.contains(all) && look.contains("app-worker create-topics"), "{said}");
    assert!(said.contains("ok     outbox: holds 0 events"), "{said}");
    let client = Client::login(&field.server).await;
    say(&client, None).await;
    let (status, _, refused) = client.try_ask(&json!({"message": "hello"})).await.unwrap();
    assert_eq!((status, &refused["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("outbox_full")), "{refused}");
    let (well, said) = doctor();
    assert!(!well && said.contains("MEND   outbox: is full: holds 2 events"), "{said}");
}

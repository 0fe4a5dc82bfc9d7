//! The server and the worker on a real Kafka: every event gets there, and a Kafka that is away does the chat no harm.

#[path = "../../adapters/kafka/tests/common/broker.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the adapter's own tests use the rest")]
#[expect(clippy::print_stderr, reason = "a test says why it is skipped")]
mod brokers;

use crate::client::Client;
use crate::process::Server;
use crate::worker::{Lines, Worker, printed};
use brokers::{Broker, broker};
use serde_json::json;
use std::time::Duration;

/// Settings for this broker, with topics that no other test has.
fn settings(broker: &Broker) -> [(&'static str, String); 7] {
    [
        ("MESSAGE_QUOTA", "off".into()),
        ("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", broker.port)),
        ("KAFKA_TOPIC_CHAT_REQUESTS", "it-requests".into()),
        ("KAFKA_TOPIC_CHAT_RESPONSES", "it-responses".into()),
        ("KAFKA_TOPIC_CHAT_SESSIONS", "it-sessions".into()),
        ("KAFKA_TOPIC_DLQ", "it-dlq".into()),
        ("KAFKA_CONSUMER_GROUP", "it-workers".into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_gets_to_kafka_and_to_a_worker_though_kafka_is_killed_under_the_chat() {
    let Some(broker) = broker().await else { return };
    let settings = settings(broker);
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

//! How soon after its answer a message's event is there for others.

use crate::brokers::broker;
use crate::client::Client;
use crate::field::Field;
use crate::records::Reader;
use crate::stand_in::serve;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How many turns are measured in a round, and the pause between them.
const TURNS: usize = 30;
const PAUSE: Duration = Duration::from_millis(50);
/// How soon half of the events are there, in the best of so many rounds: whatever else this machine does makes a round slower.
const BOUND: Duration = Duration::from_millis(50);
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_on_kafka_soon_after_the_answer_also_of_ten_kilobytes() {
    let Some(broker) = broker().await else { return };
    for (name, size) in [("small-answers", 100), ("large-answers", 10_000)] {
        let ai = ai(size).await;
        let field = Field::new(broker, name, &[("AI_API_URL", &ai)]);
        let client = Client::login(&field.server).await;
        // The first one makes the topics.
        let first = ask(&client).await;
        field.command(&["create-topics"]);
        let reader = Reader::start(broker, &format!("{name}-responses")).await;
        reader.arrival(&first).await;
        let mut medians = Vec::new();
        while medians.len() < ROUNDS && medians.iter().all(|median| *median >= BOUND) {
            medians.push(round(&client, &reader).await);
        }
        println!("answers of {size} bytes: their events are on Kafka {medians:.1?} later (median of each round)");
        assert!(medians.iter().any(|median| *median < BOUND), "{name}: {medians:?}");
    }
}

/// How long after its answer an event was there (median).
async fn round(client: &Client, reader: &Reader) -> Duration {
    let mut answered = Vec::new();
    for _ in 0..TURNS {
        sleep(PAUSE).await;
        let event = ask(client).await;
        answered.push((event, Instant::now()));
    }
    let mut behind = Vec::new();
    for (event, at) in &answered {
        behind.push(reader.arrival(event).await.saturating_duration_since(*at));
    }
    behind.sort();
    behind[TURNS / 2]
}

/// A message, and the event of its answer.
async fn ask(client: &Client) -> String {
    let answer = client.ask(json!({"message": "hello"})).await;
    format!("{}-{}", answer["session_id"].as_str().unwrap(), answer["message_seq"].as_u64().unwrap() + 1)
}

/// An AI whose answers have so many bytes, and do not get much smaller by compression.
async fn ai(size: usize) -> String {
    let answer = move || async move {
        let text: String = std::iter::repeat_with(fastrand::alphanumeric).take(size).collect();
        Json::<Value>(json!({"response": text, "intent": "test"}))
    };
    serve(Router::new().route("/ai", post(answer))).await + "/ai"
}

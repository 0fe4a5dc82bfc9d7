//! The handler `counters`: how many events there were, by type, by intent and by product, for `/metrics`.
//!
//! Intents and products are what the AI says, and it may say anything: the first two hundred of either have a counter of their
//! own, all others share `other`, and so does a name that is very long. An event that comes again counts again.

use async_trait::async_trait;
use chatcore::consume::{EventHandler, Unhandled};
use chatcore::event::{Event, EventBody};
use chatcore::message::Message;
use chatcore::port::Place;
use metrics::counter;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// How many intents, and how many products, have a counter of their own.
const LABELS: usize = 200;
/// The longest name that has one, in bytes.
const LONGEST: usize = 100;
/// What the others share.
const OTHER: &str = "other";
/// Of an answer without an intent.
const NONE: &str = "none";

/// Counts events.
#[derive(Debug, Default)]
pub struct Counters {
    intents: Labels,
    products: Labels,
}

impl Counters {
    /// A handler that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        metrics::describe_counter!("chatcore_events_total", "Events that the worker was given, by type");
        metrics::describe_counter!("chatcore_answers_total", "Answers, by intent and by how the turn ended");
        metrics::describe_counter!("chatcore_products_total", "Answers that speak of a product, by its id or name");
        Self::default()
    }

    fn count_answer(&self, answer: &Message) {
        let intent = answer.reply.intent.as_deref().map_or_else(|| NONE.to_owned(), |intent| self.intents.of(intent));
        counter!("chatcore_answers_total", "intent" => intent, "status" => answer.status.as_str()).increment(1);
        let products: Vec<Product> = serde_json::from_str(answer.reply.products.as_json()).unwrap_or_default();
        // A product is counted once, however often the answer lists it.
        let names: BTreeSet<_> = products.iter().filter_map(Product::name).collect();
        for name in names {
            counter!("chatcore_products_total", "product" => self.products.of(&name)).increment(1);
        }
    }
}

#[async_trait]
impl EventHandler for Counters {
    async fn handle(&self, event: &Event, _place: &Place) -> Result<(), Unhandled> {
        counter!("chatcore_events_total", "type" => event.kind()).increment(1);
        if let EventBody::ChatResponded(answer) = &event.body {
            self.count_answer(answer);
        }
        Ok(())
    }
}

/// The members of a product that may name it. Whatever else it holds, and of whichever type, it is no fault.
#[derive(Deserialize)]
struct Product {
    product_id: Option<serde_json::Value>,
    product_name: Option<serde_json::Value>,
}

impl Product {
    fn name(&self) -> Option<String> {
        [&self.product_id, &self.product_name].into_iter().flatten().find_map(|value| match value {
            serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }
}

/// The names that have a counter of their own.
#[derive(Debug, Default)]
struct Labels(Mutex<BTreeSet<String>>);

impl Labels {
    fn of(&self, name: &str) -> String {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if name.len() > LONGEST || (known.len() >= LABELS && !known.contains(name)) {
            return OTHER.to_owned();
        }
        known.insert(name.to_owned());
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use app_kit::metrics::Metrics;
    use futures_util::FutureExt;

    #[test]
    fn only_so_many_names_have_a_counter_of_their_own() {
        let labels = Labels::default();
        for number in 0..LABELS {
            assert_eq!(labels.of(&number.to_string()), number.to_string());
        }
        assert_eq!((labels.of("one more"), labels.of("7")), (OTHER.to_owned(), "7".to_owned()));
        assert_eq!(Labels::default().of(&"x".repeat(LONGEST + 1)), OTHER);
    }

    #[test]
    fn a_product_is_called_by_its_id_or_else_by_its_name() {
        let named = |json: &str| serde_json::from_str::<Product>(json).unwrap().name();
        assert_eq!(named(r#"{"product_id": 7, "product_name": "A laptop"}"#).as_deref(), Some("7"));
        assert_eq!(named(r#"{"product_id": null, "product_name": "A laptop", "x": []}"#).as_deref(), Some("A laptop"));
        assert_eq!(named(r#"{"product_id": ["?"]}"#), None);
    }

    /// Such an answer does not say which question it is of.
    #[test]
    fn an_answer_of_the_old_system_counts_by_its_intent_and_its_products() {
        let old = br#"{"message_id": "550e8400-e29b-41d4-a716-446655440000", "user_id": "u", "response": "!",
            "session_id": "660e9411-f39c-42e5-b827-557766551111", "timestamp": "2025-10-28T10:30:00",
            "intent": "of_old", "products": [{"product_id": "P001"}]}"#;
        let metrics = Metrics::of_process().unwrap();
        let place = Place { topic: "chat-responses".into(), partition: 0, offset: 0 };
        let event = Event::from_version_0(old, None).unwrap();
        assert_eq!(Counters::new().handle(&event, &place).now_or_never(), Some(Ok(())));
        let text = metrics.text();
        let answer = r#"chatcore_answers_total{intent="of_old",status="completed"} 1"#;
        for line in [answer, r#"chatcore_products_total{product="P001"} 1"#] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}

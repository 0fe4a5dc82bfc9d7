//! Whether the bus tells of all that stands in the histories: what the workers print, and what stands in Kafka.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::audit::History;
use crate::events::{Events, From};
use crate::kafka::{DEAD_LETTERS, Kafka, Record, TOPICS};
use crate::options::Bus;
use crate::world::World;
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the workers may take for what is left: longer than a delivery takes to come back, or a group to find itself
/// again after everything in it was killed.
const WITHIN: Duration = Duration::from_secs(60);

/// What the workers print, read as it comes.
pub(crate) struct Printed {
    path: PathBuf,
    read: u64,
    pub(crate) events: Events,
}

impl Printed {
    pub(crate) fn new(path: PathBuf, bus: Bus) -> Self {
        let from = if bus == Bus::Kafka { From::Topics } else { From::Log };
        Self { path, read: 0, events: Events::new(from) }
    }

    /// Reads on. What is wrong however it goes on is told.
    pub(crate) fn look(&mut self, world: &World) {
        let mut text = Vec::new();
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        file.read_to_end(&mut text).unwrap();
        // What is being written has no end yet.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        for line in text[..whole].split(|byte| *byte == b'\n') {
            if let Ok(event) = serde_json::from_slice(line) {
                self.events.add(event);
            }
        }
        self.events.take_wrong().into_iter().for_each(|wrong| world.ledger.violation(wrong));
    }

    /// The workers get what is left.
    pub(crate) async fn all(&mut self, world: &World, histories: &[History]) {
        let start = Instant::now();
        loop {
            self.look(world);
            let wrong = self.events.against(&world.ledger, histories);
            if wrong.is_empty() || start.elapsed() > WITHIN {
                let (count, once, after) = (self.events.count, self.events.once(), start.elapsed().as_secs_f64());
                let crossed = self.events.crossed;
                world.ledger.noted(format!(
                    "printed by workers: {count} lines of {once} events, the last after {after:.1} s, {crossed} crossed"
                ));
                return wrong.into_iter().for_each(|wrong| world.ledger.violation(wrong));
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Kafka has everything. What the workers have printed was there, so that all of it is read at once; a reader of Kafka's that
/// was slow to begin may have found less.
pub(crate) async fn recorded(world: &World, kafka: &Kafka, histories: &[History]) {
    let end = Instant::now() + WITHIN;
    loop {
        let (events, mut wrong) = read(world, kafka).await;
        wrong.extend(events.against(&world.ledger, histories));
        if wrong.is_empty() || Instant::now() > end {
            let (count, once) = (events.count, events.once());
            world.ledger.noted(format!("records on Kafka: {count} of {once} events"));
            return wrong.into_iter().for_each(|wrong| world.ledger.violation(wrong));
        }
    }
}

/// All records, and what is wrong with them.
async fn read(world: &World, kafka: &Kafka) -> (Events, Vec<String>) {
    let topics = TOPICS.map(|(topic, _)| topic).into_iter().chain([DEAD_LETTERS]);
    let mut records = join_all(topics.map(|topic| kafka.records(topic))).await;
    let letters = records.pop().unwrap_or_default();
    let mut wrong: Vec<_> = letters.iter().map(|letter| format!("I3: parked: {letter:?}")).collect();
    let (mut events, mut partitions, mut questions) =
        (Events::new(From::Records), BTreeMap::new(), Questions::default());
    for ((_, kind), records) in TOPICS.iter().zip(records) {
        for record in records {
            let Ok(value) = serde_json::from_str::<Value>(&record.value) else {
                wrong.push(format!("I3: it is no JSON: {record:?}"));
                continue;
            };
            let home = partitions.entry(record.key.clone()).or_insert_with(|| record.partition.clone());
            if *home != record.partition || !fits(&record, &value, kind) {
                wrong.push(format!("I3: it does not belong in a partition of {kind}: {record:?}"));
            }
            wrong.extend(content(world, &value, &mut questions));
            events.add(value);
        }
    }
    wrong.extend(events.take_wrong());
    (events, wrong)
}

/// Whether what stands beside a value agrees with it.
fn fits(record: &Record, value: &Value, kind: &str) -> bool {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let headers = format!("event-id:{},", text("event_id"));
    let types = format!(",type:{kind},v:1");
    record.key == text("session_id")
        && text("type") == kind
        && record.headers.starts_with(&headers)
        && record.headers.ends_with(&types)
}

/// The questions that were read: each text by its id, and by each text the event that told it.
#[derive(Default)]
struct Questions {
    texts: BTreeMap<String, String>,
    events: BTreeMap<String, String>,
}

/// What is wrong with a question or an answer, wherever it stands: also in a session that was deleted since.
fn content(world: &World, value: &Value, questions: &mut Questions) -> Option<String> {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let (id, event) = (text("message_id").to_owned(), text("event_id").to_owned());
    match text("type") {
        "chat.requested" => {
            let question = text("message").to_owned();
            questions.texts.insert(id, question.clone());
            // Those before the storm have no key.
            let before = questions.events.insert(question.clone(), event.clone()).filter(|_| question != "q ready");
            before
                .filter(|before| *before != event)
                .map(|before| format!("I1: {question:?} is in {before} and {event}"))
        }
        "chat.responded" => {
            let question = questions.texts.get(&id)?;
            world.misfit(question, text("response"), text("status"), text("timestamp"))
        }
        _ => None,
    }
}

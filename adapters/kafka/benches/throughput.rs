//! Events a second over a real Kafka, beside the bare clients on the same topics and with the same records: the relay beside a
//! producer of rskafka at its best, lanes that acknowledge each event beside a loop of krafka that only polls. Fails where one is less than
//! half as fast.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends at a fault")]

#[path = "../tests/common/mod.rs"]
mod common;

use async_trait::async_trait;
use chatcore::consume::{Consumed, Consumer};
use chatcore::error::BackendError;
use chatcore::event::{Event, EventBody};
use chatcore::id::MessageId;
use chatcore::message::{AiReply, Answer, Message, Status};
use chatcore::port::{Backlog, Claimed, Entry, EntryId, EventBus, Mark, Outbox, Runtime as _, Settled};
use chatcore::relay::Relay;
use chatcore_kafka::{Compression, Kafka, KafkaConfig};
use chatcore_ports::tokio::TokioRuntime;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use krafka::consumer::AutoOffsetReset;
use rskafka::client::partition::{self, UnknownTopicHandling};
use rskafka::client::producer::aggregator::RecordAggregator;
use rskafka::client::producer::{BatchProducer, BatchProducerBuilder};
use rskafka::record::Record;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many rounds there are, and how many sessions and turns in each a round has.
const ROUNDS: usize = 6;
const SESSIONS: usize = 500;
const TURNS: u64 = 60;
/// What a relay and a worker of the programs take at once.
const BATCH: usize = 1000;
const LANES: usize = 64;
/// Of the speed of the bare clients so much is left at least.
const SHARE: f64 = 0.5;

/// An outbox of which nothing is measured.
#[derive(Debug)]
struct Ready(Mutex<Vec<Entry>>);

#[async_trait]
impl Outbox for Ready {
    async fn claim_behind(&self, _: &Mark, max: usize, _wait: Duration) -> Result<Claimed, BackendError> {
        let entries = self.0.lock().unwrap();
        let entries = entries[entries.len().saturating_sub(max)..].iter().rev().cloned().collect();
        Ok(Claimed { entries, end: Mark::default() })
    }

    async fn settle(&self, entries: &[(EntryId, Settled)]) -> Result<(), BackendError> {
        let mut left = self.0.lock().unwrap();
        let rest = left.len() - entries.len();
        left.truncate(rest);
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, BackendError> {
        Ok(Backlog { events: self.0.lock().unwrap().len() as u64, oldest: None })
    }
}

/// Turns of all sessions by turns, as they come from many users at once.
fn events() -> Vec<Event> {
    let sessions: Vec<_> = (0..SESSIONS).map(|_| common::new_session()).collect();
    let text = "Is the phone under thirty million still there, and which colours are left? ".repeat(3);
    let turns = (0..TURNS).flat_map(|turn| sessions.iter().map(move |session| (turn, *session)));
    turns
        .flat_map(|(turn, session)| {
            let question = common::question(session, 2 * turn + 1, &text);
            let reply = AiReply::default();
            let answer = Answer { status: Status::Completed, content: text.clone(), reply };
            let id = MessageId::from(TokioRuntime::current().new_id());
            let answer = Message::answer(id, question.seq + 1, question.seq, answer, question.at);
            let body = EventBody::ChatResponded(Box::new(answer));
            let answered = Event { seq: question.seq + 1, body, ..question.clone() };
            [question, answered]
        })
        .collect()
}

async fn relay(bus: &Arc<Kafka>, events: &[Event]) -> Duration {
    let entry = |(number, event): (usize, &Event)| Entry { id: EntryId(number.to_string()), event: event.clone() };
    let entries = events.iter().enumerate().map(entry).rev().collect();
    let outbox = Arc::new(Ready(Mutex::new(entries)));
    let start = TokioRuntime::current();
    let mut relay = Relay::new(outbox.clone(), bus.clone(), Arc::new(start.clone()), BATCH, Duration::ZERO);
    while outbox.backlog().await.unwrap().events > 0 {
        relay.step().await.unwrap();
    }
    start.elapsed()
}

/// The same records by one batching producer for each partition, with 1000 in flight. Whether it lingers for more is left to it:
/// what is faster here counts.
async fn produce(config: &KafkaConfig, events: &[Event]) -> Duration {
    let lingering = produce_lingering(config, events, Duration::from_millis(5)).await;
    lingering.min(produce_lingering(config, events, Duration::ZERO).await)
}

async fn produce_lingering(config: &KafkaConfig, events: &[Event], linger: Duration) -> Duration {
    let client = rskafka::client::ClientBuilder::new(config.bootstrap_servers.clone()).build().await.unwrap();
    let mut producers: Vec<Vec<Arc<BatchProducer<RecordAggregator>>>> = Vec::new();
    for topic in [&config.topics.requests, &config.topics.responses] {
        let mut of_topic = Vec::new();
        for partition in 0..config.partitions {
            let partition = client.partition_client(topic, partition, UnknownTopicHandling::Retry).await.unwrap();
            let builder = BatchProducerBuilder::new(Arc::new(partition))
                .with_linger(linger)
                .with_compression(partition::Compression::Gzip);
            of_topic.push(Arc::new(builder.build(RecordAggregator::new(512 * 1024))));
        }
        producers.push(of_topic);
    }
    let records: Vec<(usize, usize, Record)> = events
        .iter()
        .map(|event| {
            let headers = ["type", "v", "event-id"].map(|name| (name.to_owned(), event.id().to_string().into_bytes()));
            let (key, value) = (event.session.to_string().into_bytes(), event.to_json().into_bytes());
            let partition = event.session.as_uuid().as_u128() as usize % config.partitions as usize;
            let timestamp = rskafka::chrono::DateTime::default();
            let record = Record { key: Some(key), value: Some(value), headers: BTreeMap::from(headers), timestamp };
            (usize::from(event.seq % 2 == 0), partition, record)
        })
        .collect();
    let start = TokioRuntime::current();
    let sends = records.iter().map(|(topic, partition, record)| producers[*topic][*partition].produce(record.clone()));
    let sent: Vec<_> = stream::iter(sends).buffer_unordered(BATCH).collect().await;
    assert!(sent.iter().all(Result::is_ok));
    start.elapsed()
}

/// Lanes with no handlers, as a worker has them.
async fn work(bus: &Arc<Kafka>, group: &str, count: usize) -> Duration {
    let runtime = Arc::new(TokioRuntime::current());
    let consumer = Consumer::new(bus.subscribe(group).await.unwrap(), Vec::new(), runtime.clone(), 1);
    consumer.step().await.unwrap(); // the group has met
    let start = TokioRuntime::current();
    let done = Arc::new(AtomicUsize::new(1));
    let lanes: Vec<_> = (0..LANES)
        .map(|_| {
            let (consumer, done) = (consumer.clone(), done.clone());
            tokio::spawn(async move {
                while consumer.step().await.unwrap() == Consumed::Handled {
                    if done.fetch_add(1, Ordering::Relaxed) + 1 == count {
                        consumer.stop();
                    }
                }
            })
        })
        .collect();
    join_all(lanes).await;
    start.elapsed()
}

/// Polls and commits, and looks at nothing.
async fn poll(config: &KafkaConfig, group: &str, count: usize) -> Duration {
    let kafka = krafka::Kafka::builder(config.bootstrap_servers.join(",")).connect().await.unwrap();
    let consumer = kafka.consumer(group).auto_offset_reset(AutoOffsetReset::Earliest).enable_auto_commit(false);
    let consumer = consumer.build().await.unwrap();
    consumer.subscribe([config.topics.requests.as_str(), config.topics.responses.as_str()]).await.unwrap();
    let (mut seen, mut start) = (0, None);
    while seen < count {
        let records = consumer.poll(Duration::from_millis(100)).await.unwrap();
        seen += records.len();
        if !records.is_empty() {
            start.get_or_insert_with(TokioRuntime::current);
            consumer.commit().await.unwrap();
        }
    }
    let took = start.unwrap().elapsed();
    consumer.close().await.unwrap();
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The share of the bare client's speed.
fn tell(what: &str, count: usize, ours: Vec<Duration>, bare: Vec<Duration>) -> f64 {
    let [ours, bare] = [ours, bare].map(|times| count as f64 / median(times).as_secs_f64());
    println!("{what}: {ours:.0} events/s beside {bare:.0}: {:.2}", ours / bare);
    ours / bare
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Some(broker) = common::broker().await else { return ExitCode::SUCCESS };
    let (mut relayed, mut produced, mut worked, mut polled) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let events = events();
    for round in 0..ROUNDS {
        let mut config = common::config(broker);
        config.compression = Compression::Gzip;
        let bus = Arc::new(common::open(config.clone()));
        bus.create_topics().await.unwrap();
        relayed.push(relay(&bus, &events).await);
        // Who reads them first finds the broker colder.
        if round % 2 == 0 {
            worked.push(work(&bus, "ours", events.len()).await);
        }
        polled.push(poll(&config, "bare", events.len()).await);
        if round % 2 == 1 {
            worked.push(work(&bus, "ours", events.len()).await);
        }
        produced.push(produce(&config, &events).await);
    }
    let relay = tell("relay beside a producer", events.len(), relayed, produced);
    let worker = tell("worker beside a loop that polls", events.len(), worked, polled);
    let is_fast = relay >= SHARE && worker >= SHARE;
    if !is_fast {
        println!("too slow: less than {SHARE} of the bare client's speed");
    }
    ExitCode::from(u8::from(!is_fast))
}

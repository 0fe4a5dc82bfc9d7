//! Records that others write, and when records are there for others.

use crate::brokers::Broker;
use krafka::Kafka;
use krafka::consumer::{AutoOffsetReset, Consumer};
use krafka::producer::Record;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

async fn client(broker: &Broker) -> Kafka {
    Kafka::builder(format!("127.0.0.1:{}", broker.port)).connect().await.unwrap()
}

/// Writes records of this key, in order.
pub(crate) async fn write(broker: &Broker, topic: &str, key: &str, values: &[&[u8]]) {
    let producer = client(broker).await.producer().build().await.unwrap();
    for value in values {
        let record = Record::new(topic, value.to_vec()).key(key.to_owned()).header("from", "elsewhere");
        _ = producer.send(record).await.unwrap();
    }
}

/// Somebody who reads a topic all the time, and notes when each event was there.
pub(crate) struct Reader {
    arrivals: Arc<Mutex<BTreeMap<String, Instant>>>,
    reading: JoinHandle<()>,
}

impl Reader {
    /// From the topic's first record on. The topic is there already.
    pub(crate) async fn start(broker: &Broker, topic: &str) -> Self {
        let consumer = client(broker).await.consumer(format!("readers-of-{topic}"));
        let consumer = consumer.auto_offset_reset(AutoOffsetReset::Earliest).build().await.unwrap();
        consumer.subscribe([topic]).await.unwrap();
        let arrivals = Arc::default();
        let reading = tokio::spawn(read(consumer, Arc::clone(&arrivals)));
        Self { arrivals, reading }
    }

    /// When that event was there, once it is.
    pub(crate) async fn arrival(&self, event: &str) -> Instant {
        let wait = async {
            loop {
                let arrival = self.arrivals.lock().unwrap().get(event).copied();
                match arrival {
                    Some(at) => return at,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), wait).await.expect("the event gets to Kafka")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(consumer: Consumer, arrivals: Arc<Mutex<BTreeMap<String, Instant>>>) {
    loop {
        // A group that is being formed is no fault.
        let records = consumer.poll(Duration::from_millis(100)).await.unwrap_or_default();
        let now = Instant::now();
        for record in records {
            let header = record.headers.iter().find(|(name, _)| name == "event-id").unwrap();
            let event = String::from_utf8(header.1.clone().unwrap().to_vec()).unwrap();
            arrivals.lock().unwrap().entry(event).or_insert(now);
        }
    }
}

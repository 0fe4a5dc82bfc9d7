//! A real Kafka, what is done to it, and its records as its own console consumer shows them.

use crate::brokers::{Broker, broker};
use crate::lane::Suffers;
use crate::plan::Fault;
use std::thread::sleep;
use std::time::Duration;
use tokio::runtime::Handle;

/// The topics of events, each with the only type that belongs there.
pub(crate) const TOPICS: [(&str, &str); 3] =
    [("chat-requests", "chat.requested"), ("chat-responses", "chat.responded"), ("chat-sessions", "session.deleted")];
/// And of what no worker could work off.
pub(crate) const DEAD_LETTERS: &str = "chat-dlq";

/// A Kafka that runs as long as this process.
#[derive(Clone)]
pub(crate) struct Kafka {
    broker: &'static Broker,
    runtime: Handle,
}

/// A record of a topic.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) partition: String,
    /// `name:value`, with commas between.
    pub(crate) headers: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Kafka {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let broker = broker().await.expect("java and mvn, to run a Kafka with");
        Self { broker, runtime: Handle::current() }
    }

    /// What the programs are told of it. The topics get their usual names and three partitions each.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        [("BUS", "kafka".to_owned()), ("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", self.broker.port))]
    }

    /// All records of a topic; those of a partition in their order.
    pub(crate) async fn records(&self, topic: &str) -> Vec<Record> {
        let mut words = vec!["consume", "--topic", topic, "--from-beginning", "--timeout-ms", "6000"];
        for property in ["print.partition=true", "print.headers=true", "print.key=true"] {
            words.extend(["--formatter-property", property]);
        }
        let said = self.broker.tool(&words).await;
        // Between the records it says when it gave up waiting for more.
        let record = |line: &str| {
            let mut parts = line.strip_prefix("Partition:")?.splitn(4, '\t').map(str::to_owned);
            let mut part = || parts.next();
            Some(Record { partition: part()?, headers: part()?, key: part()?, value: part()? })
        };
        said.lines().filter_map(record).collect()
    }
}

impl Suffers for Kafka {
    fn suffer(&mut self, fault: Fault, lasts: Duration) -> Result<(), String> {
        if fault == Fault::Freeze {
            self.broker.signal("STOP");
            sleep(lasts);
            self.broker.signal("CONT");
        } else {
            self.runtime.block_on(self.broker.kill());
            sleep(lasts);
            self.broker.run();
            self.runtime.block_on(self.broker.answers());
        }
        Ok(())
    }
}

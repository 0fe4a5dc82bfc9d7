//! The Kafka that the walk's events go to, and what Kafka's own tools show of them.

use super::{Ends, Started};
use crate::run::{built, output, read, root};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs a broker, and Kafka's own tools.
const SCRIPT: &str = "adapters/kafka/tests/broker/broker.sh";
/// Says which Kafka that is.
const POM: &str = "adapters/kafka/tests/broker/pom.xml";
/// Where the script makes the broker's folder, below the one in which it is started.
const FOLDER: &str = "broker";

/// How many each topic has: so many that the right one is not met by chance.
pub(super) const PARTITIONS: &str = "40";
const QUESTIONS: &str = "chat-requests";
const ANSWERS: &str = "chat-responses";
/// Where a Java producer writes.
const FROM_JAVA: &str = "from-java";

/// A broker that ends when it is dropped.
pub(super) struct Broker {
    run: Started,
    libs: PathBuf,
    pub(super) server: String,
}

/// How many messages the walk sends: a user's two, the second for a stream, and a guest's.
const MESSAGES: u32 = 3;

/// What the console consumer shows of a record.
struct Shown {
    partition: String,
    key: String,
    value: String,
}

impl Broker {
    pub(super) fn start() -> Result<Self, String> {
        let port = free_port()?;
        // Where the tests have the same jars.
        let libs = built()?.with_file_name("tmp");
        let mut run = Command::new(root().join(SCRIPT));
        run.args(["run", FOLDER, &port.to_string()]).env("KAFKA_LIBS", &libs);
        let server = format!("127.0.0.1:{port}");
        Ok(Self { run: Started::start(&mut run, port, Ends::WithItsInput)?, libs, server })
    }

    /// Whether the question and the answer of the walk lie in their topics as old consumers expect them, and where a
    /// Java producer would have put them.
    pub(super) fn has(&self, answer: &Value) -> Result<(), String> {
        let session = answer["session_id"].as_str().ok_or("the walk's answer has no session_id")?;
        let to = ["--topic", FROM_JAVA, "--partitions", PARTITIONS];
        self.tool("topics", &[&["--create"], &to[..]].concat())?;
        self.produce(FROM_JAVA, session)?;
        let by_java = self.record_of(session, FROM_JAVA, 1)?.partition;
        for (topic, expected) in [(QUESTIONS, question(answer, session)), (ANSWERS, response(answer, session))] {
            let Shown { partition, key, value } = self.record_of(session, topic, MESSAGES)?;
            let mut event: Value = serde_json::from_str(&value).map_err(|error| format!("{error} in {value}"))?;
            // Nothing else tells when it was.
            let at = event["timestamp"].take();
            if key != session || !at.as_str().is_some_and(|at| at.ends_with('Z')) || event != expected {
                return Err(format!("{topic} has, under {key},\n{value}\nnot\n{expected}"));
            }
            if partition != by_java {
                return Err(format!("{topic} has it in {partition}, but a Java producer chooses {by_java}"));
            }
            println!("{topic} {partition}, as a Java producer chooses it: {value}");
        }
        Ok(())
    }

    /// The record with this key, in a topic with so many records.
    fn record_of(&self, key: &str, topic: &str, records: u32) -> Result<Shown, String> {
        let records = records.to_string();
        // Where fewer come it ends all the same.
        let mut arguments =
            vec!["--topic", topic, "--from-beginning", "--max-messages", &records, "--timeout-ms", "60000"];
        arguments.extend(["print.key=true", "print.partition=true"].iter().flat_map(|it| ["--formatter-property", it]));
        let printed = self.tool("consume", &arguments)?;
        // A line of the tool's log may stand before it.
        let has_key = |line: &&str| line.starts_with("Partition:") && line.split('\t').nth(1) == Some(key);
        let record = printed.lines().find(has_key).unwrap_or_default();
        let mut parts = record.splitn(3, '\t').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(partition), Some(key), Some(value)) => Ok(Shown { partition, key, value }),
            _ => Err(format!("{topic} has no record of {key}: {printed:?}")),
        }
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let mut tool = Command::new(root().join(SCRIPT));
        tool.arg("tool").arg(self.run.folder.join(FOLDER)).arg(name).args(arguments).env("KAFKA_LIBS", &self.libs);
        output(&mut tool)
    }

    /// Writes a record with this key by Kafka's own console producer, which chooses the partition.
    fn produce(&self, topic: &str, key: &str) -> Result<(), String> {
        let pom = read(POM)?;
        let version = pom.split_once("<kafka.version>").and_then(|(_, rest)| Some(rest.split_once('<')?.0));
        let jars = self.libs.join(format!("kafka-{}/*", version.ok_or("the POM names no kafka.version")?));
        let mut java = Command::new("java");
        java.arg("-cp").arg(jars).args(["org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", &self.server]);
        java.args(["--topic", topic, "--reader-property", "parse.key=true"]).stdin(Stdio::piped());
        let failed = |error: std::io::Error| format!("the console producer: {error}");
        let mut run = java.spawn().map_err(failed)?;
        if let Some(mut stdin) = run.stdin.take() {
            writeln!(stdin, "{key}\tits partition is what counts").map_err(failed)?;
        }
        let status = run.wait().map_err(failed)?;
        if status.success() { Ok(()) } else { Err(format!("the console producer failed: {status}")) }
    }
}

/// The event of the walk's question: the members that the FastAPI system wrote, and ours.
fn question(answer: &Value, session: &str) -> Value {
    json!({
        "message_id": answer["message_id"], "session_id": session, "user_id": "user_123",
        "message": answer["user_message"], "timestamp": null,
        "type": "chat.requested", "v": 1, "event_id": format!("{session}-1"), "seq": 1, "device_id": null,
    })
}

/// The event of the answer.
fn response(answer: &Value, session: &str) -> Value {
    json!({
        "message_id": answer["message_id"], "session_id": session, "user_id": "user_123",
        "response": answer["ai_response"], "products": answer["products"], "intent": answer["intent"],
        "timestamp": null, "status": answer["status"], "confidence": answer["confidence"], "reply_to": 1,
        "type": "chat.responded", "v": 1, "event_id": format!("{session}-2"), "seq": 2, "device_id": null,
    })
}

/// The first of three ports that are free. None is an ephemeral one, nor one of those that the tests use.
fn free_port() -> Result<u16, String> {
    let free = |port: &u16| (0..4).all(|next| TcpListener::bind(("127.0.0.1", port + next)).is_ok());
    (31_000..32_000).step_by(10).find(free).ok_or_else(|| "no free ports for a broker".into())
}

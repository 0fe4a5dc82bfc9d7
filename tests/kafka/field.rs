//! A server on a broker, and what else is told to find it.

use crate::brokers::Broker;
use crate::client::Client;
use crate::printer::{Printed, Worker};
use crate::process::{Server, command};
use crate::talk::say;
use serde_json::Value;
use std::process::Output;
use std::time::Duration;

/// How long a busy machine may take for what has no time of its own.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Settings for this broker, with topics and a group that no other test has.
pub(crate) fn settings(broker: &Broker, name: &str) -> [(&'static str, String); 7] {
    [
        ("MESSAGE_QUOTA", "off".into()),
        ("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", broker.port)),
        ("KAFKA_TOPIC_CHAT_REQUESTS", format!("{name}-requests")),
        ("KAFKA_TOPIC_CHAT_RESPONSES", format!("{name}-responses")),
        ("KAFKA_TOPIC_CHAT_SESSIONS", format!("{name}-sessions")),
        ("KAFKA_TOPIC_DLQ", format!("{name}-dlq")),
        ("KAFKA_CONSUMER_GROUP", format!("{name}-workers")),
    ]
}

/// The same, as a program is started with them.
pub(crate) fn pairs<'a, const N: usize>(settings: &'a [(&'static str, String); N]) -> [(&'static str, &'a str); N] {
    settings.each_ref().map(|(name, value)| (*name, value.as_str()))
}

/// A server, and workers of the same group and topics.
pub(crate) struct Field {
    pub(crate) server: Server,
    settings: [(&'static str, String); 7],
}

impl Field {
    /// With a name that no other test has, and some settings besides.
    pub(crate) fn new(broker: &Broker, name: &str, more: &[(&str, &str)]) -> Self {
        let settings = settings(broker, name);
        let server = Server::start(&[&pairs(&settings)[..], more].concat());
        Self { server, settings }
    }

    pub(crate) fn worker(&self, printed: &Printed) -> Worker {
        self.worker_with(printed, &[])
    }

    /// A worker with some settings besides.
    pub(crate) fn worker_with(&self, printed: &Printed, more: &[(&str, &str)]) -> Worker {
        Worker::start(self.server.folder(), &[&pairs(&self.settings)[..], more].concat(), printed)
    }

    /// What is started from now on is of this group.
    pub(crate) fn rename_group(&mut self, group: &str) {
        let settings = self.settings.iter_mut().filter(|(name, _)| *name == "KAFKA_CONSUMER_GROUP");
        settings.for_each(|(_, value)| group.clone_into(value));
    }

    /// A command of the worker's.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command("app-worker", self.server.folder());
        command.envs(pairs(&self.settings)).args(arguments).output().unwrap()
    }

    /// What a command of the worker's prints, which must do it.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The dead letters on Kafka.
    pub(crate) fn letters(&self) -> Vec<Value> {
        let listed = self.command(&["dead-letters", "list", "--json"]);
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A server with a worker that prints, and a session whose first turn has come through.
pub(crate) struct Begun {
    pub(crate) field: Field,
    pub(crate) client: Client,
    pub(crate) printed: Printed,
    pub(crate) session: String,
    pub(crate) _worker: Worker,
}

impl Begun {
    pub(crate) async fn start(broker: &Broker, name: &str) -> Self {
        let (field, printed) = (Field::new(broker, name, &[]), Printed::default());
        let client = Client::login(&field.server).await;
        let _worker = field.worker(&printed);
        let session = say(&client, None).await;
        printed.wait_for(2, LONG).await;
        Self { field, client, printed, session, _worker }
    }
}

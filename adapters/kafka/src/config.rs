//! How the bus is reached.

use crate::error::OpenError;
use crate::topic::Topic;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How the bus is reached. [`new`](Self::new) fills in good values for everything but the servers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KafkaConfig {
    /// Some of the cluster's brokers, each as `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// The topics' names.
    pub topics: Topics,
    /// How many partitions a topic of events has that is made here. The dead letters have one.
    pub partitions: i32,
    /// How many copies a topic has that is made here.
    pub replication: i16,
    /// What stands before the name of every group, for a cluster that several systems share.
    pub group_prefix: String,
    /// How members agree on who reads what.
    pub group_protocol: GroupProtocol,
    /// What protects the connections.
    pub security: Security,
    /// How records are written.
    pub compression: Compression,
    /// How long a call may take, from connecting to the reply.
    pub call_timeout: Duration,
    /// How long after its last sign of life a member counts as dead, and what it had goes to others. The brokers allow 6 s
    /// or more unless they are told otherwise. With [`GroupProtocol::Consumer`] the brokers alone decide.
    pub session_timeout: Duration,
    /// How long a partition that moves to another member waits for the records in hand to be worked off.
    pub handover: Duration,
}

/// The topics' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Questions.
    pub requests: String,
    /// Answers.
    pub responses: String,
    /// Deletions.
    pub sessions: String,
    /// Dead letters.
    pub dlq: String,
}

/// How members agree on who reads what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupProtocol {
    /// As all clients and all brokers know it.
    #[default]
    Classic,
    /// As brokers from 4.0 on know it (KIP-848). A dead member is noticed after 45 s, unless the brokers are told otherwise.
    Consumer,
}

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// With gzip.
    Gzip,
}

/// What protects the connections: nothing (`plaintext`), `tls` alone (`ssl`), `sasl` alone (`sasl_plaintext`), or both
/// (`sasl_ssl`).
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Encryption; `None` for none.
    pub tls: Option<Tls>,
    /// A name and a password; `None` for none.
    pub sasl: Option<Sasl>,
}

/// Encryption.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The certificates to trust, as PEM; `None` for those that browsers trust.
    pub ca_file: Option<PathBuf>,
}

/// A name and a password.
#[derive(Clone)]
pub struct Sasl {
    /// How they are told.
    pub mechanism: Mechanism,
    /// The name.
    pub username: String,
    /// The password, which `Debug` does not show.
    pub password: String,
}

/// How a name and a password are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// `PLAIN`: as they are, so only where the connection is encrypted.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

impl KafkaConfig {
    /// Good values for everything but the servers.
    #[must_use]
    pub fn new(bootstrap_servers: Vec<String>) -> Self {
        Self {
            bootstrap_servers,
            topics: Topics::default(),
            partitions: 3,
            replication: 1,
            group_prefix: String::new(),
            group_protocol: GroupProtocol::default(),
            security: Security::default(),
            compression: Compression::default(),
            call_timeout: Duration::from_secs(5),
            session_timeout: Duration::from_secs(6),
            handover: Duration::from_secs(30),
        }
    }

    /// All that can be seen to be wrong without asking a broker.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let port = |server: &str| server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if self.bootstrap_servers.is_empty() {
            return Err(OpenError::NoServer);
        }
        if let Some(server) = self.bootstrap_servers.iter().find(|server| !port(server)) {
            return Err(OpenError::Server { server: server.clone() });
        }
        self.topics.check()?;
        let sasl = self.security.sasl.as_ref();
        if sasl.is_some_and(|sasl| sasl.username.is_empty() || sasl.password.is_empty()) {
            return Err(OpenError::NoPassword);
        }
        let numbers = [
            ("partitions", self.partitions >= 1),
            ("replication", self.replication >= 1),
            ("call_timeout", !self.call_timeout.is_zero()),
            ("session_timeout", self.session_timeout >= Duration::from_millis(100)),
            ("handover", self.handover <= MAX_HANDOVER),
        ];
        match numbers.iter().find(|(_, good)| !good) {
            Some((setting, _)) => Err(OpenError::Number { setting }),
            None => Ok(()),
        }
    }
}

/// Less than the time after which a group goes on without a member that is still giving records back.
const MAX_HANDOVER: Duration = Duration::from_secs(240);

impl Topics {
    pub(crate) fn name(&self, topic: Topic) -> &str {
        match topic {
            Topic::Requests => &self.requests,
            Topic::Responses => &self.responses,
            Topic::Sessions => &self.sessions,
        }
    }

    pub(crate) fn of_events(&self) -> [&str; 3] {
        Topic::ALL.map(|topic| self.name(topic))
    }

    pub(crate) fn all(&self) -> [&str; 4] {
        [&self.requests, &self.responses, &self.sessions, &self.dlq]
    }

    /// Which topic of events has this name.
    pub(crate) fn topic(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.name(*topic) == name)
    }

    fn check(&self) -> Result<(), OpenError> {
        let good = |name: &str| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (1..=249).contains(&name.len()) && name.bytes().all(letters) && name != "." && name != ".."
        };
        let all = self.all();
        for (index, name) in all.iter().enumerate() {
            if !good(name) || all[..index].contains(name) {
                return Err(OpenError::Topic { name: (*name).to_owned() });
            }
        }
        Ok(())
    }
}

impl Default for Topics {
    fn default() -> Self {
        let [requests, responses, sessions, dlq] =
            ["chat-requests", "chat-responses", "chat-sessions", "chat-dlq"].map(str::to_owned);
        Self { requests, responses, sessions, dlq }
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Sasl");
        told.field("mechanism", &self.mechanism).field("username", &self.username).finish_non_exhaustive()
    }
}

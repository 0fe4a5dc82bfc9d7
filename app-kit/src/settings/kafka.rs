//! Where Kafka is, and how it is spoken to.

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::secret::Secret;
use super::table::{self as t, Spec};
use std::path::PathBuf;

/// Where Kafka is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    /// Some of the brokers, as `host:port`; none where the events go elsewhere.
    pub servers: Vec<String>,
    /// The topic of questions.
    pub requests: String,
    /// The topic of answers.
    pub responses: String,
    /// The topic of deletions.
    pub sessions: String,
    /// The topic of dead letters.
    pub dlq: String,
    /// How many partitions a topic gets that is made.
    pub partitions: i32,
    /// How many copies it gets.
    pub replication: i16,
    /// The group that workers are members of.
    pub group: String,
    /// Whether its members agree by the newer protocol (KIP-848).
    pub newer_protocol: bool,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The certificates to trust; `None` for those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// A name and a password; `None` for none.
    pub sasl: Option<Sasl>,
    /// Whether records are compressed.
    pub gzip: bool,
    /// Whether this program moves events from the outbox to Kafka.
    pub relay: bool,
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How they are told.
    pub mechanism: Mechanism,
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// How a name and a password are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// As they are.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

impl Kafka {
    /// `relay` says whether this program relays unless it is told otherwise.
    pub(super) fn read(reader: &mut Reader, relay: bool) -> Option<Self> {
        let servers = reader.optional(&t::KAFKA_BOOTSTRAP_SERVERS, servers);
        let topics = [
            reader.get(&t::KAFKA_TOPIC_CHAT_REQUESTS, topic),
            reader.get(&t::KAFKA_TOPIC_CHAT_RESPONSES, topic),
            reader.get(&t::KAFKA_TOPIC_CHAT_SESSIONS, topic),
            reader.get(&t::KAFKA_TOPIC_DLQ, topic),
        ];
        let partitions = reader.get(&t::KAFKA_TOPIC_PARTITIONS, partitions);
        let replication = reader.get(&t::KAFKA_REPLICATION, replication);
        let group = reader.get(&t::KAFKA_CONSUMER_GROUP, parse::text);
        let newer_protocol = reader.get(&t::KAFKA_GROUP_PROTOCOL, |text| one_of(text, &["classic", "consumer"]));
        let gzip = reader.get(&t::KAFKA_COMPRESSION, |text| one_of(text, &["none", "gzip"]));
        let (security, relay) =
            (security(reader), reader.get_or(&t::RELAY, if relay { "on" } else { "off" }, parse::boolean));
        let [requests, responses, sessions, dlq] = topics;
        let (requests, responses, sessions, dlq) = (requests?, responses?, sessions?, dlq?);
        if [&requests, &responses, &sessions].contains(&&dlq)
            || requests == responses
            || responses == sessions
            || sessions == requests
        {
            reader.fault(&t::KAFKA_TOPIC_DLQ, "and the three topics of events must have four different names");
        }
        let (tls, ca_file, sasl) = security?;
        let (partitions, replication, group, relay) = (partitions?, replication?, group?, relay?);
        let (newer_protocol, gzip) = (newer_protocol? == 1, gzip? == 1);
        Some(Self {
            servers: servers?.unwrap_or_default(),
            requests,
            responses,
            sessions,
            dlq,
            partitions,
            replication,
            group,
            newer_protocol,
            tls,
            ca_file,
            sasl,
            gzip,
            relay,
        })
    }

    /// What says nothing without a broker: who gives one of these means one.
    pub(super) fn of_a_broker(&self) -> impl Iterator<Item = &'static Spec> {
        let is_secure = self.tls || self.sasl.is_some();
        let given = [
            (&t::KAFKA_SECURITY_PROTOCOL, is_secure),
            (&t::KAFKA_CA_FILE, self.ca_file.is_some()),
            (&t::RELAY, self.relay),
        ];
        given.into_iter().filter_map(|(spec, is_there)| is_there.then_some(spec))
    }
}

/// Encryption, whom to trust, and a name with its password.
fn security(reader: &mut Reader) -> Option<(bool, Option<PathBuf>, Option<Sasl>)> {
    let protocols = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
    let protocol = reader.get(&t::KAFKA_SECURITY_PROTOCOL, |text| one_of(text, &protocols));
    let mechanism = reader.get(&t::KAFKA_SASL_MECHANISM, mechanism);
    let username = reader.optional(&t::KAFKA_SASL_USERNAME, parse::text);
    let password = reader.optional(&t::KAFKA_SASL_PASSWORD, |text| Ok(Secret::new(text)));
    let ca_file = reader.optional(&t::KAFKA_CA_FILE, parse::certificates);
    let (protocol, mechanism) = (protocol?, mechanism?);
    let (tls, named) = (protocol == 1 || protocol == 3, protocol >= 2);
    let (username, password, ca_file) = (username?, password?, ca_file?);
    if !tls && ca_file.is_some() {
        let rule = "is of no use with this KAFKA_SECURITY_PROTOCOL, which encrypts nothing; SSL or SASL_SSL would";
        reader.fault(&t::KAFKA_CA_FILE, rule);
    }
    if !named && (username.is_some() || password.is_some()) {
        let rule = "and KAFKA_SASL_PASSWORD are told to nobody by this KAFKA_SECURITY_PROTOCOL; SASL_SSL would";
        reader.fault(&t::KAFKA_SASL_USERNAME, rule);
    }
    let sasl = username.zip(password).map(|(username, password)| Sasl { mechanism, username, password });
    if named && sasl.is_none() {
        reader.fault(&t::KAFKA_SASL_USERNAME, "and KAFKA_SASL_PASSWORD are needed by this KAFKA_SECURITY_PROTOCOL");
    }
    Some((tls, ca_file, sasl))
}

/// Which of these words it is, in any case.
fn one_of(text: &str, words: &[&str]) -> Parsed<usize> {
    let rule = match words {
        ["classic", ..] => "classic or consumer",
        ["none", ..] => "none or gzip",
        _ => "plaintext, ssl, sasl_plaintext or sasl_ssl",
    };
    words.iter().position(|word| word.eq_ignore_ascii_case(text.trim())).ok_or(rule)
}

fn mechanism(text: &str) -> Parsed<Mechanism> {
    match text.trim().to_uppercase().as_str() {
        "PLAIN" => Ok(Mechanism::Plain),
        "SCRAM-SHA-256" => Ok(Mechanism::ScramSha256),
        "SCRAM-SHA-512" => Ok(Mechanism::ScramSha512),
        _ => Err("PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    }
}

fn servers(text: &str) -> Parsed<Vec<String>> {
    let good = |server: &str| {
        let parts = server.rsplit_once(':');
        parts.is_some_and(|(host, port)| !host.is_empty() && !host.contains(['@', '/']) && port.parse::<u16>().is_ok())
    };
    let servers: Vec<String> = text.split(',').map(|server| server.trim().to_owned()).collect();
    if servers.iter().all(|server| good(server)) {
        Ok(servers)
    } else {
        Err("host:port, without a scheme or a user, with commas between several")
    }
}

fn topic(text: &str) -> Parsed<String> {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let good = (1..=249).contains(&text.len()) && text.bytes().all(letters) && text != "." && text != "..";
    if good { Ok(text.to_owned()) } else { Err("the name of a topic: at most 249 of A-Z a-z 0-9 . _ -") }
}

fn partitions(text: &str) -> Parsed<i32> {
    text.trim().parse().ok().filter(|count| (1..=10_000).contains(count)).ok_or("a whole number, 1 to 10000")
}

fn replication(text: &str) -> Parsed<i16> {
    text.trim().parse().ok().filter(|count| (1..=100).contains(count)).ok_or("a whole number, 1 to 100")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Kafka, String> {
        let mut reader = Reader::of_pairs(pairs.iter().copied());
        let kafka = Kafka::read(&mut reader, true);
        reader.finish(kafka).map_err(|faults| faults.to_string())
    }

    #[test]
    fn servers_are_all_that_is_needed() {
        assert_eq!(read(&[]).unwrap().servers, [""; 0]);
        let kafka = read(&[("KAFKA_BOOTSTRAP_SERVERS", "broker1:9092, broker2:9092")]).unwrap();
        assert_eq!(kafka.servers, ["broker1:9092", "broker2:9092"]);
        assert_eq!(
            (kafka.requests.as_str(), kafka.partitions, kafka.relay, kafka.tls),
            ("chat-requests", 3, true, false)
        );
    }

    #[test]
    fn a_protocol_with_names_needs_one_and_its_password_is_shown_to_nobody() {
        let servers = ("KAFKA_BOOTSTRAP_SERVERS", "b:9092");
        let secure = ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL");
        assert!(read(&[servers, secure]).unwrap_err().contains("KAFKA_SASL_PASSWORD"));
        let named = [
            ("KAFKA_SASL_USERNAME", "chat"),
            ("KAFKA_SASL_PASSWORD", "hunter2"),
            ("KAFKA_SASL_MECHANISM", "scram-sha-512"),
        ];
        let kafka = read(&[&[servers, secure][..], &named].concat()).unwrap();
        assert!(kafka.tls && !format!("{kafka:?}").contains("hunter2"));
        assert_eq!(kafka.sasl.unwrap().mechanism, Mechanism::ScramSha512);
        let plain = read(&[&[servers][..], &named].concat()).unwrap_err();
        assert!(plain.contains("KAFKA_SASL_USERNAME") && !plain.contains("hunter2"), "nobody is asked for it: {plain}");
    }

    #[test]
    fn what_cannot_be_right_is_told_by_name() {
        for (name, value) in [
            ("KAFKA_BOOTSTRAP_SERVERS", "broker"),
            ("KAFKA_BOOTSTRAP_SERVERS", "b:9092,kafka://b:9092"),
            ("KAFKA_BOOTSTRAP_SERVERS", "u:hunter2@b:9092"),
            ("KAFKA_TOPIC_CHAT_REQUESTS", "chat requests"),
            ("KAFKA_TOPIC_DLQ", "chat-requests"),
            ("KAFKA_TOPIC_PARTITIONS", "0"),
            ("KAFKA_SECURITY_PROTOCOL", "tls"),
            ("KAFKA_GROUP_PROTOCOL", "eager"),
            ("KAFKA_COMPRESSION", "lz4"),
            ("RELAY", "maybe"),
        ] {
            assert!(read(&[(name, value)]).unwrap_err().contains(name), "{name}");
        }
    }
}

//! What can go wrong: in the settings, and when a broker is asked.

use chatcore::error::BackendError;
use rskafka::client::error::{Error, ProtocolError};
use std::path::PathBuf;

/// The adapter's name in errors and health reports.
pub(crate) const NAME: &str = "kafka";

/// What is wrong with the settings, and what to do about it. A broker that is away is no such error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No broker is named.
    #[error("no Kafka server is named: give at least one as host:port")]
    NoServer,
    /// That names no broker.
    #[error("{server:?} is no Kafka server: it should be host:port")]
    Server {
        /// What was given.
        server: String,
    },
    /// That names no topic, or two topics have that name.
    #[error("{name:?} cannot name a topic: letters, digits and ._- are allowed, at most 249, and each name once")]
    Topic {
        /// What was given.
        name: String,
    },
    /// A number is out of its range.
    #[error("{setting} is out of its range")]
    Number {
        /// Which.
        setting: &'static str,
    },
    /// SASL needs both.
    #[error("the Kafka user's name or password is empty")]
    NoPassword,
    /// The certificates cannot be read.
    #[error("the CA file {} holds no certificates that can be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What was said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Encryption cannot be set up.
    #[error("TLS cannot be set up: see the source of this error")]
    Tls {
        /// What was said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a broker did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failed {
    /// What was sent is larger than the topic takes.
    TooLarge,
    /// Something in what was sent is none that it ever takes.
    Invalid(String),
    /// It takes no record of such a time.
    Untimely,
    /// That offset is not in the log, or no longer.
    OutOfRange,
    /// The topic is there already.
    Exists,
    /// Something else.
    Other(BackendError),
}

impl Failed {
    /// Whether the client is as good as it was.
    pub(crate) fn spares_client(&self) -> bool {
        matches!(self, Self::TooLarge | Self::Invalid(_) | Self::Untimely | Self::OutOfRange)
    }
}

impl From<BackendError> for Failed {
    fn from(error: BackendError) -> Self {
        Self::Other(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let Error::ServerError { protocol_error, .. } = &error else {
            return Self::Other(BackendError::later(NAME, error));
        };
        match protocol_error {
            ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => Self::TooLarge,
            ProtocolError::InvalidRecord => Self::Invalid(protocol_error.to_string()),
            ProtocolError::InvalidTimestamp => Self::Untimely,
            ProtocolError::OffsetOutOfRange => Self::OutOfRange,
            ProtocolError::TopicAlreadyExists => Self::Exists,
            // Somebody has to give a right, or mend a setting.
            ProtocolError::TopicAuthorizationFailed
            | ProtocolError::ClusterAuthorizationFailed
            | ProtocolError::GroupAuthorizationFailed
            | ProtocolError::InvalidTopicException
            | ProtocolError::InvalidReplicationFactor
            | ProtocolError::InvalidPartitions
            | ProtocolError::PolicyViolation
            | ProtocolError::UnsupportedVersion => Self::Other(BackendError::never(NAME, error)),
            _ => Self::Other(BackendError::later(NAME, error)),
        }
    }
}

impl From<Failed> for BackendError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::TooLarge => Self::never(NAME, "the record is too large for its topic"),
            Failed::Invalid(why) => Self::never(NAME, format!("the topic never takes the record: {why}")),
            Failed::Untimely => Self::later(NAME, "the topic takes no record of such a time"),
            Failed::OutOfRange => Self::later(NAME, "the log does not reach there"),
            Failed::Exists => Self::later(NAME, "the topic is there already"),
            Failed::Other(error) => error,
        }
    }
}

//! What can go wrong: in the settings, and when MongoDB is asked.

use chatcore::error::BackendError;
use mongodb::error::{Error, ErrorKind, RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR, WriteFailure};

/// The adapter's name in errors and health reports.
pub(crate) const NAME: &str = "mongodb";

/// What is wrong with the settings, and what to do about it. A server that is away is no such error. Nothing of the URI is
/// shown, since there may be a password in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The driver cannot read it.
    #[error(
        "the address of MongoDB cannot be read: it should be mongodb://user:password@host:27017/?options, with the user and \
         the password percent-encoded; mongodb+srv:// is not known here"
    )]
    Uri,
    /// Nobody would know whether something was stored.
    #[error("w=0 in the address of MongoDB: what is stored has to be acknowledged")]
    Unacknowledged,
    /// That names no database.
    #[error("{name:?} cannot name a database of MongoDB: at most 63 bytes, without spaces and /\\.\"$*<>:|?")]
    Database {
        /// What was given.
        name: String,
    },
    /// A time is zero.
    #[error("{setting} is out of its range")]
    Number {
        /// Which.
        setting: &'static str,
    },
    /// A file of certificates cannot be read.
    #[error("TLS to MongoDB cannot be set up: {told}")]
    Tls {
        /// What was said.
        told: String,
    },
}

impl OpenError {
    pub(crate) fn of(error: &Error) -> Self {
        match &*error.kind {
            ErrorKind::InvalidTlsConfig { message, .. } => Self::Tls { told: message.clone() },
            // Of all that is read here only the client's own certificate is a file.
            ErrorKind::Io(error) => Self::Tls { told: format!("tlsCertificateKeyFile cannot be read: {error}") },
            _ => Self::Uri,
        }
    }
}

/// Why MongoDB did not do what it was asked. The texts never hold anything of a document: what the server says does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It is away, busy, or somebody has to mend its settings: no fault of what was sent.
    Later(String),
    /// It does not take this.
    Never(String),
}

/// Codes that tell of the server or of its settings, not of what was sent, and that do not always come with a label.
const PASSING: &[i32] = &[
    6, 7, 89, 9001, // it cannot be reached
    91, 189, 10058, 10107, 11600, 11602, 13435, 13436, // it is no primary, or is shutting down
    24, 46, 50, 112, 262, 11601, // it did not get to it
    133, 134, // no server that is fit
    13, 18, 391, 8000, // the user may not, or not yet
    146, 462, 14031, 16500, // no memory, no disk, too many requests
];

/// There is a document with that key.
const DUPLICATE_KEY: i32 = 11000;

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let labelled = error.contains_label(RETRYABLE_WRITE_ERROR) || error.contains_label(RETRYABLE_ERROR);
        match &*error.kind {
            ErrorKind::Write(WriteFailure::WriteError(error)) => {
                Self::told(error.code, error.code_name.as_deref().unwrap_or_default(), labelled)
            }
            // It is written, but not where it has to be.
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Self::told(error.code, &error.code_name, true),
            ErrorKind::Command(error) => Self::told(error.code, &error.code_name, labelled),
            ErrorKind::InvalidArgument { .. } | ErrorKind::Bson(_) => Self::Never("the driver does not take it".into()),
            ErrorKind::InvalidResponse { .. } => Self::Later("an answer cannot be read".into()),
            // Connections, certificates, passwords; none of it speaks of a document.
            kind => Self::Later(kind.to_string()),
        }
    }
}

impl Failed {
    fn told(code: i32, name: &str, may_pass: bool) -> Self {
        let what = format!("MongoDB answered {code} {name}").trim_end().to_owned();
        if may_pass || PASSING.contains(&code) { Self::Later(what) } else { Self::Never(what) }
    }
}

impl From<Failed> for BackendError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Later(what) => Self::later(NAME, what),
            Failed::Never(what) => Self::never(NAME, what),
        }
    }
}

/// Whether a write failed because there is a document with that key.
pub(crate) fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}

//! What can go wrong: when the store is opened, and when it is used.

use chatcore::error::BackendError;
use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};
use std::path::PathBuf;
use std::time::Duration;

/// The adapter's name in errors and health reports.
pub(crate) const NAME: &str = "redis";

/// Why the store cannot be used, and what to do about it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not one of Redis.
    #[error("{url} is not a URL of Redis ({why}): write redis://host:port/database, or rediss:// for TLS")]
    Url {
        /// The URL, without its password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificates cannot be read, or are not asked for.
    #[error("the CA file {} is of no use: {why}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What was said.
        why: String,
    },
    /// The prefix would break the names of the keys.
    #[error("the key prefix {prefix:?} is not usable: leave out braces, spaces and control characters")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// There may be 1 to 16 partitions.
    #[error("{partitions} partitions are not possible: choose 1 to 16")]
    Partitions {
        /// How many were asked for.
        partitions: u8,
    },
    /// The server knows no `#!lua` scripts.
    #[error("the server is Redis {found}: version 7.0 or newer is needed")]
    Version {
        /// Its version.
        found: String,
    },
    /// The server throws keys away when its memory is full.
    #[error("the server throws keys away when its memory is full (maxmemory-policy {policy}): set it to noeviction")]
    Evicts {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// The sessions under this prefix are spread in another way.
    #[error(
        "the sessions under {prefix:?} are spread over {found} partitions, not {asked}: \
         set the partitions to {found}, or choose another key prefix"
    )]
    OtherPartitions {
        /// The key prefix.
        prefix: String,
        /// How many there are.
        found: String,
        /// How many were asked for.
        asked: u8,
    },
    /// There is no such database.
    #[error("{why}: choose a database that the server has (a cluster has 0 alone)")]
    Database {
        /// What was said.
        why: String,
    },
    /// The server does not let this user in, or not do what is needed.
    #[error("the server refuses: {why}; check user, password and the ACL that the README of chatcore-redis shows")]
    Denied {
        /// What it said.
        why: String,
    },
}

/// No answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} ms", .0.as_millis())]
pub(crate) struct NoAnswer(pub(crate) Duration);

/// A call failed. Whatever has to do with where the server is, how it does and how full it is may pass; a script that is
/// wrong or a user that may not stays until somebody mends it.
pub(crate) fn failed(error: RedisError) -> BackendError {
    if stays(&error) { BackendError::never(NAME, error) } else { BackendError::later(NAME, error) }
}

/// Whether nothing came in time.
pub(crate) fn is_late(error: &BackendError) -> bool {
    let said = error.source.downcast_ref::<RedisError>();
    said.is_some_and(RedisError::is_timeout) || error.source.is::<NoAnswer>()
}

fn stays(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig | ErrorKind::Client => true,
        // There are too many clients, or the slot is moving to another node.
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            !is_full(error) && !error.detail().is_some_and(|why| why.contains("non local key"))
        }
        ErrorKind::Server(ServerErrorKind::CrossSlot) => true,
        _ => is_denied(error),
    }
}

/// Whether the server has as many clients as it takes.
pub(crate) fn is_full(error: &RedisError) -> bool {
    error.detail().is_some_and(|why| why.contains("max number of clients"))
}

/// Whether the server does not let this user do it. Of what a script may not do, it depends on the server how it says so.
pub(crate) fn is_denied(error: &RedisError) -> bool {
    let any = |text: &str, of: &[&str]| of.iter().any(|said| text.contains(said));
    let denied = |text: &str| any(text, &["NOAUTH", "NOPERM", "WRONGPASS"]);
    let of_script = |text: &str| any(text, &["The user executing the script can't", "ACL failure in script"]);
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        ErrorKind::Server(ServerErrorKind::ResponseError) => error.detail().is_some_and(of_script),
        ErrorKind::Extension => error.code().is_some_and(denied),
        ErrorKind::AuthenticationFailed => error.detail().is_none_or(denied),
        _ => false,
    }
}

/// Whether the server has no database of the number that is asked for.
pub(crate) fn is_no_database(error: &RedisError) -> bool {
    let told = error.to_string();
    error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) && told.contains("switch database")
}

/// The server answered something that no script of ours says.
pub(crate) fn unreadable(what: impl std::fmt::Display) -> BackendError {
    BackendError::never(NAME, format!("an answer that cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_may_not_do_is_denied() {
        let said = |what: &str| {
            let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
            is_denied(&RedisError::from((kind, "said by the server", what.to_owned())))
        };
        let of = "The user executing the script can't";
        assert!(said(&format!(
            "{of} publish to the channel mentioned in the command script: 13d2, on @user_script:2."
        )));
        assert!(said(&format!("{of} run this command or subcommand")));
        assert!(said(&format!("{of} access at least one of the keys mentioned in the command arguments")));
        assert!(said("ACL failure in script: User chat has no permissions to run the 'publish' command"));
        assert!(!said("max number of clients reached"));
    }
}

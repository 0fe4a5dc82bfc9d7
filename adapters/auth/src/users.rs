//! A directory of users out of a text file.

mod file;

use crate::gate::Gate;
use crate::password;
use argon2::PasswordHash;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Credentials, User, UserDirectory};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

pub use file::{UsersFileError, UsersFileFault};

/// `testpass`, hashed as [`hash_password`](crate::hash_password) does it.
const DEMO: &str = concat!(
    "testuser:user_123:",
    "$argon2id$v=19$m=19456,t=2,p=1$7Zhiv/AGJxOz9DAMjNFhcQ$qncBRTxKdCAZ7Pt+kHZZAAzFNfzR/I3PhW8F9VMH/qg"
);

/// The users of a file, read once when it is opened: a changed file counts from the next start on.
///
/// The file is UTF-8 with one user on a line: the name, the user's id and the hash that
/// [`hash_password`](crate::hash_password) gives, with colons between. A name holds no colon; an id may. Empty lines, and
/// lines that begin with `#`, say nothing.
///
/// ```text
/// # name:user id:hash
/// anna:user_7:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$kWvyWFYC9l3eQmhmJcnGKBgnUuJUGs7lTzt3bVzy0GY
/// ```
///
/// Names count as they are typed, upper and lower case apart. A name that is unknown takes as long as a wrong password:
/// it is verified against the hash of another user, and the outcome thrown away. For that all hashes should cost the
/// same. At most 5 hashes run at once, on tokio's blocking threads; at most 256 callers wait or run, and more are told so
/// by an error that may pass. A password of more than [`MAX_PASSWORD`](crate::MAX_PASSWORD) bytes is refused without a hash.
pub struct UsersFile {
    users: BTreeMap<String, Entry>,
    gate: Gate,
}

/// A user with the hash of the password.
#[derive(Clone)]
struct Entry {
    user: User,
    hash: PasswordHash,
}

impl UsersFile {
    /// The users of this file.
    ///
    /// # Errors
    /// The file cannot be read, or holds lines that are not as they should be; all of those are told at once.
    pub fn open(path: &Path) -> Result<Self, UsersFileError> {
        let text = std::fs::read(path)
            .map_err(|source| UsersFileError::Unreadable { path: path.to_owned(), source: source.into() })?;
        let users = file::parse(&text).map_err(|faults| UsersFileError::Faulty { path: path.to_owned(), faults })?;
        Ok(Self::of(users))
    }

    /// One user for demonstrations: the name `testuser` with the password `testpass` and the id `user_123`. Everybody knows
    /// that password: never let a server use this that matters.
    #[must_use]
    pub fn demo() -> Self {
        Self::of(file::parse(DEMO.as_bytes()).unwrap_or_default())
    }

    /// Whether it lets nobody in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn of(users: BTreeMap<String, Entry>) -> Self {
        Self { users, gate: Gate::new() }
    }
}

impl fmt::Debug for UsersFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsersFile").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl UserDirectory for UsersFile {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<User>, BackendError> {
        if credentials.password.len() > password::MAX_PASSWORD {
            return Ok(None);
        }
        let known = self.users.get(&credentials.name);
        let Some(Entry { user, hash }) = known.or_else(|| self.users.values().next()).cloned() else {
            return Ok(None);
        };
        let password = credentials.password.clone();
        let right = self.gate.run(move || password::is_right(&password, &hash)).await?;
        let right = right.map_err(|error| BackendError::later("users", error))?;
        Ok((right && known.is_some()).then_some(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn credentials(name: &str, password: &str) -> Credentials {
        Credentials { name: name.into(), password: password.into() }
    }

    // Paused time runs on only while no blocking work runs: a hash that did not wait at the gate would end before the hour.
    #[tokio::test(start_paused = true)]
    async fn every_name_waits_at_the_gate_and_a_password_too_long_does_not() {
        let users = UsersFile::demo();
        let busy = users.gate.running.acquire_many(5).await.unwrap();
        for name in ["testuser", "nobody"] {
            let credentials = credentials(name, "testpass");
            let hour = tokio::time::timeout(Duration::from_secs(3600), users.authenticate(&credentials));
            assert!(hour.await.is_err(), "{name} did not wait");
        }
        let long = credentials("testuser", &"x".repeat(password::MAX_PASSWORD + 1));
        assert!(users.authenticate(&long).await.unwrap().is_none());
        drop(busy);
        assert!(users.authenticate(&credentials("testuser", "testpass")).await.unwrap().is_some());
        assert!(users.authenticate(&credentials("nobody", "testpass")).await.unwrap().is_none());
    }

    #[test]
    fn debug_shows_no_name_and_no_hash() {
        assert_eq!(format!("{:?}", UsersFile::demo()), "UsersFile { users: 1, .. }");
    }
}

//! The format of a file of users, and what may be wrong with it.

use super::Entry;
use crate::password;
use chatcore::id::UserId;
use chatcore::port::User;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a file of users is not used. Neither `Debug` nor `Display` shows a hash.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum UsersFileError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// It holds lines that are not as they should be.
    #[error("{} is faulty: {}", path.display(), listed(faults))]
    Faulty {
        /// Which file.
        path: PathBuf,
        /// All of its faults, by line.
        faults: Vec<UsersFileFault>,
    },
}

/// A fault of a file of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersFileFault {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for UsersFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

fn listed(faults: &[UsersFileFault]) -> String {
    faults.iter().map(UsersFileFault::to_string).collect::<Vec<_>>().join("; ")
}

/// The users by name, or all faults. Takes line ends of every system, and the mark that some editors put first.
pub(super) fn parse(text: &[u8]) -> Result<BTreeMap<String, Entry>, Vec<UsersFileFault>> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let (mut users, mut faults) = (BTreeMap::new(), Vec::new());
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if let Err(what) = read_line(line.trim_ascii(), &mut users) {
            faults.push(UsersFileFault { line: index + 1, what });
        }
    }
    if faults.is_empty() { Ok(users) } else { Err(faults) }
}

fn read_line(line: &[u8], users: &mut BTreeMap<String, Entry>) -> Result<(), String> {
    let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    // The hash has no colon and the name has none: what is between the first and the last is the id.
    let parts = line.split_once(':').and_then(|(name, rest)| Some((name, rest.rsplit_once(':')?)));
    let (name, (id, hash)) = parts.ok_or("is not name:id:hash")?;
    if name.is_empty() {
        return Err("the name is empty".into());
    }
    let id = UserId::parse(id).map_err(|error| error.to_string())?;
    let hash = password::read_hash(hash)?;
    let entry = Entry { user: User { id, name: name.into() }, hash };
    match users.insert(name.into(), entry) {
        Some(_) => Err("the name stands on an earlier line too".into()),
        None => Ok(()),
    }
}

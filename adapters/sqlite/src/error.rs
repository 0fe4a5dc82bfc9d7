//! What can go wrong: when the file is opened, and when it is used.

use chatcore::error::{BackendError, Retry};
use rusqlite::ErrorCode;
use std::path::PathBuf;

/// The adapter's name in errors and health reports.
pub(crate) const NAME: &str = "sqlite";

/// Why the file could not be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory is missing and cannot be made.
    #[error("the directory {} cannot be made: make it by hand, or choose another place for the data", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be made, or not be opened for writing.
    #[error(
        "the file {} cannot be opened for reading and writing: \
         check the permissions of the file and of its directory, and that the disk is not read-only",
        path.display()
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said, where it said anything.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The file is something else than a database.
    #[error("the file {} is not an SQLite database: move it away, or choose another path", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is another program's database.
    #[error("the file {} is the database of another program: choose another path", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "the file {} is damaged ({detail}): restore it from a backup, or move it and its -wal away to begin anew",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// There is no room for a new file, or for a newer version of an old one.
    #[error("there is no room on the disk for the file {}: make some, and start again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer build.
    #[error("the file {} has version {found}, this build knows version {known}: run a newer build", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this build knows.
        known: i64,
    },
    /// The file lies where its log cannot be shared.
    #[error("the file {} lies on a file system without shared memory: choose a path on a local disk", path.display())]
    NoSharedLog {
        /// The file.
        path: PathBuf,
    },
    /// Something else.
    #[error("the file {} cannot be opened: see the source of this error", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What was said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    /// What an error of SQLite means for this file.
    pub(crate) fn of(path: PathBuf, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, detail: error.to_string() },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Unwritable { path, source: Some(error.into()) }
            }
            _ => Self::Other { path, source: error.into() },
        }
    }
}

/// A call failed. What is full, busy or cut off may pass; what is damaged or read-only stays until somebody mends it.
pub(crate) fn failed(error: rusqlite::Error) -> BackendError {
    let retry = match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationInterrupted
            | ErrorCode::OutOfMemory
            | ErrorCode::CannotOpen,
        ) => Retry::Later,
        _ => Retry::Never,
    };
    match retry {
        Retry::Later => BackendError::later(NAME, error),
        Retry::Never => BackendError::never(NAME, error),
    }
}

//! What lies at the path: the file and what SQLite keeps beside it, as long as nobody moves them away.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file, its log, and what its processes share.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// What SQLite keeps beside a file; beside the file itself, where the path is a link to it.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()));
    name.push(suffix);
    name.into()
}

/// The files at a path, as they were when they were opened.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    files: [Identity; 3],
}

/// Which file it is, where the system tells: its device and its number there.
type Identity = (u64, u64);

impl Place {
    /// What lies there now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), files: look(path)? })
    }

    /// The file itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the same files lie there still. What is written to one that does not is lost with the process.
    pub(crate) fn is_kept(&self) -> bool {
        look(&self.path).is_ok_and(|files| files == self.files)
    }
}

fn look(path: &Path) -> io::Result<[Identity; 3]> {
    let mut files = [(0, 0); 3];
    for (file, suffix) in files.iter_mut().zip(SUFFIXES) {
        *file = identity(&fs::metadata(beside(path, suffix))?);
    }
    Ok(files)
}

#[cfg(unix)]
fn identity(meta: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (meta.dev(), meta.ino())
}

/// Only that it is there.
#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Identity {
    (0, 0)
}

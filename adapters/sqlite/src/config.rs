//! How the store is opened.

use chatcore::policy::StoreLimits;
use std::path::PathBuf;
use std::time::Duration;

/// How the store is opened. `Default` holds good values for everything but the path.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The file; it and its directory are made if they are not there. Its `-wal` and `-shm` live beside it.
    pub path: PathBuf,
    /// How much is kept.
    pub limits: StoreLimits,
    /// How long a call may take, its place in the queue included.
    pub call_timeout: Duration,
    /// How many writes may wait; more are refused.
    pub queue: usize,
    /// How many writes share a commit.
    pub batch: usize,
    /// How many threads read.
    pub readers: usize,
    /// How long after its holder died a delivery comes back.
    pub redeliver: Duration,
    /// How large the file may become, in bytes; `None` for as large as the disk allows.
    pub max_bytes: Option<u64>,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("chat.db"),
            limits: StoreLimits::default(),
            call_timeout: Duration::from_secs(5),
            queue: 4096,
            batch: 256,
            readers: 2,
            redeliver: Duration::from_secs(5),
            max_bytes: None,
        }
    }
}

//! Redis as a store to be held against the model: one server for all sequences, with a key prefix for each.

use crate::subject::{Clock, Opened, Subject};
use async_trait::async_trait;
use chatcore::policy::{OutboxFull, StoreLimits};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{Redis, RedisConfig};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// A `redis-server` of the path that keeps nothing on the disk, ended when this is dropped.
pub(crate) struct Server {
    process: Child,
    port: u16,
    sequences: AtomicU32,
    _directory: TempDir,
}

impl Server {
    /// Starts one on a free port; `None` where the system has none.
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn();
        let server = Self { process: process.ok()?, port, sequences: AtomicU32::new(0), _directory: directory };
        let up = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(up, "redis-server does not come up on port {port}");
        Some(server)
    }

    /// A part of it that nobody else uses. Where the number of waiting events is limited there is one partition, since
    /// each of several has a limit of its own.
    pub(crate) fn part(&self, limits: StoreLimits) -> RedisPart {
        let mut config = RedisConfig::new(format!("redis://127.0.0.1:{}", self.port));
        config.key_prefix = format!("m{}:", self.sequences.fetch_add(1, Ordering::Relaxed));
        config.limits = limits;
        config.call_timeout = Duration::from_secs(5);
        config.connect_timeout = Duration::from_secs(5);
        if limits.outbox_full == OutboxFull::Refuse {
            config.partitions = 1;
        }
        RedisPart(config)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already, or it goes now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The keys of one sequence.
pub(crate) struct RedisPart(RedisConfig);

#[async_trait]
impl Subject for RedisPart {
    async fn open(&self) -> Opened {
        let redis = Redis::open(self.0.clone(), Arc::new(TokioRuntime::current())).await;
        Opened::of(redis.expect("a server that is fit"))
    }

    fn clock(&self) -> Clock {
        Clock::Real
    }
}

//! Redis as a store to be held against the model: one server for all sequences, with a key prefix for each.

#[path = "../../adapters/redis/tests/common/server.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the adapter's own tests use the rest; a test fails by panicking")]
mod servers;

use crate::subject::{Clock, Opened, Subject};
use async_trait::async_trait;
use chatcore::policy::{OutboxFull, StoreLimits};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{Redis, RedisConfig};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A `redis-server` of the path that keeps nothing on the disk, ended when this is dropped.
pub(crate) struct Server {
    redis: servers::Server,
    sequences: AtomicU32,
}

impl Server {
    /// Starts one on a free port; `None` where the system has none.
    pub(crate) fn start() -> Option<Self> {
        let asked = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        asked.is_ok().then(|| Self { redis: servers::Server::start(), sequences: AtomicU32::new(0) })
    }

    /// A part of it that nobody else uses. Where the number of waiting events is limited there is one partition, since
    /// each of several has a limit of its own.
    pub(crate) fn part(&self, limits: StoreLimits) -> RedisPart {
        let mut config = RedisConfig::new(self.redis.url());
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

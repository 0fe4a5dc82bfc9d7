//! What the tests of this package share: real servers, and stores on them.
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "each test binary uses some of it; a test fails by panicking"
)]

pub(crate) mod adopted;
pub(crate) mod chat;
pub(crate) mod events;
pub(crate) mod faults;
mod monitor;
mod server;
pub(crate) mod warnings;
mod wire;

pub(crate) use monitor::{Monitor, Ran};
pub(crate) use server::{Cluster, NODE, Server, certificate, free_port};
pub(crate) use wire::Wire;

use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{Redis, RedisConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often commands were run since `before`, by clients and by scripts.
pub(crate) fn ran(server: &Server, before: &BTreeMap<String, u64>, names: &[&str]) -> Vec<u64> {
    let now: BTreeMap<String, u64> = server.commands().into_iter().collect();
    let count = |name: &&str| now.get(*name).unwrap_or(&0) - before.get(*name).unwrap_or(&0);
    names.iter().map(count).collect()
}

/// A key prefix that no other test of this binary has.
pub(crate) fn own_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A configuration for these servers, with a prefix of its own.
pub(crate) fn config(urls: &[String]) -> RedisConfig {
    let mut config = RedisConfig::new("");
    config.urls = urls.to_vec();
    config.key_prefix = own_prefix();
    // A busy machine is slow; that a slow server is given up is tested elsewhere.
    config.call_timeout = Duration::from_secs(5);
    config.connect_timeout = Duration::from_secs(2);
    config
}

/// A configuration for the user that the README shows, which the server knows from then on.
pub(crate) fn user_of_the_readme(server: &Server) -> RedisConfig {
    let readme = include_str!("../../README.md");
    let line = readme.lines().find(|line| line.starts_with("ACL SETUSER")).unwrap();
    assert_eq!(server.ask(&line.split(' ').collect::<Vec<_>>()), "OK", "{line}");
    let mut config = config(&[format!("redis://chat:secret@127.0.0.1:{}", server.port)]);
    config.key_prefix = "c:".into();
    config
}

pub(crate) async fn open(config: &RedisConfig) -> Arc<Redis> {
    Arc::new(Redis::open(config.clone(), Arc::new(TokioRuntime::current())).await.expect("the server is fit"))
}

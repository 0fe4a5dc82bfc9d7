//! Redis as a store to be held against the model: one server for all sequences, with a key prefix for each.

#[path = "../../adapters/redis/tests/common/server.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the adapter's own tests use the rest; a test fails by panicking")]
mod servers;
#[path = "../../adapters/redis/tests/common/wire.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the adapter's own tests use the rest; a test fails by panicking")]
mod wire;

use crate::call::Call;
use crate::subject::{Clock, Opened, Subject};
use async_trait::async_trait;
use chatcore::policy::{OutboxFull, StoreLimits};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{Redis, RedisConfig};
use futures_util::future::select;
use servers::{Cluster, Server};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;
use wire::Wire;

/// How long a call waits for slots that others move: not for long, or its sequence is too slow.
const PATIENCE: Duration = Duration::from_millis(100);

/// A `redis-server` of the path that keeps nothing on the disk, or a cluster of three, ended when this is dropped.
pub(crate) struct Servers {
    cluster: Cluster,
    sequences: AtomicU32,
    /// The slots of a cluster, and which node has each.
    places: Mutex<Vec<(String, usize)>>,
    moved: AtomicU32,
}

impl Servers {
    /// Starts one on a free port; `None` where the system has none.
    pub(crate) fn one() -> Option<Self> {
        Self::start(|| Cluster { nodes: vec![Server::start()], replicas: Vec::new() })
    }

    /// Starts three, between which slots can move.
    pub(crate) fn three() -> Option<Self> {
        Self::start(Cluster::start)
    }

    fn start(start: impl FnOnce() -> Cluster) -> Option<Self> {
        let asked = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        asked.is_ok().then(|| {
            let cluster = start();
            let slot_of = |partition| cluster.slot_of(&format!("{partition:x}"));
            let places = if cluster.nodes.len() > 1 { (0..16).map(slot_of).collect() } else { Vec::new() };
            Self { cluster, sequences: AtomicU32::new(0), places: Mutex::new(places), moved: AtomicU32::new(0) }
        })
    }

    /// A part of it that nobody else uses. Where the number of waiting events is limited there is one partition, since
    /// each of several has a limit of its own.
    pub(crate) fn part(self: &Arc<Self>, limits: StoreLimits) -> RedisPart {
        let mut config = RedisConfig::new("");
        config.urls = self.cluster.urls();
        config.key_prefix = format!("m{}:", self.sequences.fetch_add(1, Ordering::Relaxed));
        config.limits = limits;
        config.call_timeout = Duration::from_secs(5);
        config.connect_timeout = Duration::from_secs(5);
        // A process that claims and dies would keep what it saw from the next one.
        config.relay_lease = Duration::ZERO;
        if limits.outbox_full == OutboxFull::Refuse {
            config.partitions = 1;
        }
        RedisPart { config, servers: self.clone() }
    }

    /// Makes a call while its slot moves: before the first key has gone, or when some have. If another is on its way, the call
    /// is made as ever, or waits a moment where a slot that moves may be its undoing.
    async fn call_amid_a_move(&self, call: &Call, at: &Opened, partition: usize, far: u16) {
        let patience = if call.takes_keys_away() { PATIENCE } else { Duration::ZERO };
        let Ok(mut places) = timeout(patience, self.places.lock()).await else { return drop(call.perform(at).await) };
        let (slot, from) = &mut places[partition];
        let to = (*from + 1) % 3;
        let mut moving = self.cluster.move_slot(slot, *from, to);
        let gone = if far.is_multiple_of(4) { far.into() } else { 0 };
        moving.by_ref().take(gone).for_each(drop);
        drop(call.perform(at).await);
        moving.for_each(drop);
        *from = to;
        self.cluster.agrees();
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// How many slots have moved.
    pub(crate) fn moved(&self) -> u32 {
        self.moved.load(Ordering::Relaxed)
    }

    fn is_cluster(&self) -> bool {
        self.cluster.nodes.len() > 1
    }
}

/// The keys of one sequence, which are gone after it.
pub(crate) struct RedisPart {
    config: RedisConfig,
    servers: Arc<Servers>,
}

impl RedisPart {
    async fn connect(&self, config: RedisConfig) -> Opened {
        let redis = Redis::open(config, Arc::new(TokioRuntime::current())).await;
        Opened::of(redis.expect("a server that is fit"))
    }
}

#[async_trait]
impl Subject for RedisPart {
    async fn open(&self) -> Opened {
        self.connect(self.config.clone()).await
    }

    /// It dies when so many bytes of what Redis says have reached it; in a cluster, when it is told of none, while the slot moves.
    async fn perish(&self, call: &Call, far: u16) {
        if self.servers.is_cluster() {
            let doomed = self.open().await;
            let Some(session) = call.session().filter(|_| call.writes()) else {
                return drop(call.perform(&doomed).await);
            };
            let partition = session.as_uuid().as_u128() % u128::from(self.config.partitions);
            return self.servers.call_amid_a_move(call, &doomed, partition as usize, far).await;
        }
        let wire = Wire::to(self.servers.cluster.nodes[0].port).await;
        let mut config = self.config.clone();
        config.urls = vec![wire.url()];
        let doomed = self.connect(config).await;
        wire.cut_after(far.into());
        select(pin!(call.perform(&doomed)), pin!(wire.is_cut())).await;
        wire.close();
    }

    fn clock(&self) -> Clock {
        Clock::Real
    }

    fn refuses(&self) -> bool {
        self.servers.is_cluster()
    }
}

impl Drop for RedisPart {
    fn drop(&mut self) {
        for node in &self.servers.cluster.nodes {
            let keys = node.ask(&["KEYS", &format!("{}*", self.config.key_prefix)]);
            keys.lines().for_each(|key| drop(node.ask(&["UNLINK", key])));
        }
    }
}

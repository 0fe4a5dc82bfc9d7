#![doc = include_str!("../README.md")]
//!
//! # Inside
//! | module | holds |
//! |---|---|
//! | `config`, `error` | how it is opened, and what can go wrong |
//! | `link`, `node`, `nodes` | connections, who has them, and which server is meant |
//! | `client`, `breaker`, `check` | calls on connections that callers share |
//! | `script`, `value` | calls of Lua scripts, and what they answer |
//! | `keys`, `event`, `record` | the names of keys, and what an event and a message are stored as |
//! | `hub`, `known`, `wakes` | who waits on a channel, or for events, is woken |
//! | `outbox`, `bus`, `letters`, `throttle` | the ports of these names, and the scripts that they run |
//! | `store`, `lua` | [`SessionStore`](chatcore::port::SessionStore): its calls, and the scripts that they run |
//!
//! Architecture invariant: a script does all its checks before its first write, and touches one slot.

mod breaker;
mod bus;
mod check;
mod client;
mod config;
mod error;
mod event;
mod heard;
mod hub;
mod keys;
mod known;
mod letters;
mod link;
mod node;
mod nodes;
mod once;
mod outbox;
mod probe;
mod record;
mod script;
mod store;
mod throttle;
mod value;
mod wakes;

pub use config::RedisConfig;
pub use error::OpenError;

use chatcore::policy::StoreLimits;
use chatcore::port::Runtime;
use client::Client;
use config::OUTBOX_SHARE;
use hub::Hub;
use keys::Keys;
use outbox::Leases;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use store::{Begun, Sweeps};

/// The store, the outbox, the local log of events and the throttle, on a server or a cluster that several processes share.
///
/// Cheap to clone. All clones share one connection; on several tokio runtimes, one on each.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    hub: Hub,
    keys: Keys,
    limits: StoreLimits,
    come_back: Duration,
    runtime: Arc<dyn Runtime>,
    /// Which partition a claim begins with.
    turn: AtomicUsize,
    leases: Leases,
    sweeps: Sweeps,
    begun: Begun,
}

impl Redis {
    /// Opens the store. A server that cannot be reached now is no error: it is looked for again by each call, and its
    /// probe fails until it is there.
    ///
    /// # Errors
    /// The configuration is wrong, or the server is not fit to be used; the error's text says what to mend.
    pub async fn open(config: RedisConfig, runtime: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        config.check()?;
        let client = Client::new(&config, runtime.clone())?;
        let hub = Hub::new(client.nodes().clone(), runtime.clone());
        let keys = Keys::new(config.key_prefix, config.partitions);
        let (limits, come_back) = (config.limits, config.come_back);
        let leases = Leases::new(runtime.new_id().simple().to_string(), config.relay_lease);
        let (turn, sweeps, begun) = (AtomicUsize::new(0), Sweeps::default(), Begun::default());
        let inner = Inner { client, hub, keys, limits, come_back, runtime, turn, leases, sweeps, begun };
        let redis = Self { inner: Arc::new(inner) };
        redis.look().await.map(|()| redis)
    }

    /// How many events each partition holds: its share of all, but for small limits.
    fn outbox_share(&self) -> u64 {
        let all = self.inner.limits.outbox_events;
        all.div_ceil(u64::from(self.inner.keys.count())).max(all.min(OUTBOX_SHARE))
    }

    async fn look(&self) -> Result<(), OpenError> {
        use chatcore::port::Probe;
        let checked = self.check().await;
        if let Some(why) = self.inner.client.nodes().check().unfit() {
            return Err(why);
        }
        if let Some(error) = checked.as_ref().err().filter(|error| !error.may_pass()) {
            return Err(OpenError::Denied { why: error.source.to_string() });
        }
        if let Err(error) = checked {
            tracing::warn!(error = %error.source, "Redis is not there yet");
        }
        Ok(())
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("client", &self.inner.client).finish_non_exhaustive()
    }
}

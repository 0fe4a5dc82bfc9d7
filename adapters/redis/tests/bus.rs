//! The suite for the log, its dead letters and the throttle: on one server and on a cluster of three, with each store as two
//! processes have it open.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::id::SessionId;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Held, Taken, Throttle, Ticket};
use chatcore_ports::conformance::{BusHarness, OpenBus, OpenStore, StoreHarness, ThrottleHarness};
use chatcore_redis::{Redis, RedisConfig};
use common::{Cluster, Server, config, open};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// One server, or several.
type Servers = Arc<Cluster>;

/// The servers of those tests that run now: they end with the last of these, since a test binary drops no statics.
static SINGLE: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

fn shared(place: &Mutex<Weak<Cluster>>, start: fn() -> Cluster) -> Servers {
    let mut place = place.lock().unwrap();
    place.upgrade().unwrap_or_else(|| {
        let started = Arc::new(start());
        *place = Arc::downgrade(&started);
        started
    })
}

fn single() -> Servers {
    shared(&SINGLE, || Cluster { nodes: vec![Server::start()], replicas: Vec::new() })
}

fn cluster() -> Servers {
    shared(&CLUSTER, Cluster::start)
}

/// Two handles of one store.
async fn two(config: &RedisConfig) -> (Arc<Redis>, Arc<Redis>) {
    (open(config).await, open(config).await)
}

/// Writes what only another build, or a fault, can have written.
fn inject(servers: &Servers, prefix: &str, session: SessionId, raw: &[u8]) {
    let log = format!("{prefix}{{p{}}}:ox", session.as_uuid().as_u128() & 0xf);
    let add = ["XADD", &log, "*", "s", &session.to_string(), "x", std::str::from_utf8(raw).unwrap()];
    // One of the nodes has the log, and answers with the entry's id; a busy cluster may be down for a moment.
    let added = |node: &Server| node.ask(&add).starts_with(|first: char| first.is_ascii_digit());
    for _ in 0..100 {
        if servers.nodes.iter().any(added) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no node takes the record");
}

fn store(servers: Servers) -> StoreHarness {
    StoreHarness::new(move |limits| {
        let servers = servers.clone();
        async move {
            let mut config = config(&servers.urls());
            config.limits = limits;
            let (store, elsewhere) = two(&config).await;
            let (outbox, outbox_elsewhere) = (store.clone(), elsewhere.clone());
            OpenStore { store: store.clone(), elsewhere, outbox, outbox_elsewhere, letters: Some(store) }
        }
    })
}

fn bus(servers: Servers) -> BusHarness {
    BusHarness::new(move |come_back| {
        let servers = servers.clone();
        async move {
            let mut config = config(&servers.urls());
            config.come_back = come_back;
            let (bus, elsewhere) = two(&config).await;
            let inject = move |session, raw: Vec<u8>| {
                inject(&servers, &config.key_prefix, session, &raw);
                std::future::ready(())
            };
            OpenBus::new(bus.clone(), elsewhere, bus).injecting(inject)
        }
    })
}

/// A throttle whose servers live as long as it.
#[derive(Debug)]
struct Kept {
    throttle: Arc<Redis>,
    _servers: Servers,
}

#[async_trait]
impl Throttle for Kept {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        self.throttle.take(key, quota).await
    }

    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError> {
        self.throttle.hold(key, quota, time).await
    }

    async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError> {
        self.throttle.confirm(key, ticket).await
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        self.throttle.give_back(key, ticket).await
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        self.throttle.remaining(key, quota).await
    }
}

async fn throttle(servers: Servers) -> ThrottleHarness {
    let (throttle, elsewhere) = two(&config(&servers.urls())).await;
    let kept = |throttle| Arc::new(Kept { throttle, _servers: servers.clone() });
    ThrottleHarness::new(kept(throttle), kept(elsewhere))
}

macro_rules! all_laws {
    ($servers:ident) => {
        mod outbox {
            chatcore_ports::outbox_laws!(async { crate::store(crate::$servers()) });
        }

        mod events {
            chatcore_ports::event_bus_laws!(async { crate::bus(crate::$servers()) });
        }

        mod letters {
            chatcore_ports::dead_letters_laws!(async { crate::bus(crate::$servers()) });
        }

        mod throttles {
            chatcore_ports::throttle_laws!(crate::throttle(crate::$servers()));
        }
    };
}

mod on_one_server {
    all_laws!(single);
}

mod on_a_cluster {
    all_laws!(cluster);
}

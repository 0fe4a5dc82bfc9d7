//! The suite of the session store, on one server and on a cluster, with each store as two processes have it open.
mod common;

use chatcore_ports::conformance::{OpenStore, StoreHarness};
use common::{Cluster, Server, config, open};
use std::sync::LazyLock;

/// One server for all tests; each has a prefix of its own.
static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

fn store(urls: Vec<String>) -> StoreHarness {
    StoreHarness::new(move |limits| {
        let mut config = config(&urls);
        config.limits = limits;
        async move {
            let (store, elsewhere) = (open(&config).await, open(&config).await);
            let (outbox, outbox_elsewhere) = (store.clone(), elsewhere.clone());
            OpenStore { store: store.clone(), elsewhere, outbox, outbox_elsewhere, letters: Some(store) }
        }
    })
}

mod on_one_server {
    chatcore_ports::session_store_laws!(async { super::store(vec![super::SERVER.url()]) });
}

mod on_a_cluster {
    chatcore_ports::session_store_laws!(async { super::store(super::CLUSTER.urls()) });
}

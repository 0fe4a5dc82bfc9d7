//! Connections: to a server or to a cluster, made when they are needed. One is shared by all callers of a runtime; whoever
//! listens gets one of its own.

use crate::config::{RedisConfig, without_secret};
use crate::error::OpenError;
use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use deadpool_redis::redis::cluster::{ClusterClient, ClusterClientBuilder};
use deadpool_redis::redis::cluster_async::ClusterConnection;
use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{
    self, AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline,
    RedisError, RedisFuture, RedisResult, TlsCertificates, Value,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How often a cluster's connection asks again after a node said that it is elsewhere or away.
const CLUSTER_RETRIES: u32 = 4;

/// A connection. Clones share it.
#[derive(Clone)]
pub(crate) enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(link) => link.req_packed_command(cmd),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(link) => link.req_packed_commands(pipeline, offset, count),
            Self::Cluster(link) => link.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(link) => link.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// Makes connections.
pub(crate) struct Maker {
    servers: Vec<ConnectionInfo>,
    /// What is trusted besides the name in a certificate; `None` for what the system trusts.
    trusted: Option<TlsCertificates>,
    cluster: AtomicBool,
    /// Which node is asked for the next subscription.
    next: AtomicUsize,
    connect_timeout: Duration,
    call_timeout: Duration,
}

impl Maker {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, OpenError> {
        let servers: Vec<ConnectionInfo> = config.urls.iter().map(|url| server(url)).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(OpenError::Url { url: String::new(), why: "none is given".into() });
        }
        let elsewhere = |server: &&ConnectionInfo| server.redis_settings().db() != 0;
        if let Some(server) = servers.iter().find(elsewhere).filter(|_| servers.len() > 1) {
            let why = format!("a cluster has no database {}", server.redis_settings().db());
            return Err(OpenError::Database { why });
        }
        let secured = servers.iter().all(|server| matches!(server.addr(), ConnectionAddr::TcpTls { .. }));
        if let Some(path) = config.ca_file.clone().filter(|_| !secured) {
            let why = "it is for rediss:// alone".into();
            return Err(OpenError::CaFile { path, why });
        }
        if servers.iter().any(|server| matches!(server.addr(), ConnectionAddr::TcpTls { .. })) {
            // Fails if the program has chosen a provider already, which then serves.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
        Ok(Self {
            trusted: config.ca_file.as_deref().map(trusted).transpose()?,
            cluster: AtomicBool::new(servers.len() > 1),
            servers,
            next: AtomicUsize::new(0),
            connect_timeout: config.connect_timeout,
            call_timeout: config.call_timeout,
        })
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.cluster.load(Ordering::Relaxed)
    }

    /// The server said that it is a node of a cluster.
    pub(crate) fn found_a_cluster(&self) {
        self.cluster.store(true, Ordering::Relaxed);
    }

    /// A new connection. The caller bounds the calls on it.
    pub(crate) async fn link(&self) -> RedisResult<Link> {
        if self.is_cluster() {
            return self.cluster()?.get_async_connection().await.map(Link::Cluster);
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(self.connect_timeout)).set_response_timeout(None);
        self.some_client()?.get_multiplexed_async_connection_with_config(&config).await.map(Link::Single)
    }

    fn cluster(&self) -> RedisResult<ClusterClient> {
        let builder = ClusterClientBuilder::new(self.servers.iter().cloned());
        let builder = self.trusted.iter().fold(builder, |builder, trusted| builder.certs(trusted.clone()));
        builder
            .connection_timeout(self.connect_timeout)
            .response_timeout(self.call_timeout)
            .overall_response_timeout(Some(self.call_timeout))
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(10)
            .max_retry_wait(100)
            .tcp_settings(at_once())
            .build()
    }

    /// A new connection that only listens. A message reaches every node of a cluster, so any of them will do, and each try
    /// takes the next one.
    pub(crate) async fn listener(&self) -> RedisResult<PubSub> {
        self.some_client()?.get_async_pubsub().await
    }

    fn some_client(&self) -> RedisResult<Client> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.servers.len().max(1);
        let none = || RedisError::from((ErrorKind::InvalidClientConfig, "no server is given"));
        let server = self.servers.get(next).cloned().ok_or_else(none)?;
        match &self.trusted {
            Some(trusted) => Client::build_with_tls(server, trusted.clone()),
            None => Client::open(server),
        }
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Maker({} servers)", self.servers.len())
    }
}

fn server(url: &str) -> Result<ConnectionInfo, OpenError> {
    let refused = |why: String| OpenError::Url { url: without_secret(url), why };
    let parsed = redis::parse_redis_url(url).ok_or_else(|| refused("its form is not known".into()))?;
    if parsed.fragment().is_some() {
        return Err(refused("it may not hold a #, which in a password is written %23".into()));
    }
    let info = parsed.into_connection_info().map_err(|error| refused(error.to_string()))?;
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info.set_tcp_settings(at_once()).set_redis_settings(settings))
}

fn trusted(path: &Path) -> Result<TlsCertificates, OpenError> {
    let bad = |why: String| OpenError::CaFile { path: path.to_owned(), why };
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let mut found = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        found.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if found.is_empty() {
        return Err(bad("there is no certificate in it".into()));
    }
    Ok(TlsCertificates { client_tls: None, root_cert: Some(pem) })
}

/// Small writes leave at once: the other side waits for them.
fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

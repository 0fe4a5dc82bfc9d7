//! Connections, made when they are needed.

use crate::config::{RedisConfig, without_secret};
use crate::error::{OpenError, is_full};
use deadpool_redis::redis::aio::{MultiplexedConnection, PubSub};
use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{
    self, AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    RedisResult, TlsCertificates, Value,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// A connection. Clones share it.
pub(crate) type Link = MultiplexedConnection;

/// Makes connections.
pub(crate) struct Maker {
    servers: Vec<ConnectionInfo>,
    /// What is trusted besides the name in a certificate; `None` for what the system trusts.
    trusted: Option<TlsCertificates>,
    connect_timeout: Duration,
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
        let trusted = config.ca_file.as_deref().map(trusted).transpose()?;
        Ok(Self { servers, trusted, connect_timeout: config.connect_timeout })
    }

    /// The servers that the configuration names; at least one.
    pub(crate) fn servers(&self) -> &[ConnectionInfo] {
        &self.servers
    }

    /// A new connection. The caller bounds the calls on it.
    pub(crate) async fn link(&self, server: &ConnectionInfo) -> RedisResult<Link> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(self.connect_timeout)).set_response_timeout(None);
        self.client(server)?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Whether a server lets nobody in just now, whatever user comes.
    pub(crate) async fn is_shut(&self, server: &ConnectionInfo) -> bool {
        let stranger = RedisConnectionInfo::default().set_skip_set_lib_name();
        let knocked = async {
            let mut link = self.link(&server.clone().set_redis_settings(stranger)).await?;
            redis::cmd("PING").query_async::<Value>(&mut link).await
        };
        knocked.await.is_err_and(|error| error.is_io_error() || error.is_timeout() || is_full(&error))
    }

    /// A new connection that only listens.
    pub(crate) async fn listener(&self, server: &ConnectionInfo) -> RedisResult<PubSub> {
        self.client(server)?.get_async_pubsub().await
    }

    fn client(&self, server: &ConnectionInfo) -> RedisResult<Client> {
        match &self.trusted {
            Some(trusted) => Client::build_with_tls(server.clone(), trusted.clone()),
            None => Client::open(server.clone()),
        }
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Maker({} servers)", self.servers.len())
    }
}

/// A server that is reached like this one, at another address: `host:port`, the host perhaps empty for the same.
pub(crate) fn beside(server: &ConnectionInfo, address: &str) -> Option<ConnectionInfo> {
    let (host, port) = address.rsplit_once(':')?;
    let (host, port) = (host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?);
    let host = |same: &str| if host.is_empty() { same.to_owned() } else { host.to_owned() };
    let address = match server.addr() {
        ConnectionAddr::Tcp(same, _) => ConnectionAddr::Tcp(host(same), port),
        ConnectionAddr::TcpTls { host: same, insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: host(same), port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => return None,
    };
    Some(server.clone().set_addr(address))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_sends_small_writes_at_once() {
        let mut config = RedisConfig::new("redis://localhost:1");
        for url in ["redis://localhost:1", "rediss://ann:secret@localhost:1/0"] {
            config.urls = vec![url.into()];
            let maker = Maker::new(&config).unwrap();
            let named = &maker.servers()[0];
            // Both kinds of connection are made by this; in a cluster also to servers that are found.
            for server in [named, &beside(named, "elsewhere:2").unwrap()] {
                let client = maker.client(server).unwrap();
                assert!(client.get_connection_info().tcp_settings().nodelay(), "{url}");
            }
        }
    }
}

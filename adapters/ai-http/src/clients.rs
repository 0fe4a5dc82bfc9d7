//! The HTTP clients: one for each tokio runtime that calls. A connection works where it was made, so a call on one of another
//! runtime would wake that one's thread for each step; and a connection ends with its runtime.

use crate::config::HttpAiConfig;
use crate::error::{ConfigError, Failure, causes};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Handle, Id};

/// How often a call tries to connect.
pub(crate) const TRIES: u32 = 3;
/// How many runtimes have a client at once; that of the one that has not called for longest is given up for a new one.
const MOST_RUNTIMES: usize = 256;
/// Shorter than the 5 s after which common servers close an idle connection: a POST sent into such a close is lost, and
/// must not be repeated.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// Hands out the client of the caller's runtime.
pub(crate) struct Clients {
    config: HttpAiConfig,
    /// Who called last stands last.
    places: Mutex<Vec<(Id, Client)>>,
}

impl Clients {
    pub(crate) fn new(config: &HttpAiConfig) -> Result<Self, ConfigError> {
        // Whether one can be made is told now.
        client(config)?;
        Ok(Self { config: config.clone(), places: Mutex::default() })
    }

    /// The client whose connections live on the caller's runtime.
    pub(crate) fn here(&self) -> Result<Client, Failure> {
        let runtime =
            Handle::try_current().map_err(|_| Failure::Connect("it is called outside of any runtime".into()))?;
        if let Some(client) = made(&mut self.places(), runtime.id()) {
            return Ok(client);
        }
        // Certificates are read for it, so nobody else is kept waiting.
        let client = client(&self.config).map_err(|error| Failure::Connect(error.to_string()))?;
        let mut places = self.places();
        // Another thread of the runtime may have made one meanwhile, whose connections all are to use.
        if let Some(made) = made(&mut places, runtime.id()) {
            return Ok(made);
        }
        if places.len() == MOST_RUNTIMES {
            places.remove(0);
        }
        places.push((runtime.id(), client.clone()));
        Ok(client)
    }

    fn places(&self) -> MutexGuard<'_, Vec<(Id, Client)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

/// The client of a runtime, which called last from now on.
fn made(places: &mut [(Id, Client)], runtime: Id) -> Option<Client> {
    let place = places.iter().position(|(id, _)| *id == runtime)?;
    places[place..].rotate_left(1);
    places.last().map(|(_, client)| client.clone())
}

/// A client that does what is asked and no more: no redirects, no proxies from the environment, no tries of its own.
fn client(config: &HttpAiConfig) -> Result<Client, ConfigError> {
    let mut builder = Client::builder()
        .default_headers(headers(config)?)
        .user_agent(concat!("chatcore-ai-http/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(config.connect_timeout / TRIES)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_nodelay(true);
    if config.endpoint.is_plain() {
        // Without TLS the system's certificates are not needed, and a bare container has none.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| ConfigError::Client(causes(error)))
}

fn headers(config: &HttpAiConfig) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = config.api_key.as_ref().filter(|key| !key.expose().is_empty()) {
        let is_visible = key.expose().bytes().all(|byte| byte.is_ascii_graphic());
        let bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose())).ok().filter(|_| is_visible);
        let mut bearer = bearer.ok_or(ConfigError::ApiKey)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(headers)
}

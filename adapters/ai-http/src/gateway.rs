//! The gateway as programs use it: the upstream call behind a breaker, behind a bulkhead.

use crate::config::{Endpoint, HttpAiConfig};
use crate::error::ConfigError;
use crate::resilience::{Breaker, Bulkhead};
use crate::tokens::{Spent, Tokens};
use crate::upstream::Upstream;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{AiChunk, AiError, AiGateway, Health, Probe, Prompt, Runtime};
use futures_util::future::{Either, select};
use futures_util::stream::BoxStream;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

const NAME: &str = "ai";
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// An AI service over HTTP.
///
/// A call waits for its place, asks the breaker, and then connects, all when its stream is first polled. It needs a
/// tokio runtime around it. A stream that is dropped closes its connection, and the service sees that.
///
/// As a [`Probe`] it says whether the breaker lets calls through and the service takes a TCP connection within a
/// second. It asks the service nothing. Once a breaker's pause is over it would let a call through, so a server that is
/// left without traffic for the sake of this probe comes back by itself.
#[derive(Debug)]
pub struct HttpAi {
    gateway: Bulkhead<Breaker<Upstream>>,
    endpoint: Endpoint,
    spent: Arc<Spent>,
    runtime: Arc<dyn Runtime>,
}

impl HttpAi {
    /// A gateway to one service. Nothing is connected yet.
    ///
    /// # Errors
    /// The key cannot be sent, or TLS cannot be set up.
    pub fn new(config: HttpAiConfig, runtime: Arc<dyn Runtime>) -> Result<Self, ConfigError> {
        let spent = Arc::default();
        let upstream = Upstream::new(&config, Arc::clone(&spent), Arc::clone(&runtime))?;
        let breaker = Breaker::new(upstream, config.breaker, Arc::clone(&runtime));
        // The breaker is inside: a call that finds no place says nothing about the service.
        let gateway = Bulkhead::new(breaker, config.bulkhead, Arc::clone(&runtime));
        Ok(Self { gateway, endpoint: config.endpoint, spent, runtime })
    }

    /// Whether the breaker is open: the service failed too often, and is not asked for a while.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.gateway.inner().refuses()
    }

    /// All tokens that the service has counted so far; none where it tells of none.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.spent.so_far()
    }

    async fn dial(&self) -> Result<(), BackendError> {
        let connect = pin!(TcpStream::connect(self.endpoint.host_and_port()));
        match select(connect, self.runtime.sleep(PROBE_TIMEOUT)).await {
            Either::Left((connected, _)) => connected.map(drop).map_err(|error| BackendError::later(NAME, error)),
            Either::Right(_) => Err(BackendError::later(NAME, "no connection within a second")),
        }
    }
}

impl AiGateway for HttpAi {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        self.gateway.answer(prompt)
    }
}

#[async_trait]
impl Probe for HttpAi {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<Health, BackendError> {
        if self.refuses() {
            return Err(BackendError::later(NAME, "the circuit breaker is open"));
        }
        self.dial().await.map(|()| Health::Well)
    }
}

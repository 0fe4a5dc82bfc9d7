//! What an AI service is called with. Nothing here shows a secret in `Debug`.

use crate::error::ConfigError;
use crate::resilience::{BreakerPolicy, BulkheadPolicy};
use crate::wire::Wire;
use reqwest::Url;
use std::fmt;
use std::time::Duration;

/// Where an AI service is and how it is called. [`new`](Self::new) fills in the usual values.
///
/// ```
/// use chatcore_ai_http::{HttpAiConfig, Secret};
///
/// let mut config = HttpAiConfig::new("https://ai.example/chat?tenant=7")?;
/// config.api_key = Some(Secret::new("a key"));
/// assert!(!format!("{config:?}").contains("a key"));
/// # Ok::<_, chatcore_ai_http::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpAiConfig {
    pub(crate) endpoint: Endpoint,
    /// Sent as `Authorization: Bearer`; `None` or an empty one sends none.
    pub api_key: Option<Secret>,
    /// How the service is spoken to.
    pub wire: Wire,
    /// Whether the history goes along and, where the format has a place for it, the user's id. Without them the service
    /// sees the message and, again where there is a place, the session's id.
    pub send_context: bool,
    /// Whether the service is asked to answer in pieces. One that does not is understood as well.
    pub stream: bool,
    /// How long connecting may take with all its tries, of which there are at most three; each gets a third of this.
    pub connect_timeout: Duration,
    /// How long a call may take from its begin to the last byte. Waiting for a place in the bulkhead comes before it.
    pub timeout: Duration,
    /// The largest body of an answer, in bytes after decompression. Of an answer in pieces, the largest event and the
    /// longest text.
    pub max_body: usize,
    /// Headers that go along with a call beside its own, asked for anew before each: those of a trace, for example.
    pub headers: fn() -> Vec<(&'static str, String)>,
    /// When the service is given a rest.
    pub breaker: BreakerPolicy,
    /// How many calls go on at once.
    pub bulkhead: BulkheadPolicy,
}

impl HttpAiConfig {
    /// The usual values for the service at this address: native, no key, context and pieces on, 6 s to connect, 30 s
    /// in all, 1 MiB.
    ///
    /// # Errors
    /// [`ConfigError::Url`], where the text is no URL, not `http` or `https`, or holds a user or a password.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            endpoint: Endpoint::parse(url)?,
            api_key: None,
            wire: Wire::default(),
            send_context: true,
            stream: true,
            connect_timeout: Duration::from_secs(6),
            timeout: Duration::from_secs(30),
            max_body: 1024 * 1024,
            headers: Vec::new,
            breaker: BreakerPolicy::default(),
            bulkhead: BulkheadPolicy::default(),
        })
    }
}

/// A text that `Debug` does not show.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An address that was checked. `Debug` leaves out its path and query, where some services want a key.
#[derive(Clone)]
pub(crate) struct Endpoint(Url);

impl Endpoint {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let url = Url::parse(text).map_err(|_| ConfigError::Url("a URL like https://ai.example/chat"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ConfigError::Url("a URL of http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConfigError::Url("a URL without user and password; a key has a place of its own"));
        }
        Ok(Self(url))
    }

    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Host and port as `TcpStream::connect` takes them: an IPv6 address without its brackets.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']);
        (host, self.0.port_or_known_default().unwrap_or_default())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = self.host_and_port();
        write!(f, "{} {host} {port}", self.0.scheme())
    }
}

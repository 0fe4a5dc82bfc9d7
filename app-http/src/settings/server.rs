//! The program and its place on the network.

use app_kit::settings::parse::{self, Parsed};
use app_kit::settings::{Reader, table as t};
use ipnet::IpNet;
use std::time::Duration;

/// The program and its place on the network.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it is called.
    pub name: String,
    /// Which version it tells.
    pub version: String,
    /// Whether development is eased.
    pub debug: bool,
    /// The address to listen on.
    pub host: String,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Threads; `None` for one a core.
    pub workers: Option<usize>,
    /// Connections at once.
    pub max_connections: usize,
    /// How long a connection is kept without a request.
    pub keep_alive: Duration,
    /// How long stopping may take in all: open turns go on for all of it but 3.5 s, in which their answers go out.
    pub grace: Duration,
    /// How much of that requests are served as before, so that a load balancer learns of it.
    pub delay: Duration,
    /// Proxies that are believed where a request comes from.
    pub trusted: Vec<IpNet>,
    /// Origins that browsers may call from; `None` for any.
    pub origins: Option<Vec<String>>,
    /// The longest body, in bytes.
    pub max_body: usize,
}

impl Server {
    pub(super) fn read(reader: &mut Reader, debug: Option<bool>) -> Option<Self> {
        let (name, version) = (reader.get(&t::APP_NAME, parse::text), reader.optional(&t::APP_VERSION, parse::text));
        let (host, port) = (reader.get(&t::HOST, parse::host), reader.get(&t::PORT, parse::port));
        let workers = reader.optional(&t::HTTP_WORKERS, workers);
        let max_connections = reader.get(&t::HTTP_MAX_CONNECTIONS, parse::size);
        let keep_alive = reader.get(&t::HTTP_KEEP_ALIVE, parse::some_time);
        let grace = reader.get(&t::SHUTDOWN_GRACE, parse::some_time);
        let delay = reader.get(&t::SHUTDOWN_DELAY, parse::duration);
        if grace.zip(delay).is_some_and(|(grace, delay)| delay > grace / 2) {
            reader.fault(&t::SHUTDOWN_DELAY, "must be at most half of SHUTDOWN_GRACE, of which it is a part");
        }
        let trusted = reader.get(&t::TRUSTED_PROXIES, parse::networks);
        let any = if debug.unwrap_or(true) { "*" } else { "none" };
        let origins = reader.get_or(&t::CORS_ALLOWED_ORIGINS, any, parse::origins);
        let max_body = reader.get(&t::BODY_MAX_BYTES, parse::bytes);
        Some(Self {
            name: name?,
            version: version?.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            debug: debug?,
            host: host?,
            port: port?,
            workers: workers?,
            max_connections: max_connections?,
            keep_alive: keep_alive?,
            grace: grace?,
            delay: delay?,
            trusted: trusted?,
            origins: origins?,
            max_body: max_body?,
        })
    }
}

fn workers(text: &str) -> Parsed<usize> {
    parse::size(text).ok().filter(|count| *count <= 512).ok_or("a whole number, 1 to 512")
}

//! What the worker is told.

mod handlers;
#[cfg(test)]
mod tests;

pub use handlers::{HandlerKind, MongoDbPlace};

use app_kit::settings::{Faults, Logs, Reader, Store, StoreKind, Traces, parse, table as t};
use std::time::Duration;

/// Everything that the worker is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Logs.
    pub logs: Logs,
    /// Traces; `None` for none.
    pub traces: Option<Traces>,
    /// Where the events are.
    pub store: Store,
    /// What is done with each event, in this order.
    pub handlers: Vec<HandlerKind>,
    /// Events that are worked off at once.
    pub lanes: usize,
    /// How often a handler tries an event before the event goes to the dead letters.
    pub tries: u32,
    /// The address of its health and metrics.
    pub host: String,
    /// Their port, 0 for any free one; `None` for none.
    pub port: Option<u16>,
    /// How long stopping may take.
    pub grace: Duration,
    /// What is not wrong but should be looked at, a sentence each.
    pub warnings: Vec<String>,
    /// Every setting, a line each; secrets as `***`.
    pub printed: String,
}

impl Settings {
    /// Reads the environment and `.env`. What no part can be made of, `look` tells, where `always` or something else is wrong,
    /// too.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(
        always: bool,
        look: impl FnOnce(Option<&Store>, &[HandlerKind]) -> Vec<String>,
    ) -> Result<Self, Faults> {
        let mut reader = Reader::of_process();
        let settings = Self::read(&mut reader, always, look);
        reader.finish(settings)
    }

    /// Reads these pairs as if they were all that stands in the environment: for tests.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Faults> {
        let mut reader = Reader::of_pairs(pairs);
        let settings = Self::read(&mut reader, false, |_, _| Vec::new());
        reader.finish(settings)
    }

    /// `None` where something is missing; then the reader has a fault. Everything is read before anything is missed.
    fn read(
        reader: &mut Reader,
        always: bool,
        look: impl FnOnce(Option<&Store>, &[HandlerKind]) -> Vec<String>,
    ) -> Option<Self> {
        let (logs, store) = (Logs::read(reader), Store::read(reader, false));
        if store.as_ref().is_some_and(|store| store.kind == StoreKind::Memory && opens(store)) {
            reader.fault(&t::STORE, "is memory, which no other process can read: there is nothing for a worker to do");
        }
        let is_on_kafka = match &store {
            Some(store) => store.kafka.is_some(),
            None => reader.is_given(&t::KAFKA_BOOTSTRAP_SERVERS),
        };
        let handlers = HandlerKind::read(reader, is_on_kafka);
        let (lanes, tries) = (reader.get(&t::WORKER_LANES, lanes), reader.get(&t::WORKER_TRIES, tries));
        let (host, port) = (reader.get(&t::HOST, parse::host), reader.get(&t::WORKER_PORT, port));
        let grace = reader.get(&t::SHUTDOWN_GRACE, parse::some_time);
        let traces = Traces::read(reader, env!("CARGO_PKG_NAME"), grace);
        reader.look(always, || look(store.as_ref(), handlers.as_deref().unwrap_or_default()));
        let mut settings = Self {
            logs: logs?,
            traces: traces?,
            store: store?,
            handlers: handlers?,
            lanes: lanes?,
            tries: tries?,
            host: host?,
            port: port?,
            grace: grace?,
            warnings: reader.warnings(),
            printed: reader.print(),
        };
        settings.warnings.extend(settings.handlers.iter().filter_map(HandlerKind::warning));
        Some(settings)
    }
}

/// Whether a worker opens the store: on Kafka only where it relays.
pub(crate) fn opens(store: &Store) -> bool {
    store.kafka.as_ref().is_none_or(|kafka| kafka.relay)
}

fn lanes(text: &str) -> parse::Parsed<usize> {
    parse::size(text).ok().filter(|lanes| *lanes <= 1024).ok_or("a whole number, 1 to 1024")
}

fn tries(text: &str) -> parse::Parsed<u32> {
    text.trim().parse().ok().filter(|tries| (1..=1000).contains(tries)).ok_or("a whole number, 1 to 1000")
}

fn port(text: &str) -> parse::Parsed<Option<u16>> {
    if text.trim().eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    parse::port(text).map(Some).map_err(|_| parse::port_rule(text, "a port, 0 to 65535, or off"))
}

//! What the worker is told.

use app_kit::settings::{Faults, Logs, Reader, Store, StoreKind, parse, table as t};
use std::time::Duration;

/// Everything that the worker is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Logs.
    pub logs: Logs,
    /// Where the events are.
    pub store: Store,
    /// What is done with each event, in this order.
    pub handlers: Vec<HandlerKind>,
    /// Events that are worked off at once.
    pub lanes: usize,
    /// How long stopping may take.
    pub grace: Duration,
    /// What is not wrong but should be looked at, a sentence each.
    pub warnings: Vec<String>,
    /// Every setting, a line each; secrets as `***`.
    pub printed: String,
}

/// The handlers that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandlerKind {
    /// A line on stdout.
    Log,
}

impl Settings {
    /// Reads the environment and `.env`.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load() -> Result<Self, Faults> {
        Self::read(Reader::of_process())
    }

    fn read(mut reader: Reader) -> Result<Self, Faults> {
        let settings = Self::read_all(&mut reader);
        reader.finish(settings)
    }

    /// `None` where something is missing; then the reader has a fault. Everything is read before anything is missed.
    fn read_all(reader: &mut Reader) -> Option<Self> {
        let (logs, store) = (Logs::read(reader), Store::read(reader));
        if store.as_ref().is_some_and(|store| store.kind == StoreKind::Memory) {
            reader.fault(&t::STORE, "is memory, which no other process can read: there is nothing for a worker to do");
        }
        let handlers = reader.get(&t::WORKER_HANDLERS, handlers);
        let lanes = reader.get(&t::WORKER_LANES, lanes);
        let grace = reader.get(&t::SHUTDOWN_GRACE, parse::some_time);
        let (warnings, printed) = (reader.warnings(), reader.print());
        Some(Self { logs: logs?, store: store?, handlers: handlers?, lanes: lanes?, grace: grace?, warnings, printed })
    }
}

fn handlers(text: &str) -> parse::Parsed<Vec<HandlerKind>> {
    let kind = |name: &str| name.eq_ignore_ascii_case("log").then_some(HandlerKind::Log);
    let kinds: Option<Vec<_>> = text.split(',').map(str::trim).map(kind).collect();
    kinds.ok_or("handlers with commas between: log")
}

fn lanes(text: &str) -> parse::Parsed<usize> {
    parse::size(text).ok().filter(|lanes| *lanes <= 1024).ok_or("a whole number, 1 to 1024")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Faults> {
        Settings::read(Reader::of_pairs(pairs.iter().copied()))
    }

    #[test]
    fn settings_of_the_server_do_not_concern_the_worker() {
        let settings = read(&[("PORT", "junk"), ("DEBUG", "false"), ("WORKER_LANES", "3")]).unwrap();
        assert_eq!((settings.lanes, settings.handlers), (3, vec![HandlerKind::Log]));
        assert!(settings.printed.contains("\nPORT=junk\n"), "{}", settings.printed);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let faults = read(&[("WORKER_LANES", "0"), ("WORKER_HANDLERS", "log,fax"), ("STORE", "memory")]).unwrap_err();
        let told = faults.to_string();
        assert!(["WORKER_LANES", "WORKER_HANDLERS", "STORE"].iter().all(|name| told.contains(name)), "{told}");
    }
}

//! What the storm is told on its command line.

use std::fmt;
use std::time::Duration;

/// What the storm is told.
#[derive(Debug)]
pub(crate) struct Options {
    /// `redis` or `sqlite`.
    pub(crate) store: Store,
    /// `local` or `kafka`.
    pub(crate) bus: Bus,
    /// How long the faults go on.
    pub(crate) length: Duration,
    /// Decides the faults.
    pub(crate) seed: u64,
    /// End with the first violation whose name begins with one of these.
    pub(crate) until: Vec<String>,
}

/// The words that choose the same plan again.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = if self.store == Store::Redis { "redis" } else { "sqlite" };
        let bus = if self.bus == Bus::Kafka { "kafka" } else { "local" };
        write!(f, "--store {store} --bus {bus} --seed {}", self.seed)
    }
}

/// The store under all servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Redis,
    Sqlite,
}

/// How events get to the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bus {
    /// By the store's own log.
    Local,
    Kafka,
}

const USAGE: &str =
    "storm --store redis|sqlite [--bus local|kafka] [--seconds N | --minutes N] [--seed S] [--until LAW]...";

impl Options {
    /// Reads them, or says how they are given.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (store, bus, length) = (Store::Redis, Bus::Local, Duration::from_secs(60));
        let mut options = Self { store, bus, length, seed: 1, until: Vec::new() };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--store" => options.store = Store::read(&value()?)?,
                "--bus" => options.bus = Bus::read(&value()?)?,
                "--seconds" => options.length = Duration::from_secs(number(&value()?)?),
                "--minutes" => options.length = Duration::from_secs(60 * number(&value()?)?),
                "--seed" => options.seed = number(&value()?)?,
                "--until" => options.until.push(value()?),
                other => return Err(format!("there is no `{other}`\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

impl Store {
    fn read(word: &str) -> Result<Self, String> {
        match word {
            "redis" => Ok(Self::Redis),
            "sqlite" => Ok(Self::Sqlite),
            other => Err(format!("there is no store `{other}`\n{USAGE}")),
        }
    }
}

impl Bus {
    fn read(word: &str) -> Result<Self, String> {
        match word {
            "local" => Ok(Self::Local),
            "kafka" => Ok(Self::Kafka),
            other => Err(format!("there is no bus `{other}`\n{USAGE}")),
        }
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is not a whole number\n{USAGE}"))
}

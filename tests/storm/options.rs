//! What the storm is told on its command line.

use std::time::Duration;

/// What the storm is told.
#[derive(Debug)]
pub(crate) struct Options {
    /// `redis` or `sqlite`.
    pub(crate) store: Store,
    /// How long the faults go on.
    pub(crate) length: Duration,
    /// Decides the faults.
    pub(crate) seed: u64,
    /// End with the first violation.
    pub(crate) until_found: bool,
}

/// The store under all servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Redis,
    Sqlite,
}

const USAGE: &str = "storm --store redis|sqlite [--seconds N | --minutes N] [--seed S] [--until-found]";

impl Options {
    /// Reads them, or says how they are given.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { store: Store::Redis, length: Duration::from_secs(60), seed: 1, until_found: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--store" => options.store = store(&value()?)?,
                "--seconds" => options.length = Duration::from_secs(number(&value()?)?),
                "--minutes" => options.length = Duration::from_secs(60 * number(&value()?)?),
                "--seed" => options.seed = number(&value()?)?,
                "--until-found" => options.until_found = true,
                other => return Err(format!("there is no `{other}`\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn store(word: &str) -> Result<Store, String> {
    match word {
        "redis" => Ok(Store::Redis),
        "sqlite" => Ok(Store::Sqlite),
        other => Err(format!("there is no store `{other}`\n{USAGE}")),
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is not a whole number\n{USAGE}"))
}

//! Whether the server is fit to be used: looked at by the first connection, and once.

use crate::config::RedisConfig;
use crate::error::{NAME, OpenError, failed, is_denied, is_no_database};
use crate::keys::Keys;
use crate::link::{Link, Maker};
use chatcore::error::BackendError;
use deadpool_redis::redis::{Cmd, RedisError, RedisResult, Value, cmd, from_redis_value};
use std::sync::{Mutex, PoisonError};

/// The oldest version that knows `#!lua` scripts.
const OLDEST: u32 = 7;

/// Looks once whether the server is fit.
#[derive(Debug)]
pub(crate) struct Check {
    prefix: String,
    meta: String,
    partitions: u8,
    may_evict: bool,
    found: Mutex<Found>,
}

#[derive(Debug, Clone)]
enum Found {
    Nothing,
    Fit,
    Unfit(OpenError),
}

impl Check {
    pub(crate) fn new(config: &RedisConfig) -> Self {
        let meta = Keys::new(config.key_prefix.clone(), config.partitions).plain("meta");
        let (prefix, partitions) = (config.key_prefix.clone(), config.partitions);
        Self { prefix, meta, partitions, may_evict: config.may_evict, found: Mutex::new(Found::Nothing) }
    }

    /// What was found wrong.
    pub(crate) fn unfit(&self) -> Option<OpenError> {
        match self.found() {
            Found::Unfit(why) => Some(why),
            Found::Nothing | Found::Fit => None,
        }
    }

    /// Whether the link, thought to be to a single server, is to a node of a cluster.
    pub(crate) async fn is_a_cluster_unawares(&self, maker: &Maker, link: &mut Link) -> RedisResult<bool> {
        if maker.is_cluster() || matches!(self.found(), Found::Fit) {
            return Ok(false);
        }
        let answer = cmd("INFO").arg("server").query_async(link).await;
        Ok(allowed(answer)?.is_some_and(|info| line(&text(&info), "redis_mode") == Some("cluster")))
    }

    /// No connection came about. Whoever is not let in, or asks for a database that is not there, has to mend that, and is
    /// told so.
    pub(crate) fn refused(&self, error: RedisError) -> BackendError {
        let why = error.to_string();
        if is_denied(&error) {
            self.keep(Found::Unfit(OpenError::Denied { why }));
        } else if is_no_database(&error) {
            self.keep(Found::Unfit(OpenError::Database { why }));
        }
        failed(error)
    }

    /// Looks, unless it was done before.
    pub(crate) async fn run(&self, link: &mut Link) -> Result<(), BackendError> {
        if matches!(self.found(), Found::Fit) {
            return Ok(());
        }
        let looked = match self.look(link).await {
            Err(error) if is_denied(&error) => Err(OpenError::Denied { why: error.to_string() }),
            Err(error) => return Err(failed(error)),
            Ok(looked) => looked,
        };
        self.keep(match &looked {
            Ok(()) => Found::Fit,
            Err(why) => Found::Unfit(why.clone()),
        });
        looked.map_err(|why| BackendError::never(NAME, why))
    }

    async fn look(&self, link: &mut Link) -> RedisResult<Result<(), OpenError>> {
        // A single node answers INFO for itself; of a cluster the first that answers is believed.
        if let Some(info) = allowed(cmd("INFO").arg("server").query_async(link).await)? {
            let info = text(&info);
            let version = line(&info, "redis_version").unwrap_or_default();
            if version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major < OLDEST) {
                return Ok(Err(OpenError::Version { found: version.to_owned() }));
            }
        }
        if let Some(policy) = allowed(cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(link).await)? {
            let policy = text(&policy).replace("maxmemory-policy", "").trim().to_owned();
            if !policy.is_empty() && policy != "noeviction" {
                let evicts = OpenError::Evicts { policy };
                if !self.may_evict {
                    return Ok(Err(evicts));
                }
                tracing::warn!("sessions may be lost: {evicts}");
            }
        }
        self.look_at_partitions(link).await
    }

    async fn look_at_partitions(&self, link: &mut Link) -> RedisResult<Result<(), OpenError>> {
        let mut set = Cmd::new();
        set.arg("SET").arg(&self.meta).arg(format!("partitions={}", self.partitions)).arg("NX").arg("GET");
        let before: Value = set.query_async(link).await?;
        let before: Option<String> = from_redis_value(before)?;
        let found = before.as_deref().and_then(|before| before.strip_prefix("partitions="));
        Ok(match found.or(before.as_deref()) {
            Some(found) if found != self.partitions.to_string() => {
                let (prefix, found) = (self.prefix.clone(), found.to_owned());
                Err(OpenError::OtherPartitions { prefix, found, asked: self.partitions })
            }
            _ => Ok(()),
        })
    }

    fn found(&self) -> Found {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, found: Found) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

/// Not everybody may ask for everything: who may not, goes without.
fn allowed(answer: RedisResult<Value>) -> RedisResult<Option<Value>> {
    match answer {
        Err(error) if is_denied(&error) => Ok(None),
        answer => answer.map(Some),
    }
}

/// The value of a line of INFO.
fn line<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// All text in an answer, however it is nested.
fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::VerbatimString { text, .. } => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Map(pairs) => {
            pairs.iter().map(|(key, value)| text(key) + " " + &text(value)).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

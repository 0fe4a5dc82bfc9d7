//! Whether the server is fit to be used: looked at by the first connection, and once.

use crate::config::RedisConfig;
use crate::error::{NAME, OpenError, failed, is_denied, is_no_database};
use crate::keys::Keys;
use crate::link::Link;
use crate::value::Read;
use chatcore::error::BackendError;
use deadpool_redis::redis::{Cmd, RedisError, RedisResult, Value, cmd, from_redis_value};
use std::sync::atomic::{AtomicBool, Ordering};
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
    cluster: AtomicBool,
    found: Mutex<Found>,
    /// Whether it was looked over how many partitions a cluster's sessions are spread.
    spread: AtomicBool,
}

#[derive(Debug, Clone)]
enum Found {
    Nothing,
    Fit,
    Unfit(OpenError),
}

impl Check {
    pub(crate) fn new(config: &RedisConfig, is_cluster: bool) -> Self {
        let meta = Keys::new(config.key_prefix.clone(), config.partitions).plain("meta");
        let (prefix, partitions, may_evict) = (config.key_prefix.clone(), config.partitions, config.may_evict);
        let (cluster, spread) = (AtomicBool::new(is_cluster), AtomicBool::new(false));
        Self { prefix, meta, partitions, may_evict, cluster, found: Mutex::new(Found::Nothing), spread }
    }

    /// What was found wrong.
    pub(crate) fn unfit(&self) -> Option<OpenError> {
        match self.found() {
            Found::Unfit(why) => Some(why),
            Found::Nothing | Found::Fit => None,
        }
    }

    /// Whether the servers are nodes of a cluster: several always are, and a single one has said so.
    pub(crate) fn is_cluster(&self) -> bool {
        self.cluster.load(Ordering::Relaxed)
    }

    /// A node said that something lies on another one.
    pub(crate) fn found_a_cluster(&self) {
        self.cluster.store(true, Ordering::Relaxed);
    }

    /// No connection came about. Whoever is not let in, or asks for a database that is not there, has to mend that, and is
    /// told so; not where others were let in, since a node may have other users.
    pub(crate) fn refused(&self, error: RedisError) -> BackendError {
        let why = error.to_string();
        if matches!(self.found(), Found::Fit) {
            return failed(error);
        }
        if is_denied(&error) {
            self.keep(Found::Unfit(OpenError::Denied { why }));
        } else if is_no_database(&error) {
            self.keep(Found::Unfit(OpenError::Database { why }));
        }
        failed(error)
    }

    /// Looks at a server, unless that was done before: of a cluster's nodes the first that is there is believed.
    pub(crate) async fn server(&self, link: &mut Link) -> Read<()> {
        if matches!(self.found(), Found::Fit) {
            return Ok(());
        }
        let looked = self.look(link).await;
        self.conclude(looked)
    }

    /// The key that says over how many partitions the sessions are spread.
    pub(crate) fn meta(&self) -> &str {
        &self.meta
    }

    /// What asks over how many partitions a cluster's sessions are spread, as long as that is not known. The node that says so
    /// may be away when the others are not, so nobody waits for that.
    pub(crate) fn of_spread(&self) -> Option<Cmd> {
        (self.is_cluster() && !self.spread.load(Ordering::Relaxed)).then(|| self.spread())
    }

    /// What came of that.
    pub(crate) fn spread_is(&self, told: Value) -> Read<()> {
        self.spread.store(true, Ordering::Relaxed);
        let looked = self.judge(told);
        self.conclude(looked)
    }

    fn conclude(&self, looked: RedisResult<Result<(), OpenError>>) -> Read<()> {
        let looked = match looked {
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
        if let Some(info) = allowed(cmd("INFO").arg("server").query_async(link).await)? {
            let info = text(&info);
            let version = line(&info, "redis_version").unwrap_or_default();
            if version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major < OLDEST) {
                return Ok(Err(OpenError::Version { found: version.to_owned() }));
            }
            self.cluster.fetch_or(line(&info, "redis_mode") == Some("cluster"), Ordering::Relaxed);
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
        if self.is_cluster() {
            return Ok(Ok(()));
        }
        match self.spread().query_async(link).await {
            // Who may not ask for INFO learns it here.
            Err(error) if RedisError::redirect_node(&error).is_some() => {
                self.found_a_cluster();
                Ok(Ok(()))
            }
            told => self.judge(told?),
        }
    }

    fn spread(&self) -> Cmd {
        let mut set = Cmd::new();
        set.arg("SET").arg(&self.meta).arg(format!("partitions={}", self.partitions)).arg("NX").arg("GET");
        set
    }

    fn judge(&self, before: Value) -> RedisResult<Result<(), OpenError>> {
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

//! How the store is reached, and how much it keeps.

use crate::error::OpenError;
use crate::link::Maker;
use chatcore::policy::StoreLimits;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The largest number of partitions: the last hexadecimal digit of a session's id names its own.
pub(crate) const MOST_PARTITIONS: u8 = 16;

/// How many events each partition may hold however small the limit of all is. Above sixteen times this each holds its share.
pub(crate) const OUTBOX_SHARE: u64 = 1000;

/// How the store is reached, and how much it keeps. Made by [`RedisConfig::new`]; the fields hold good values.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    /// `redis://[[user]:[password]@]host[:port][/database]`, or `rediss://` for TLS. Several are nodes of one cluster, by
    /// which its others are found. A single one may be a node of a cluster, too.
    pub urls: Vec<String>,
    /// The certificates to trust with `rediss://`, as PEM; `None` for those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// What the name of every key and channel begins with.
    pub key_prefix: String,
    /// How much is kept.
    pub limits: StoreLimits,
    /// How long a call may take, the wait for a connection included.
    pub call_timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// Over how many slots the sessions are spread, 1 to 16. A cluster spreads them over at most so many nodes. It is kept
    /// in the store, and cannot be changed there.
    pub partitions: u8,
    /// Whether a server may be used that throws keys away when its memory is full (any `maxmemory-policy` but `noeviction`). It
    /// is warned of; else it is refused.
    pub may_evict: bool,
    /// How long after its holder died a delivery comes back.
    pub come_back: Duration,
    /// How long after its last claim a relay that died keeps others from what it had. With none, all relays publish all events.
    pub relay_lease: Duration,
}

impl RedisConfig {
    /// Good values for a server, or for a cluster by one of its nodes.
    ///
    /// ```
    /// use chatcore_redis::RedisConfig;
    ///
    /// let mut config = RedisConfig::new("redis://chat:secret@127.0.0.1:6379/2");
    /// config.key_prefix = "shop:".into();
    /// assert!(!format!("{config:?}").contains("secret"));
    /// ```
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            ca_file: None,
            key_prefix: "c:".into(),
            limits: StoreLimits::default(),
            call_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_millis(250),
            partitions: MOST_PARTITIONS,
            may_evict: true,
            come_back: Duration::from_secs(5),
            relay_lease: Duration::from_secs(3),
        }
    }

    /// Looks for what cannot be right, without a connection. [`Redis::open`](crate::Redis::open) does so first.
    ///
    /// # Errors
    /// A URL, the certificates, the prefix or the partitions are wrong; the error's text says what to mend.
    pub fn check(&self) -> Result<(), OpenError> {
        if !(1..=MOST_PARTITIONS).contains(&self.partitions) {
            return Err(OpenError::Partitions { partitions: self.partitions });
        }
        let bad = |letter: char| "{}*?[]".contains(letter) || letter.is_whitespace() || letter.is_control();
        if self.key_prefix.contains(bad) {
            return Err(OpenError::Prefix { prefix: self.key_prefix.clone() });
        }
        Maker::new(self).map(drop)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(|url| without_secret(url)).collect();
        f.debug_struct("RedisConfig")
            .field("urls", &urls)
            .field("ca_file", &self.ca_file)
            .field("key_prefix", &self.key_prefix)
            .field("limits", &self.limits)
            .field("call_timeout", &self.call_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("partitions", &self.partitions)
            .field("may_evict", &self.may_evict)
            .field("come_back", &self.come_back)
            .field("relay_lease", &self.relay_lease)
            .finish()
    }
}

/// A URL as it may be shown: user and password give way to stars. A password may hold anything, so all up to the last `@`
/// counts as one, and where no `@` is found nothing of what follows the scheme is shown but the host.
pub(crate) fn without_secret(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
    let host = rest.rsplit_once('@').map(|(_, host)| format!("***@{host}"));
    format!("{scheme}://{}", host.as_deref().unwrap_or(rest).split('?').next().unwrap_or_default())
}

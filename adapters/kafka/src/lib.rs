#![doc = include_str!("../README.md")]
//!
//! # Inside
//! | module | holds |
//! |---|---|
//! | `deadline` | no call hangs |
//! | `link`, `tls` | the client that writes (rskafka), with deadlines; its encryption |
//! | `topics`, `topic`, `partition` | which topics and partitions there are, and where a key goes |
//! | `record`, `publish`, `slow` | events as records; publishing in order, past partitions that do not answer |
//! | `refused`, `probe` | topics that cannot be had or take nothing; whether all is well |
//! | `group` | the client that reads as a member of a group (krafka) |
//! | `lanes`, `merge`, `attempts` | what a member has in hand and how far it is, without I/O |
//! | `member`, `subscription` | a member at work, and what a program holds of it |
//! | `letters` | the dead letters |
//!
//! Architecture invariant: nothing of the two clients shows outside, and `group` alone knows the one that reads.

// The clients nest their futures deeper than the compiler follows by itself.
#![recursion_limit = "256"]

mod attempts;
mod config;
mod deadline;
mod error;
mod group;
mod lanes;
mod letters;
mod link;
mod member;
mod merge;
mod partition;
mod probe;
mod publish;
mod record;
mod refused;
mod slow;
mod subscription;
mod tls;
mod topic;
mod topics;

pub use config::{Compression, GroupProtocol, KafkaConfig, Mechanism, Sasl, Security, Tls, Topics};
pub use error::OpenError;

use chatcore::error::BackendError;
use chatcore::port::Runtime;
use letters::{CrossedOut, Replays};
use link::Link;
use refused::Refused;
use slow::Slow;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;
use topics::Counts;

/// The bus and its dead letters, in a Kafka cluster. Cheap to clone.
#[derive(Clone)]
pub struct Kafka {
    inner: Arc<Inner>,
    replays: Replays,
}

struct Inner {
    config: Arc<KafkaConfig>,
    link: Link,
    runtime: Arc<dyn Runtime>,
    counts: Mutex<Option<Counts>>,
    slow: Slow,
    refused: Refused,
    crossed_out: Mutex<CrossedOut>,
}

impl Kafka {
    /// Takes the settings. Nothing is sent: a broker that is away is seen by the first call, and by the probe. Tasks and
    /// timers are tokio's, so the runtime has to be one of tokio.
    ///
    /// # Errors
    /// The settings cannot be right; the error's text says which.
    pub fn open(config: KafkaConfig, runtime: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        config.check()?;
        let link = Link::new(&config, runtime.clone())?;
        let (counts, slow, refused, crossed_out) = Default::default();
        let inner = Inner { config: Arc::new(config), link, runtime, counts, slow, refused, crossed_out };
        Ok(Self { inner: Arc::new(inner), replays: Replays::Any })
    }

    /// The same bus, which gives back the dead letters of this group alone, and refuses the others': a group that was renamed
    /// has nobody who reads what is given back to it.
    #[must_use]
    pub fn replaying_of(self, group: &str) -> Self {
        Self { replays: Replays::Of(group.into()), ..self }
    }

    /// The same bus, which gives back the dead letters of all groups to this one, as after it was renamed; those of a topic that
    /// was renamed go to the topic that has their kind now.
    #[must_use]
    pub fn replaying_to(self, group: &str) -> Self {
        Self { replays: Replays::To(group.into()), ..self }
    }

    /// Does some work within the time of a call.
    async fn within<T>(&self, work: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
        deadline::within((&self.inner.runtime, self.inner.config.call_timeout), work).await
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka").field("servers", &self.inner.config.bootstrap_servers).finish_non_exhaustive()
    }
}

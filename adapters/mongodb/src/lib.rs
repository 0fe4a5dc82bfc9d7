#![doc = include_str!("../README.md")]
//!
//! # Inside
//! | module | holds |
//! |---|---|
//! | `config` | how MongoDB is reached |
//! | `document`, `json` | an event as a document |
//! | `store` | what is written for an event |
//! | `indexes` | the indexes, made beside the work |
//! | `handler`, `probe` | the ports |
//! | `error` | what may pass and what is refused for good |
//!
//! Architecture invariant: nothing of the driver shows outside.

mod config;
mod document;
mod error;
mod handler;
mod indexes;
mod json;
mod probe;
mod store;

pub use config::MongoDbConfig;
pub use error::OpenError;

use chatcore::port::Runtime;
use error::Failed;
use futures_util::future::{Either, select};
use mongodb::bson::Document;
use mongodb::{Client, Collection, Database};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Keeps messages in a MongoDB. Cheap to clone.
#[derive(Clone)]
pub struct MongoDb {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    messages: Collection<Document>,
    deletions: Collection<Document>,
    call_timeout: Duration,
    runtime: Arc<dyn Runtime>,
}

impl MongoDb {
    /// Takes the settings and begins to connect. A server that is away is no error: events wait for it, and the probe tells.
    /// Tasks and timers of the driver are tokio's, so the runtime has to be one of tokio.
    ///
    /// # Errors
    /// The settings cannot be right; the error's text says which.
    pub async fn open(config: MongoDbConfig, runtime: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        let client = Client::with_options(config.options().await?).map_err(|error| OpenError::of(&error))?;
        let database = client.database(&config.database);
        let (messages, deletions) = (database.collection("messages"), database.collection("deletions"));
        let inner = Arc::new(Inner { database, messages, deletions, call_timeout: config.call_timeout, runtime });
        indexes::make_beside(&inner);
        Ok(Self { inner })
    }
}

impl Inner {
    /// Does some work, or gives it up when the time is over.
    async fn within<T>(&self, time: Duration, work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        // On the heap: the driver nests its futures deeper than the compiler follows.
        match select(Box::pin(work), self.runtime.sleep(time)).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(Failed::Later("no answer in time".into())),
        }
    }
}

impl fmt::Debug for MongoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoDb").field("database", &self.inner.database.name()).finish_non_exhaustive()
    }
}

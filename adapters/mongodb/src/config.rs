//! How MongoDB is reached.

use crate::error::OpenError;
use futures_util::FutureExt;
use mongodb::Client;
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use std::fmt;
use std::time::Duration;

/// How MongoDB is reached. [`new`](Self::new) fills in good values for everything but the address.
#[derive(Clone)]
#[non_exhaustive]
pub struct MongoDbConfig {
    /// `mongodb://user:password@host:27017/?options`. Its options go before all that is said here. `Debug` does not show it.
    pub uri: String,
    /// The database; that of the URI is only where its user is known.
    pub database: String,
    /// How long connecting may take, and how long a server is looked for that takes writes.
    pub connect_timeout: Duration,
    /// How long all that is written for one event may take, looking for a server included.
    pub call_timeout: Duration,
}

impl MongoDbConfig {
    /// Good values for everything but the address.
    #[must_use]
    pub fn new(uri: impl Into<String>) -> Self {
        let (uri, database) = (uri.into(), "chatcore".to_owned());
        Self { uri, database, connect_timeout: Duration::from_secs(3), call_timeout: Duration::from_secs(10) }
    }

    /// Looks for what cannot be right, with nobody asked. Called inside a tokio runtime, as [`MongoDb::open`](crate::MongoDb::open),
    /// which refuses the same.
    ///
    /// # Errors
    /// The settings cannot be right; the error's text says which.
    pub fn check(&self) -> Result<(), OpenError> {
        // Only for a name that is looked up there would be something to wait for, and this driver looks none up.
        let Some(options) = self.options().now_or_never() else { return Ok(()) };
        // A client makes itself ready for TLS at once. This one has nobody to connect to.
        let mut nobody = options?;
        nobody.hosts.clear();
        nobody.load_balanced = None;
        Client::with_options(nobody).map(drop).map_err(|error| OpenError::of(&error))
    }

    /// What the driver is told.
    pub(crate) async fn options(&self) -> Result<ClientOptions, OpenError> {
        self.check_own()?;
        let mut options = ClientOptions::parse(&self.uri).await.map_err(|error| OpenError::of(&error))?;
        options.app_name.get_or_insert_with(|| "chatcore".into());
        options.connect_timeout.get_or_insert(self.connect_timeout);
        options.server_selection_timeout.get_or_insert(self.connect_timeout);
        // What was acknowledged survives the loss of a server, and of its power.
        let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(self.call_timeout);
        let concern = options.write_concern.get_or_insert(durable.build());
        if concern.w == Some(Acknowledgment::Nodes(0)) {
            return Err(OpenError::Unacknowledged);
        }
        Ok(options)
    }

    fn check_own(&self) -> Result<(), OpenError> {
        let good = |letter: char| !letter.is_control() && !r#"/\. "$*<>:|?"#.contains(letter);
        if !(1..64).contains(&self.database.len()) || !self.database.chars().all(good) {
            return Err(OpenError::Database { name: self.database.clone() });
        }
        let times = [("connect_timeout", self.connect_timeout), ("call_timeout", self.call_timeout)];
        match times.iter().find(|(_, time)| time.is_zero()) {
            Some((setting, _)) => Err(OpenError::Number { setting }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for MongoDbConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("MongoDbConfig");
        told.field("database", &self.database).field("connect_timeout", &self.connect_timeout);
        told.field("call_timeout", &self.call_timeout).finish_non_exhaustive()
    }
}

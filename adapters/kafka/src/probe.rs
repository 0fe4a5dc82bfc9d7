//! The `Probe`: whether a broker answers, and what it says where it does not let us in, or has no topic for us.

use crate::Kafka;
use crate::error::NAME;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Health, Probe};
use futures_util::future::join;
use std::time::Duration;

/// How long a broker that is well may take.
const PATIENCE: Duration = Duration::from_secs(1);

#[async_trait]
impl Probe for Kafka {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<Health, BackendError> {
        let link = &self.inner.link;
        let (topics, why) = join(link.topics(PATIENCE), link.why(PATIENCE)).await;
        let topics = topics.map_err(|failed| why.unwrap_or(failed))?;
        match self.refusal(&topics) {
            None => Ok(Health::Well),
            Some(refused) => Err(refused),
        }
    }
}

//! The `Probe`: whether a broker answers, and what it says where it does not let us in.

use crate::Kafka;
use crate::error::NAME;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Health, Probe};
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
        match link.topics(PATIENCE).await {
            Ok(_) => Ok(Health::Well),
            Err(failed) => Err(link.why(PATIENCE).await.unwrap_or(failed).into()),
        }
    }
}

//! The `Probe`: whether a broker answers.

use crate::Kafka;
use crate::error::NAME;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Health, Probe};
use std::time::Duration;

#[async_trait]
impl Probe for Kafka {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<Health, BackendError> {
        self.inner.link.topics(Duration::from_secs(1)).await?;
        Ok(Health::Well)
    }
}

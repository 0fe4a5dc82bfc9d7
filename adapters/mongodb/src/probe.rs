//! The `Probe`: whether a server is there that takes writes.

use crate::MongoDb;
use crate::error::NAME;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Health, Probe};
use mongodb::bson::doc;
use mongodb::options::{ReadPreference, SelectionCriteria};
use std::time::Duration;

#[async_trait]
impl Probe for MongoDb {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<Health, BackendError> {
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let ping = async {
            self.inner.database.run_command(doc! {"ping": 1}).selection_criteria(primary).await?;
            Ok(())
        };
        self.inner.within(Duration::from_secs(1), ping).await?;
        Ok(Health::Well)
    }
}

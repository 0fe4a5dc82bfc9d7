//! The indexes: made beside the work, as soon as a server is there. Events do not wait for them.

use crate::Inner;
use crate::error::Failed;
use mongodb::IndexModel;
use mongodb::bson::doc;
use std::sync::Arc;
use std::time::Duration;

/// How long making them may take: where there are many messages already that is minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Makes those that are missing, now or later.
pub(crate) fn make_beside(inner: &Arc<Inner>) {
    let (runtime, inner) = (inner.runtime.clone(), Arc::downgrade(inner));
    let sleeping = runtime.clone();
    runtime.spawn(Box::pin(async move {
        let mut tries = 0;
        // Given up where the handler is gone.
        while let Some(inner) = inner.upgrade() {
            match inner.within(PATIENCE, inner.make_indexes()).await {
                Ok(()) => return,
                Err(Failed::Never(reason)) => {
                    return tracing::warn!(reason, "MongoDB does not take the indexes; they stay as they are");
                }
                Err(Failed::Later(reason)) => tracing::warn!(reason, "no indexes in MongoDB yet; trying again"),
            }
            drop(inner);
            // A second, doubled up to a minute or so.
            sleeping.sleep(Duration::from_secs(1 << tries.min(6))).await;
            tries += 1;
        }
    }));
}

impl Inner {
    async fn make_indexes(&self) -> Result<(), Failed> {
        let keys = [doc! {"session_id": 1, "seq": 1}, doc! {"user_id": 1, "timestamp": 1}];
        let indexes = keys.map(|keys| IndexModel::builder().keys(keys).build());
        self.messages.create_indexes(indexes).await?;
        Ok(())
    }
}

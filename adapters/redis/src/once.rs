//! What is made once, by whichever process comes first, and is the same for all.

use crate::Redis;
use crate::value::bytes;
use chatcore::error::BackendError;
use deadpool_redis::redis::{Value, cmd};

impl Redis {
    /// Keeps a value under a name, unless one is kept there already; answers the one that is kept. It never expires.
    ///
    /// # Errors
    /// The server does not answer.
    ///
    /// ```no_run
    /// # async fn doc(redis: chatcore_redis::Redis) -> Result<(), chatcore::error::BackendError> {
    /// let ours = [7; 32];
    /// let secret = redis.made_once("jwt-secret", &ours).await?; // another server's, if it came first
    /// # Ok(())
    /// # }
    /// ```
    pub async fn made_once(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, BackendError> {
        let mut keep = cmd("SET");
        keep.arg(self.inner.keys.plain(name)).arg(value).arg("NX").arg("GET");
        match self.inner.client.command(&keep).await? {
            Value::Nil => Ok(value.to_vec()),
            kept => bytes(kept),
        }
    }
}

//! Topics that cannot be had, or that take nothing, until somebody mends something: what the probe tells.

use crate::Kafka;
use crate::error::NAME;
use crate::topic::Topic;
use chatcore::error::BackendError;
use chatcore::port::Published;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For how long a refused event says that its topic takes nothing. Whose relay still has it tries again much sooner; that of
/// another program may have published it meanwhile.
const KNOWN: Duration = Duration::from_secs(30);

/// What the broker said when it was last tried.
#[derive(Debug, Default)]
pub(crate) struct Refused(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    /// Topics that could not be made, or are not told of.
    unmade: BTreeMap<String, BackendError>,
    /// Topics that took nothing, as where a right is missing, and when that was.
    unwritten: BTreeMap<Topic, (Duration, BackendError)>,
}

impl Refused {
    /// What came of making all that were missing.
    pub(crate) fn note_unmade(&self, refused: &BTreeMap<String, BackendError>) {
        self.said().unmade.clone_from(refused);
    }

    /// What came just now of writing to a topic. A fault that may pass says nothing of it.
    pub(crate) fn note_written(&self, topic: Topic, result: &Published, now: Duration) {
        match result {
            Published::Done => _ = self.said().unwritten.remove(&topic),
            Published::Later(error) if !error.may_pass() => {
                _ = self.said().unwritten.insert(topic, (now, error.clone()))
            }
            _ => {}
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kafka {
    /// Topics of events that are not there, or that may not be seen. The bus makes them before it is first used; who only looks
    /// leaves them missing.
    ///
    /// # Errors
    /// No broker answers in time, or it refuses.
    pub async fn missing_topics(&self) -> Result<Vec<String>, BackendError> {
        let there = self.inner.link.topics(self.inner.config.call_timeout).await?;
        let all = self.inner.config.topics.of_events().into_iter();
        Ok(all.filter(|name| !there.contains_key(*name)).map(str::to_owned).collect())
    }

    /// Why events go nowhere although a broker answers that has these topics. One that is missing and was not tried yet is no
    /// fault: it is made when it is needed.
    pub(crate) fn refusal(&self, there: &BTreeMap<String, i32>) -> Option<BackendError> {
        let (said, now) = (self.inner.refused.said(), self.inner.runtime.elapsed());
        Topic::ALL.into_iter().find_map(|topic| {
            let name = self.inner.config.topics.name(topic);
            let (what, error) = match there.contains_key(name) {
                true => {
                    let (at, error) = said.unwritten.get(&topic)?;
                    ("takes nothing", (now.saturating_sub(*at) < KNOWN).then_some(error)?)
                }
                false => ("cannot be had", said.unmade.get(name)?),
            };
            let source = format!("the topic {name} {what}, and its events wait: {}", error.source);
            Some(BackendError {
                adapter: NAME,
                retry: error.retry,
                source: Arc::from(Box::<dyn Error + Send + Sync>::from(source)),
            })
        })
    }
}

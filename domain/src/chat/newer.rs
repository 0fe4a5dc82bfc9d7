//! What a reader of a session sees: its messages, as they are stored.

use super::{ChatError, Core};
use crate::id::SessionId;
use crate::message::{Message, NewerPage};
use crate::owner::Owner;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long one look waits. The store tells of what is new and of a deletion; that a session has expired is seen with the next look.
const WAIT: Duration = Duration::from_secs(20);
/// How many messages a look takes along: they are kept while a slow reader takes them, and each may be large.
const BATCH: usize = 10;

/// Reads on and on; an error is the last that it hands out.
pub(super) struct Newer {
    core: Arc<Core>,
    owner: Owner,
    session: SessionId,
    after: u64,
    queue: VecDeque<Message>,
    over: bool,
}

impl Newer {
    /// A reader of what comes after a place, once it is known that there is such a session.
    pub(super) async fn open(core: Arc<Core>, owner: Owner, session: SessionId, after: u64) -> Result<Self, ChatError> {
        let mut newer = Self { core: core.clone(), owner, session, after, queue: VecDeque::new(), over: false };
        core.soon(None, newer.look(Duration::ZERO)).await?;
        Ok(newer)
    }

    pub(super) fn into_stream(self) -> BoxStream<'static, Result<Message, ChatError>> {
        unfold(self, |mut newer| async move { newer.next().await.map(|message| (message, newer)) }).boxed()
    }

    async fn next(&mut self) -> Option<Result<Message, ChatError>> {
        while !self.over {
            if let Some(message) = self.queue.pop_front() {
                return Some(Ok(message));
            }
            if let Err(error) = self.look(WAIT).await {
                self.over = true;
                return Some(Err(error));
            }
        }
        None
    }

    async fn look(&mut self, wait: Duration) -> Result<(), ChatError> {
        let Self { core, owner, session, after, .. } = self;
        let page = NewerPage { after: *after, limit: BATCH };
        let found = core.patiently(None, || core.store.newer(owner, session, &page, wait)).await?;
        self.after = found.last().map_or(self.after, |message| message.seq);
        self.queue.extend(found);
        Ok(())
    }
}

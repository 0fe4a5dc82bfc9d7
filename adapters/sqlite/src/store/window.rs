//! The window of a turn: the messages before its question. A message never changes, so they are looked for by a reader while
//! the writer takes the question, and looked for again only if others came between.

use super::list;
use super::row::Stored;
use crate::Sqlite;
use crate::tx::Tx;
use chatcore::error::BackendError;
use chatcore::id::SessionId;
use chatcore::message::{Message, MessagesPage};
use chatcore::turn::{Started, Target};

impl Sqlite {
    /// What the window of a turn in this session will most likely be; at least nothing.
    pub(super) async fn window_ahead(&self, target: Target, limit: usize) -> Vec<Message> {
        match target {
            // One more, since the question may be there already.
            Target::Existing(id) if limit > 0 => {
                self.read(move |step| newest(step, &id, None, limit + 1)).await.unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// The turn with its window.
    pub(super) async fn with_window(
        &self,
        started: Started,
        ahead: Vec<Message>,
        limit: usize,
    ) -> Result<Started, BackendError> {
        let (id, seq) = (started.turn.id.session, started.seq);
        let window = match complete(ahead, seq, limit) {
            Some(window) => window,
            None => self.read(move |step| newest(step, &id, Some(seq), limit)).await?,
        };
        Ok(Started { window, ..started })
    }
}

fn newest(step: &Tx<'_>, id: &SessionId, before: Option<u64>, limit: usize) -> rusqlite::Result<Vec<Message>> {
    match Stored::by_id(step, id)? {
        Some(session) => list::page(step, session.no, &MessagesPage { before, limit }),
        None => Ok(Vec::new()),
    }
}

/// The messages before this place, if all that belong to the window are there.
fn complete(mut messages: Vec<Message>, seq: u64, limit: usize) -> Option<Vec<Message>> {
    messages.retain(|message| message.seq < seq);
    let wanted = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX).min(limit);
    let surplus = messages.len().saturating_sub(wanted);
    messages.drain(..surplus);
    let whole = messages.len() == wanted && messages.last().is_none_or(|last| last.seq + 1 == seq);
    whole.then_some(messages)
}

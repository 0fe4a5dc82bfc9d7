//! The use cases of a chat. Each turn is a task of its own; a caller only watches it.
//!
//! | file | holds |
//! |---|---|
//! | `service` | [`ChatService`], what an embedder calls |
//! | `run` | a turn as a task: begin, read the AI, store the answer |
//! | `keep` | the keeper that works beside the reader: live text, lease, stop |
//! | `verdict` | how a turn ends, as pure rules |
//! | `live` | what a turn of this process says so far, and the list of such turns |
//! | `tail` | what a reader of a turn sees |
//! | `newer` | what a reader of a session sees |
//! | `queue` | what a message does that comes while another is being answered |

mod error;
mod keep;
mod live;
mod message;
mod newer;
mod queue;
mod run;
mod service;
mod tail;
mod verdict;

pub use error::ChatError;
pub use live::{Answered, Begun, Found};
pub use message::{InvalidMessage, OnBusy, SendMessage};
pub use service::ChatService;
pub use tail::TurnEvent;

use crate::TRACES;
use crate::error::AccessError;
use crate::id::RequestId;
use crate::owner::Owner;
use crate::policy::ChatPolicy;
use crate::port::{AiGateway, Runtime, SessionStore};
use crate::task::within;
use crate::turn::{Stopping, TurnId};
use live::{Live, Registry};
use queue::Queue;
use run::Guard;
use std::sync::Arc;
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

/// What all turns of a process share.
#[derive(Debug)]
struct Core {
    store: Arc<dyn SessionStore>,
    ai: Arc<dyn AiGateway>,
    runtime: Arc<dyn Runtime>,
    policy: ChatPolicy,
    running: Registry,
    queue: Queue,
}

impl Core {
    async fn stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError> {
        let stopping = self.store.request_stop(owner, turn).await?;
        self.running.poke(*turn);
        Ok(stopping)
    }

    /// Makes a message a task of its own.
    fn start(self: &Arc<Self>, message: SendMessage) -> Result<Arc<Live>, ChatError> {
        // What will not be taken stops nobody.
        let on_busy = if message.only_known { OnBusy::Reject } else { message.on_busy };
        let new = self.new_turn(message)?;
        let live = Arc::new(Live::default());
        self.running.enter(new.attempt, live.clone(), self.policy.max_running)?;
        let request_id = new.request_id.as_ref().map(RequestId::as_str);
        let span =
            info_span!(target: TRACES, "turn", request_id, session_id = Empty, message_id = Empty, outcome = Empty);
        // Made here and not in the task: a task that is dropped before its first poll must tell its caller, too.
        let guard = Guard::new(self.clone(), new.attempt, live.clone());
        // Also what the turn logs is its request's.
        self.runtime.spawn(Box::pin(guard.run(new, on_busy).instrument(span).in_current_span()));
        Ok(live)
    }

    /// `None` when the time is over first.
    async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        within(&*self.runtime, time, work).await
    }
}

/// The pause before a call is repeated: 20 ms, doubled up to 1 s.
#[derive(Debug, Default)]
struct Backoff(u32);

impl Backoff {
    fn pause(&mut self) -> Duration {
        self.0 = (self.0 + 1).min(7);
        Duration::from_millis(10 << self.0).min(Duration::from_secs(1))
    }
}

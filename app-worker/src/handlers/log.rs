//! The handler `log`: one line of JSON on stdout for each event, never the text of a message.

use async_trait::async_trait;
use chatcore::consume::EventHandler;
use chatcore::event::Event;
use chatcore::port::Runtime;
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// How long it waits before it writes again where nobody takes its lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints each event.
#[derive(Debug)]
pub struct Log {
    runtime: Arc<dyn Runtime>,
}

impl Log {
    /// A handler that waits by this runtime.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'a str,
    event_id: String,
    message_id: Option<String>,
    session_id: String,
    seq: u64,
    user_id: Option<&'a str>,
}

#[async_trait]
impl EventHandler for Log {
    async fn handle(&self, event: &Event) -> Result<(), String> {
        let line = Line {
            r#type: event.kind(),
            event_id: event.id().to_string(),
            message_id: event.message().map(|message| message.turn.to_string()),
            session_id: event.session.to_string(),
            seq: event.seq,
            user_id: event.owner.user_id().map(|id| id.as_str()),
        };
        let line = serde_json::to_string(&line).map_err(|error| error.to_string())?;
        // A line that cannot be written is no fault of the event, so it is no reason to park it: it waits until somebody
        // reads again, and comes again where the worker is stopped meanwhile.
        while let Err(error) = print(&line) {
            tracing::error!(%error, "stdout takes no more lines; trying again");
            self.runtime.sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// One write, so that lines of several lanes do not mix.
fn print(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

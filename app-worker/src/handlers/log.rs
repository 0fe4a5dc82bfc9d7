//! The handler `log`: one line of JSON on stdout for each event, never the text of a message.

use async_trait::async_trait;
use chatcore::consume::EventHandler;
use chatcore::event::Event;
use serde::Serialize;
use std::io::Write;

/// Prints each event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

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
        // One write, so that lines of several lanes do not mix; an error, so that an event that nobody saw comes again.
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| format!("stdout: {error}"))
    }
}

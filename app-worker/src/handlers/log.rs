//! The handler `log`: one line of JSON on stdout for each event, never the text of a message.

use async_trait::async_trait;
use chatcore::consume::{EventHandler, Unhandled};
use chatcore::event::Event;
use chatcore::port::Place;
use serde::Serialize;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// Prints each event. A thread of its own does it: a pipe that nobody reads holds up that thread alone, and the program
/// can end without it.
#[derive(Debug)]
pub struct Log {
    lines: Sender<Print>,
}

/// A line, and who waits for it to be written.
type Print = (String, oneshot::Sender<io::Result<()>>);

impl Log {
    /// A handler with a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new() -> io::Result<Self> {
        let (lines, printed) = channel();
        std::thread::Builder::new().name("log".into()).spawn(move || print_all(&printed))?;
        Ok(Self { lines })
    }

    async fn print(&self, line: String) -> io::Result<()> {
        let (tell, told) = oneshot::channel();
        self.lines.send((line, tell)).map_err(io::Error::other)?;
        told.await.map_err(io::Error::other)?
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
    async fn handle(&self, event: &Event, _place: &Place) -> Result<(), Unhandled> {
        let line = Line {
            r#type: event.kind(),
            event_id: event.id().to_string(),
            message_id: event.message().map(|message| message.turn.to_string()),
            session_id: event.session.to_string(),
            seq: event.seq,
            user_id: event.owner.user_id().map(|id| id.as_str()),
        };
        let line = serde_json::to_string(&line).map_err(|error| error.to_string())?;
        // A line that cannot be written is no fault of the event.
        self.print(line).await.map_err(|error| Unhandled::away(format!("stdout takes no lines: {error}")))
    }
}

/// Prints until nobody can send any more. One lock a line, so that lines do not mix with others'.
fn print_all(lines: &Receiver<Print>) {
    for (line, tell) in lines {
        let mut stdout = io::stdout().lock();
        let printed = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        // Who waited for it may have been told to stop.
        let _ = tell.send(printed);
    }
}

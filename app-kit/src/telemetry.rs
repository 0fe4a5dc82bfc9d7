//! Logs. They never hold the text of a message, a password or a token; tests read them to see that.

use crate::settings::{LogFormat, Logs};
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write, stderr, stdout};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// How many lines wait for a slow reader of the log.
const WAITING_LINES: usize = 8192;

/// Where logs go that have no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Standard output.
    Stdout,
    /// Standard error: for a program whose output is something else.
    Stderr,
}

/// Starts logging for the whole process; once. A thread writes the lines, so that a pipe that nobody reads stops nothing:
/// lines that find no room any more are lost. Who drops the guard waits until the others are written, a second at most.
///
/// # Errors
/// The file cannot be opened, or something logs already.
pub fn init(logs: &Logs, console: Console) -> Result<WorkerGuard, Box<dyn Error + Send + Sync>> {
    let (sink, terminal) = sink(logs, console)?;
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES).thread_name("logs").finish(sink);
    // The server's own tales of its threads, and of what is no request, are noise, unless they are asked for by name.
    let filter = EnvFilter::try_new(format!("actix_http::h1::dispatcher=off,actix_server=warn,{}", logs.filter))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match logs.format {
        LogFormat::Text => builder.with_ansi(terminal).try_init(),
        LogFormat::Auto if terminal => builder.try_init(),
        LogFormat::Auto | LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    }?;
    Ok(guard)
}

type Sink = Box<dyn Write + Send>;

/// Where the lines go, and whether somebody looks at them there.
fn sink(logs: &Logs, console: Console) -> Result<(Sink, bool), Box<dyn Error + Send + Sync>> {
    Ok(match (&logs.file, console) {
        (Some(path), _) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.map_err(|error| format!("cannot write {} (LOG_FILE): {error}", path.display()))?;
            (Box::new(file), false)
        }
        (None, Console::Stdout) => (Box::new(stdout()), stdout().is_terminal()),
        (None, Console::Stderr) => (Box::new(stderr()), stderr().is_terminal()),
    })
}

//! Logs. They never hold the text of a message, a password or a token; tests read them to see that.

use crate::settings::{LogFormat, Logs};
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{IsTerminal, stderr, stdout};
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Where logs go that have no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Standard output.
    Stdout,
    /// Standard error: for a program whose output is something else.
    Stderr,
}

/// Starts logging for the whole process; once.
///
/// # Errors
/// The file cannot be opened, or something logs already.
pub fn init(logs: &Logs, console: Console) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (writer, terminal) = match &logs.file {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.map_err(|error| format!("cannot write {} (LOG_FILE): {error}", path.display()))?;
            (BoxMakeWriter::new(Arc::new(file)), false)
        }
        None if console == Console::Stdout => (BoxMakeWriter::new(stdout), stdout().is_terminal()),
        None => (BoxMakeWriter::new(stderr), stderr().is_terminal()),
    };
    // The server's own tales of its threads are noise, unless they are asked for by name.
    let filter = EnvFilter::try_new(format!("actix_server=warn,{}", logs.filter))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match logs.format {
        LogFormat::Text => builder.with_ansi(terminal).try_init(),
        LogFormat::Auto if terminal => builder.try_init(),
        LogFormat::Auto | LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    }
}

//! Logs and traces. They never hold the text of a message, a password or a token; tests read them to see that.

use crate::settings::{LogFormat, Logs, Traces};
use crate::traces::{self, Sending};
use chatcore::TRACES;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write, stderr, stdout};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

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

/// What is to be kept as long as the program runs. Who drops it waits until the last traces and lines are written: for traces
/// as long as the settings say, for lines a second at most.
#[derive(Debug)]
pub struct Telemetry {
    // The first to go: it may have something to log.
    _traces: Option<Sending>,
    _lines: WorkerGuard,
}

/// Starts logging and, where a collector is named, tracing for the whole process; once. A thread writes the lines, so that a
/// pipe that nobody reads stops nothing: lines that find no room any more are lost. What is logged says nothing of what is
/// traced.
///
/// # Errors
/// The file cannot be opened, something logs already, or traces cannot be sent.
pub fn init(logs: &Logs, traces: Option<&Traces>, console: Console) -> Result<Telemetry, Box<dyn Error + Send + Sync>> {
    let (sink, terminal) = sink(logs, console)?;
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES).thread_name("logs").finish(sink);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match logs.format {
        LogFormat::Text => lines.with_ansi(terminal).boxed(),
        LogFormat::Auto if terminal => lines.boxed(),
        LogFormat::Auto | LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let mut layers = vec![lines.with_filter(filter(&logs.filter)?).boxed()];
    let (layer, sending) = traces.map(traces::start).transpose()?.unzip();
    layers.extend(layer);
    tracing_subscriber::registry().with(layers).try_init()?;
    Ok(Telemetry { _traces: sending, _lines: guard })
}

/// What lets through what these directives ask for.
///
/// # Errors
/// They cannot be read.
pub(crate) fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    // The server's own tales of its threads, and of what is no request, are noise, unless they are asked for by name.
    EnvFilter::try_new(format!("actix_http::h1::dispatcher=off,actix_server=warn,{TRACES}=off,{directives}"))
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

//! The program, its place on the network, and its logs.

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::table as t;
use std::path::PathBuf;
use std::time::Duration;

/// The program and its place on the network.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it is called.
    pub name: String,
    /// Which version it tells.
    pub version: String,
    /// Whether development is eased.
    pub debug: bool,
    /// The address to listen on.
    pub host: String,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Threads; `None` for one a core.
    pub workers: Option<usize>,
    /// Where files live.
    pub data_dir: PathBuf,
    /// How long stopping may take.
    pub grace: Duration,
    /// Origins that browsers may call from; `None` for any.
    pub origins: Option<Vec<String>>,
    /// The longest body, in bytes.
    pub max_body: usize,
}

impl Server {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let (name, version) = (reader.get(&t::APP_NAME, parse::text), reader.optional(&t::APP_VERSION, parse::text));
        let (host, port) = (reader.get(&t::HOST, parse::text), reader.get(&t::PORT, parse::port));
        let debug = reader.get(&t::DEBUG, parse::boolean);
        let workers = reader.optional(&t::HTTP_WORKERS, workers);
        let data_dir = reader.get(&t::DATA_DIR, parse::path);
        let grace = reader.get(&t::SHUTDOWN_GRACE, parse::some_time);
        let any = if debug.unwrap_or(true) { "*" } else { "none" };
        let origins = reader.get_or(&t::CORS_ALLOWED_ORIGINS, any, parse::origins);
        let max_body = reader.get(&t::BODY_MAX_BYTES, parse::bytes);
        Some(Self {
            name: name?,
            version: version?.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            debug: debug?,
            host: host?,
            port: port?,
            workers: workers?,
            data_dir: data_dir?,
            grace: grace?,
            origins: origins?,
            max_body: max_body?,
        })
    }
}

/// Logs.
#[derive(Debug, Clone)]
pub struct Logs {
    /// What is logged, as a filter of `tracing-subscriber`.
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
    /// To which file; `None` for stdout.
    pub file: Option<PathBuf>,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// A JSON object a line.
    Json,
    /// For eyes.
    Text,
}

impl Logs {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let (filter, format) = (reader.get(&t::LOG_LEVEL, log_filter), reader.get(&t::LOG_FORMAT, log_format));
        let file = reader.optional(&t::LOG_FILE, parse::path);
        Some(Self { filter: filter?, format: format?, file: file? })
    }
}

fn workers(text: &str) -> Parsed<usize> {
    parse::size(text).ok().filter(|count| *count <= 512).ok_or("a whole number, 1 to 512")
}

fn log_format(text: &str) -> Parsed<LogFormat> {
    match text.to_lowercase().as_str() {
        "auto" => Ok(LogFormat::Auto),
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("auto, json or text"),
    }
}

/// Levels, with or without `target=` before them. A bare word that is no level would be taken for a target.
fn log_filter(text: &str) -> Parsed<String> {
    let directive = |part: &str| {
        let (target, level) = part.rsplit_once('=').map_or(("", part), |(target, level)| (target.trim(), level));
        let level = match level.trim().to_lowercase().as_str() {
            "warning" => "warn".to_owned(),
            level @ ("error" | "warn" | "info" | "debug" | "trace" | "off") => level.to_owned(),
            _ => return None,
        };
        Some(if target.is_empty() { level } else { format!("{target}={level}") })
    };
    let directives: Option<Vec<String>> = text.split(',').map(str::trim).map(directive).collect();
    let rule = "error, warn, info, debug, trace or off; also by target, as in info,chatcore=debug";
    directives.map(|directives| directives.join(",")).ok_or(rule)
}

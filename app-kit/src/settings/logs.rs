//! What is logged, in which form, and where to.

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::table as t;
use crate::telemetry;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

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
    /// Reads them.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let (filter, format) = (reader.get(&t::LOG_LEVEL, log_filter), reader.get(&t::LOG_FORMAT, log_format));
        let file = reader.optional(&t::LOG_FILE, parse::path);
        if let Some(Some(path)) = &file
            && let Err(error) = appendable(path)
        {
            reader.fault(&t::LOG_FILE, format!("cannot be written: {error}"));
        }
        Some(Self { filter: filter?, format: format?, file: file? })
    }
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
    // Of targets the logger knows more than what is looked at here.
    let directives = directives.map(|directives| directives.join(","));
    directives.filter(|directives| telemetry::filter(directives).is_ok()).ok_or(rule)
}

/// Whether lines can be appended. It leaves no file behind: one that a check of the settings made would belong to whoever
/// checked, and perhaps not be the program's to write.
fn appendable(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return opened.map(drop),
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let probe = parent.join(format!(".log-file-{}", std::process::id()));
    match OpenOptions::new().write(true).create_new(true).open(&probe) {
        // Another program is looking at this very moment: it could write.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|_| fs::remove_file(&probe)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_stands_alone_or_behind_what_the_logger_takes_for_a_target() {
        for (text, read) in [
            ("info", "info"),
            ("WARNING, chatcore = Debug", "warn,chatcore=debug"),
            ("=info", "info"),
            ("info,app_http[request]=debug", "info,app_http[request]=debug"),
            ("off,a::b[{request_id}]=trace", "off,a::b[{request_id}]=trace"),
        ] {
            assert_eq!(log_filter(text).as_deref(), Ok(read), "{text}");
        }
        for text in ["", "loud", "chatcore", "info,", "a=b=info", "foo[bar=debug", "[=info", "a[{b=(}]=info"] {
            assert!(log_filter(text).is_err(), "{text}");
        }
    }
}

//! The command line: what the worker is asked to do instead of working.

use crate::settings::Settings;
use app_kit::flags::ConfigFlags;
use app_kit::settings::help;
use clap::{CommandFactory, FromArgMatches, Parser};
use std::io;

/// The worker of chatcore.
#[derive(Debug, Parser)]
#[command(name = "app-worker", version)]
pub struct Cli {
    #[command(flatten)]
    config: ConfigFlags,
}

impl Cli {
    /// Reads the arguments of the process. Ends it on `--help`, `--version` and on arguments that are none.
    #[must_use]
    pub fn read() -> Self {
        let matches = Self::command().after_help(help()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Does what needs no bus; `true` if that was all. Settings without faults have come so far.
    ///
    /// # Errors
    /// Stdout is closed.
    pub fn did_with_settings(&self, settings: &Settings) -> io::Result<bool> {
        self.config.answer(&settings.printed, &settings.warnings)
    }
}

//! The command line: what the worker is asked to do instead of working.

use crate::settings::Settings;
use app_kit::settings::help;
use clap::{CommandFactory, FromArgMatches, Parser};
use std::io::{self, Write, stdout};

/// The worker of chatcore.
#[derive(Debug, Parser)]
#[command(name = "app-worker", version)]
pub struct Cli {
    /// Tells what is wrong with the settings, and ends.
    #[arg(long)]
    check_config: bool,
    /// Prints every setting as it would be used, secrets as ***, and ends.
    #[arg(long)]
    print_config: bool,
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
        if self.print_config {
            write!(stdout(), "{}", settings.printed)?;
        }
        if self.check_config {
            settings.warnings.iter().try_for_each(|warning| writeln!(io::stderr(), "warning: {warning}"))?;
            writeln!(io::stderr(), "the settings are good")?;
        }
        Ok(self.print_config || self.check_config)
    }
}

//! The command line: what the worker is asked to do instead of working.

use crate::compose;
use crate::letters::{self, LettersCommand};
use crate::settings::Settings;
use app_kit::flags::ConfigFlags;
use app_kit::settings::{Faults, help};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::error::Error;
use std::io::{self, Write};

/// The worker of chatcore: takes each event from the bus and hands it to its handlers, until SIGTERM.
///
/// Which handlers is the setting `WORKER_HANDLERS`: `log` (a line on stdout), `counters` (for /metrics), `archive` (files of
/// JSON lines), `webhook` (a signed POST), `mongodb` (documents, where it was built in). An event that a handler does not get done goes to the dead letters, and the
/// others go on.
#[derive(Debug, Parser)]
#[command(name = "app-worker", version, disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(flatten)]
    config: ConfigFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what could not be worked off, or gives it back.
    #[command(subcommand)]
    DeadLetters(LettersCommand),
    /// Makes the topics of Kafka that are missing, and prints their names.
    CreateTopics,
}

impl Cli {
    /// Reads the arguments of the process. Ends it on `--help`, `--version` and on arguments that are none.
    #[must_use]
    pub fn read() -> Self {
        let matches = Self::command().after_help(help()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// What the worker is told. Called inside a tokio runtime.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn settings(&self) -> Result<Settings, Faults> {
        Settings::load(self.config.looks_at_parts(), compose::check)
    }

    /// Does what is no work; `true` if that was all. Settings without faults have come so far.
    ///
    /// # Errors
    /// It could not be done, or stdout is closed.
    pub async fn did_with_settings(&self, settings: &Settings) -> Result<bool, Box<dyn Error + Send + Sync>> {
        match &self.command {
            None => {
                let listens = settings.port.map(|port| (&*settings.host, port));
                return Ok(self.config.answer(&settings.printed, &settings.warnings, listens)?);
            }
            Some(Command::DeadLetters(command)) => {
                let letters = compose::dead_letters(settings, command).await?;
                letters::run(command, &*letters).await?;
            }
            Some(Command::CreateTopics) => {
                for topic in compose::create_topics(settings).await? {
                    writeln!(io::stdout(), "{topic}")?;
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
        for good in [
            &["list"][..],
            &["list", "--limit", "3", "--json"],
            &["replay", "1", "2"],
            &["replay", "--all", "--outbox"],
            &["replay", "--all", "--take-over"],
        ] {
            assert!(Cli::try_parse_from(["app-worker", "dead-letters"].iter().chain(good)).is_ok(), "{good:?}");
        }
        for bad in [&["replay"][..], &["replay", "1", "--all"], &["list", "--limit", "0"], &[]] {
            assert!(Cli::try_parse_from(["app-worker", "dead-letters"].iter().chain(bad)).is_err(), "{bad:?}");
        }
    }
}

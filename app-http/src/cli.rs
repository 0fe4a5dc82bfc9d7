//! The command line: what the program is asked to do instead of serving.

use crate::settings::{Server, Settings};
use crate::{compose, doctor, openapi};
use app_kit::flags::ConfigFlags;
use app_kit::settings::{env_example, help, readme_table};
use app_kit::warnings::Warnings;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::error::Error;
use std::io::{self, IsTerminal, Write, stdin, stdout};

/// The HTTP server of chatcore.
#[derive(Debug, Parser)]
#[command(name = "app-http", version)]
pub struct Cli {
    #[command(flatten)]
    config: ConfigFlags,
    /// Prints a file .env with every setting in it, and ends.
    #[arg(long)]
    env_example: bool,
    /// Prints every setting as a table in Markdown, for the README, and ends.
    #[arg(long)]
    readme_table: bool,
    /// Prints the API's document in OpenAPI, as it is with the settings' defaults, and ends.
    #[arg(long)]
    openapi: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Reads a password from the terminal or from stdin and prints its hash, for the file of users.
    HashPassword,
    /// Looks at the settings, the store, the bus and the AI, and says what to mend; with status 1 if anything is.
    Doctor,
}

impl Cli {
    /// Reads the arguments of the process. Ends it on `--help`, `--version` and on arguments that are none.
    #[must_use]
    pub fn read() -> Self {
        let matches = Self::command().after_help(help()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The settings of the server that is to be run; `None` if something else was asked for, which is done then.
    ///
    /// # Errors
    /// The settings have faults, or what was asked for failed.
    pub async fn settings(self) -> Result<Option<Settings>, Box<dyn Error + Send + Sync>> {
        if self.did_without_settings()? {
            return Ok(None);
        }
        let (checks, examines) = (self.config.looks_at_parts(), matches!(self.command, Some(Command::Doctor)));
        // What only looks has no log, and tells by itself what parts warn of.
        let warnings = if checks || examines { Warnings::gather() } else { Warnings::default() };
        let settings = Settings::load(checks, compose::check)?;
        Ok((!self.did_with_settings(&settings, &warnings).await?).then_some(settings))
    }

    /// Does what needs no settings; `true` if that was all.
    ///
    /// # Errors
    /// There is no password, or it cannot be hashed; stdout is closed.
    fn did_without_settings(&self) -> Result<bool, Box<dyn Error + Send + Sync>> {
        if self.env_example {
            write!(stdout(), "{}", env_example())?;
        } else if self.readme_table {
            write!(stdout(), "{}", readme_table())?;
        } else if self.openapi {
            write!(stdout(), "{}", openapi::json(&Settings::from_pairs([])?))?;
        } else if let Some(Command::HashPassword) = self.command {
            writeln!(stdout(), "{}", compose::hash_password(&password()?)?)?;
        }
        let hashed = matches!(self.command, Some(Command::HashPassword));
        Ok(self.env_example || self.readme_table || self.openapi || hashed)
    }

    /// Does what needs no server; `true` if that was all. Settings without faults have come so far.
    ///
    /// # Errors
    /// Stdout is closed, no parts can be made of the settings, the server that was asked for is not alive, or the doctor has found
    /// something.
    async fn did_with_settings(
        &self,
        settings: &Settings,
        warnings: &Warnings,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        if let Some(Command::Doctor) = self.command {
            let is_well = doctor::examine(settings, warnings, &mut stdout()).await?;
            return is_well.then_some(true).ok_or_else(|| "there is something to mend".into());
        }
        let Server { host, port, .. } = &settings.server;
        let of_parts = warnings.take().into_iter().map(|warning| warning.said);
        let told: Vec<String> = settings.warnings.iter().cloned().chain(of_parts).collect();
        Ok(self.config.answer(&settings.printed, &told, Some((host, *port)))?)
    }
}

/// Typed unseen on a terminal, else a line of stdin.
fn password() -> io::Result<String> {
    if stdin().is_terminal() {
        return rpassword::prompt_password("The password: ");
    }
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

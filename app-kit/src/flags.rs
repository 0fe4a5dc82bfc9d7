//! What both programs can be asked on the command line: of their settings, and of the one that runs with them.

use crate::alive;
use std::io::{self, Write, stderr, stdout};

/// The flags, to be flattened into a program's own.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ConfigFlags {
    /// Tells what is wrong with the settings, and ends.
    #[arg(long)]
    check_config: bool,
    /// Prints every setting as it would be used, secrets as ***, and ends.
    #[arg(long)]
    print_config: bool,
    /// Asks the program that runs here with these settings whether it is alive, and ends; with status 1 if it is not.
    #[arg(long)]
    check_health: bool,
}

impl ConfigFlags {
    /// Whether what no part can be made of is to be told.
    #[must_use]
    pub fn looks_at_parts(self) -> bool {
        self.check_config
    }

    /// Does what was asked; `true` if anything was. Settings without faults have come so far. `listens` is where the program
    /// that runs with them answers, if it does.
    ///
    /// # Errors
    /// Stdout or stderr is closed; the program is not alive.
    pub fn answer(self, printed: &str, warnings: &[String], listens: Option<(&str, u16)>) -> io::Result<bool> {
        if self.print_config {
            write!(stdout(), "{printed}")?;
        }
        if self.check_config {
            warnings.iter().try_for_each(|warning| writeln!(stderr(), "warning: {warning}"))?;
            writeln!(stderr(), "the settings are good")?;
        }
        if self.check_health {
            let (host, port) = listens.ok_or_else(|| io::Error::other("the settings say that it listens nowhere"))?;
            alive::ask(host, port)?;
            writeln!(stdout(), "alive")?;
        }
        Ok(self.print_config || self.check_config || self.check_health)
    }
}

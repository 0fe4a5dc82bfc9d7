//! What both programs can be asked of their settings on the command line.

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
}

impl ConfigFlags {
    /// Does what was asked; `true` if anything was. Settings without faults have come so far.
    ///
    /// # Errors
    /// Stdout or stderr is closed.
    pub fn answer(self, printed: &str, warnings: &[String]) -> io::Result<bool> {
        if self.print_config {
            write!(stdout(), "{printed}")?;
        }
        if self.check_config {
            warnings.iter().try_for_each(|warning| writeln!(stderr(), "warning: {warning}"))?;
            writeln!(stderr(), "the settings are good")?;
        }
        Ok(self.print_config || self.check_config)
    }
}

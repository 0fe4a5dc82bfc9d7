//! What is wrong with a configuration, all of it at once.

use super::source::Origin;
use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting.
    pub name: String,
    /// Where its value came from.
    pub origin: Origin,
    /// What is wrong with it; never holds a secret.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.origin, self.what)
    }
}

/// Everything that is wrong, a line each; and what may be, which is perhaps why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// What is wrong.
    pub all: Vec<Fault>,
    /// What no part can be made of, a sentence each that names the settings.
    pub of_parts: Vec<String>,
    /// A sentence for each name that is none but looks like one.
    pub warnings: Vec<String>,
}

impl Faults {
    /// Nothing, unless there is something that no part can be made of.
    ///
    /// # Errors
    /// There is.
    pub fn unless_none(of_parts: Vec<String>) -> Result<(), Self> {
        if of_parts.is_empty() { Ok(()) } else { Err(Self { of_parts, ..Self::default() }) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.all.len() + self.of_parts.len();
        write!(f, "the settings have {count} fault{}:", if count == 1 { "" } else { "s" })?;
        self.all.iter().try_for_each(|fault| write!(f, "\n  {fault}"))?;
        self.of_parts.iter().try_for_each(|fault| write!(f, "\n  {fault}"))?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\n  {warning}"))
    }
}

impl std::error::Error for Faults {}

//! Texts that are shown to nobody, and which of them are none.

use std::collections::BTreeSet;
use std::fmt;

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Why nobody should sign with it, if there is a reason.
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        let lower = self.0.to_lowercase();
        if EXAMPLES.iter().any(|example| lower.contains(example)) {
            Some("is an example that everybody knows")
        } else if self.0.len() < 32 {
            Some("is shorter than 32 bytes")
        } else if self.0.bytes().collect::<BTreeSet<_>>().len() < 8 {
            Some("has fewer than 8 different bytes")
        } else {
            None
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Parts of keys that stand in tutorials and templates, in lower case. The long one is the key of FastAPI's tutorial.
const EXAMPLES: &[&str] = &[
    "256-bits",
    "bit-secret",
    "change-in-production",
    "change-me",
    "change-this",
    "change_in_production",
    "change_me",
    "change_this",
    "changeme",
    "changethis",
    "secret-key",
    "secret_key",
    "secretkey",
    "ultra-secure",
    "your-secret",
    "your_secret",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
];

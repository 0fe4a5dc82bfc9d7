//! The settings: what the program is told from outside, read once and checked as a whole.
//!
//! This is the only reader of the environment and of `.env`. All faults are told at once, each with its name and where
//! its value came from. Nothing here shows a secret in `Debug`.

mod chat;
mod fault;
mod logins;
mod near;
mod parse;
mod parts;
mod reader;
mod secret;
mod server;
mod show;
mod source;
pub mod table;

pub use chat::Chat;
pub use fault::{Fault, Faults};
pub use logins::Logins;
pub use parts::{Ai, AiKind, StoreKind};
pub use secret::Secret;
pub use server::{LogFormat, Logs, Server};
pub use show::{env_example, help};
pub use source::Origin;

use reader::Reader;
use source::Sources;
use std::collections::BTreeMap;

/// Everything that the program is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program and its place on the network.
    pub server: Server,
    /// Logs.
    pub logs: Logs,
    /// Where sessions live.
    pub store: StoreKind,
    /// Who may log in, and how.
    pub logins: Logins,
    /// Who answers.
    pub ai: Ai,
    /// The numbers that the chat goes by.
    pub chat: Chat,
    /// What is not wrong but should be looked at, a sentence each.
    pub warnings: Vec<String>,
    /// The text of each setting, secrets masked.
    shown: BTreeMap<&'static str, String>,
}

impl Settings {
    /// Reads the environment and `.env`.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load() -> Result<Self, Faults> {
        Self::read(Sources::of_process())
    }

    /// Reads these pairs as if they were all that stands in the environment: for tests and embedders.
    ///
    /// # Errors
    /// Everything that is wrong.
    ///
    /// ```
    /// use app_http::settings::Settings;
    ///
    /// let settings = Settings::from_pairs([("PORT", "0"), ("STORE", "memory")])?;
    /// assert_eq!(settings.server.port, 0);
    /// # Ok::<_, app_http::settings::Faults>(())
    /// ```
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Faults> {
        Self::read(Sources::of_pairs(pairs))
    }

    fn read(sources: Sources) -> Result<Self, Faults> {
        let mut reader = Reader::new(sources);
        let settings = Self::read_all(&mut reader);
        let faults = reader.finish();
        settings.filter(|_| faults.0.is_empty()).ok_or(faults)
    }

    /// `None` where something is missing; then the reader has a fault. Every section is read before any is missed.
    fn read_all(reader: &mut Reader) -> Option<Self> {
        let (server, logs) = (Server::read(reader), Logs::read(reader));
        let (store, bus) = (StoreKind::read(reader), parts::read_bus(reader));
        let debug = server.as_ref().is_none_or(|server| server.debug);
        let (logins, ai, chat) = (Logins::read(reader, debug), Ai::read(reader), Chat::read(reader));
        bus?;
        let mut settings = Self {
            server: server?,
            logs: logs?,
            store: store?,
            logins: logins?,
            ai: ai?,
            chat: chat?,
            warnings: reader.warnings(),
            shown: reader.shown(),
        };
        settings.warnings.extend(settings.logins.warnings(debug));
        Some(settings)
    }
}

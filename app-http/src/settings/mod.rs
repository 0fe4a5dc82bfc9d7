//! The settings of the server: its sections of the one table that both programs have.

mod ai;
mod chat;
mod logins;
mod server;

pub use ai::{Ai, AiKind};
pub use chat::Chat;
pub use logins::Logins;
pub use server::Server;

use app_kit::settings::{Faults, Logs, Reader, Store, Traces, parse, table as t};
use chatcore::policy::ChatPolicy;

/// What a body holds beside the longest message: its other members at their longest, and a login.
const REST_OF_BODY: usize = 2048;

/// Everything that the program is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program and its place on the network.
    pub server: Server,
    /// Logs.
    pub logs: Logs,
    /// Traces; `None` for none.
    pub traces: Option<Traces>,
    /// Where sessions live.
    pub store: Store,
    /// Who may log in, and how.
    pub logins: Logins,
    /// Who answers.
    pub ai: Ai,
    /// The numbers that the chat goes by.
    pub chat: Chat,
    /// What is not wrong but should be looked at, a sentence each.
    pub warnings: Vec<String>,
    /// Every setting, a line each; secrets as `***`.
    pub printed: String,
}

/// What parts are made of; `None` for what could not be read.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'a> {
    /// Where sessions live.
    pub store: Option<&'a Store>,
    /// Who may log in.
    pub logins: Option<&'a Logins>,
    /// Who answers.
    pub ai: Option<&'a Ai>,
    /// The numbers that the chat goes by.
    pub chat: Option<&'a Chat>,
}

impl Settings {
    /// Reads the environment and `.env`. What no part can be made of, `look` tells, where `always` or something else is wrong,
    /// too.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(always: bool, look: impl FnOnce(Sections<'_>) -> Vec<String>) -> Result<Self, Faults> {
        let mut reader = Reader::of_process();
        let settings = Self::read(&mut reader, always, look);
        reader.finish(settings)
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
    /// # Ok::<_, app_kit::settings::Faults>(())
    /// ```
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Faults> {
        let mut reader = Reader::of_pairs(pairs);
        let settings = Self::read(&mut reader, false, |_| Vec::new());
        reader.finish(settings)
    }

    /// `None` where something is missing; then the reader has a fault. Every section is read before any is missed.
    fn read(reader: &mut Reader, always: bool, look: impl FnOnce(Sections<'_>) -> Vec<String>) -> Option<Self> {
        // By itself: whatever else is wrong, production asks for more.
        let debug = reader.get(&t::DEBUG, parse::boolean);
        let (server, logs, store) = (Server::read(reader, debug), Logs::read(reader), Store::read(reader, true));
        let traces = Traces::read(reader, env!("CARGO_PKG_NAME"), server.as_ref().map(|server| server.grace));
        let debug = debug.unwrap_or(true);
        let (logins, ai, chat) = (Logins::read(reader, debug), Ai::read(reader), Chat::read(reader));
        let times = (reader.seen(&t::SESSION_TTL, parse::some_time), reader.seen(&t::AI_TIMEOUT, parse::some_time));
        let settle = ChatPolicy::default().settle;
        if let (Some(ttl), Some(timeout)) = times
            && ttl <= timeout + settle
        {
            let rule = format!("must be more than AI_TIMEOUT and {settle:?}, or a session expires under its answer");
            reader.fault(&t::SESSION_TTL, rule);
        }
        let sizes = (reader.seen(&t::BODY_MAX_BYTES, parse::bytes), reader.seen(&t::MESSAGE_MAX_BYTES, parse::bytes));
        if let (Some(body), Some(message)) = sizes
            && body < message + REST_OF_BODY
        {
            let rule =
                format!("must be at least {REST_OF_BODY} more than MESSAGE_MAX_BYTES, or a message does not fit in");
            reader.fault(&t::BODY_MAX_BYTES, rule);
        }
        let read = Sections { store: store.as_ref(), logins: logins.as_ref(), ai: ai.as_ref(), chat: chat.as_ref() };
        reader.look(always, || look(read));
        let mut settings = Self {
            server: server?,
            logs: logs?,
            traces: traces?,
            store: store?,
            logins: logins?,
            ai: ai?,
            chat: chat?,
            warnings: reader.warnings(),
            printed: reader.print(),
        };
        settings.warnings.extend(settings.logins.warnings(debug));
        settings.warnings.extend(settings.ai.warning(debug));
        Some(settings)
    }
}

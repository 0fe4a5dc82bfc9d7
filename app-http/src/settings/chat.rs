//! The numbers that the chat goes by.

use app_kit::settings::{Reader, parse, table as t};
use chatcore::policy::Quota;
use std::time::Duration;

/// The numbers that the chat goes by.
#[derive(Debug, Clone)]
pub struct Chat {
    /// How long a session lives after its newest message.
    pub session_ttl: Duration,
    /// How long a turn stays open after its server died.
    pub lease: Duration,
    /// Turns at once.
    pub max_running: usize,
    /// Messages of an owner.
    pub quota: Option<Quota>,
    /// Whether guests may chat.
    pub guests: bool,
    /// Messages of all guests of an address.
    pub guest_quota: Option<Quota>,
    /// The longest message, in bytes.
    pub max_message: usize,
    /// The longest answer, in bytes.
    pub max_answer: usize,
}

impl Chat {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let session_ttl = reader.get(&t::SESSION_TTL, parse::some_time);
        let lease = reader.get(&t::TURN_LEASE, parse::some_time);
        let max_running = reader.get(&t::MAX_RUNNING_TURNS, parse::size);
        let quota = reader.get(&t::MESSAGE_QUOTA, parse::quota);
        let guests = reader.get(&t::GUESTS, parse::boolean);
        let guest_quota = reader.get(&t::GUEST_QUOTA, parse::quota);
        let max_message = reader.get(&t::MESSAGE_MAX_BYTES, parse::bytes);
        let max_answer = reader.get(&t::ANSWER_MAX_BYTES, parse::bytes);
        Some(Self {
            session_ttl: session_ttl?,
            lease: lease?,
            max_running: max_running?,
            quota: quota?,
            guests: guests?,
            guest_quota: guest_quota?,
            max_message: max_message?,
            max_answer: max_answer?,
        })
    }
}

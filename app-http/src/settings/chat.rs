//! The numbers that the chat goes by.

use crate::dto;
use app_kit::settings::parse::{self, Parsed};
use app_kit::settings::{Reader, table as t};
use chatcore::chat::OnBusy;
use chatcore::policy::Quota;
use std::time::Duration;

/// The numbers that the chat goes by.
#[derive(Debug, Clone)]
pub struct Chat {
    /// How long a session lives after its newest question.
    pub session_ttl: Duration,
    /// How long a turn stays open after its server died.
    pub lease: Duration,
    /// Turns at once.
    pub max_running: usize,
    /// What a message does while another of its session is answered, unless it says so itself.
    pub on_busy: OnBusy,
    /// How long it waits then.
    pub queue_wait: Duration,
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
        let on_busy = reader.get(&t::ON_BUSY, on_busy);
        let queue_wait = reader.get(&t::QUEUE_WAIT, parse::some_time);
        let quota = reader.get(&t::MESSAGE_QUOTA, parse::quota);
        let guests = reader.get(&t::GUESTS, parse::boolean);
        let guest_quota = reader.get(&t::GUEST_QUOTA, parse::quota);
        let max_message = reader.get(&t::MESSAGE_MAX_BYTES, parse::bytes);
        let max_answer = reader.get(&t::ANSWER_MAX_BYTES, parse::bytes);
        Some(Self {
            session_ttl: session_ttl?,
            lease: lease?,
            max_running: max_running?,
            on_busy: on_busy?,
            queue_wait: queue_wait?,
            quota: quota?,
            guests: guests?,
            guest_quota: guest_quota?,
            max_message: max_message?,
            max_answer: max_answer?,
        })
    }
}

fn on_busy(text: &str) -> Parsed<OnBusy> {
    dto::on_busy(text.to_lowercase()).map_err(|invalid| invalid.rule)
}

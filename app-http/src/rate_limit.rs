//! What quotas allow and what is left of them, in the headers of each answer to a message
//! (draft-ietf-httpapi-ratelimit-headers, version 10).

use crate::state::State;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use chatcore::ChatError;
use chatcore::error::BackendError;
use chatcore::guests::GuestGate;
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::turn::Refusal;
use futures_util::future::join;
use std::time::Duration;
use tokio::time::timeout;

const LEFT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The owner's own quota, in the headers.
pub const CHAT: &str = "chat";
/// That of all guests of an address.
pub const ADDRESS: &str = "address";
/// How long an answer waits for what is left to be known: of a store that is away nothing is told.
const LOOK: Duration = Duration::from_millis(500);

/// The quotas that a message counts toward: the owner's own, and for guests that of their address.
#[derive(Debug)]
pub struct Limits {
    owner: Option<Limit>,
    address: Option<Limit>,
    whose: Option<Owner>,
}

#[derive(Debug)]
struct Limit {
    /// Its name in the headers.
    name: &'static str,
    quota: Quota,
    /// What is left of it, where that is known.
    left: Option<Left>,
}

impl Limits {
    /// What every owner may do; what is left is not known yet.
    #[must_use]
    pub fn new(quota: Option<Quota>) -> Self {
        Self { owner: quota.map(|quota| Limit { name: CHAT, quota, left: None }), address: None, whose: None }
    }

    /// What is left for the address of a guest.
    pub fn address(&mut self, left: Option<Left>) {
        self.address.iter_mut().for_each(|limit| limit.left = left);
    }

    /// It is known whose they are.
    pub fn are_of(&mut self, owner: &Owner, state: &State) {
        self.whose = Some(owner.clone());
        if owner.device_id().is_some() {
            let quota = state.guests.as_ref().and_then(GuestGate::quota);
            self.address = quota.map(|quota| Limit { name: ADDRESS, quota, left: None });
        }
    }

    /// What is left for the owner, where that is told by what became of the message.
    pub fn told(&mut self, told: Result<Option<Left>, &ChatError>) {
        let Some(limit) = &mut self.owner else { return };
        match told {
            Ok(left) => limit.left = left,
            Err(ChatError::Refused(Refusal::Throttled { retry_after })) => limit.left = Some(used_up(*retry_after)),
            Err(ChatError::Unavailable { .. }) => self.are_not_known(),
            Err(_) => {}
        }
    }

    /// The store has had its time, and is not asked any more.
    pub fn are_not_known(&mut self) {
        self.whose = None;
    }

    /// Asks the store what is left for the owner, and for the address, where nothing has told it.
    pub async fn look(&mut self, state: &State, address: impl FnOnce() -> String) {
        let Some(owner) = &self.whose else { return };
        let of_address = async {
            match &state.guests {
                Some(gate) => gate.left(&address()).await,
                None => Ok(None),
            }
        };
        join(find(&mut self.owner, state.chat.left(owner)), find(&mut self.address, of_address)).await;
    }

    /// Writes the headers, each quota an item.
    pub fn write(&self, headers: &mut HeaderMap) {
        let limits = || self.owner.iter().chain(&self.address);
        let policies = limits()
            .map(|Limit { name, quota, .. }| format!("\"{name}\";q={};w={}", quota.limit, seconds(quota.window)));
        let left = limits().filter_map(|Limit { name, left, .. }| {
            left.map(|left| format!("\"{name}\";r={};t={}", left.remaining, seconds(left.reset)))
        });
        insert(headers, POLICY, policies.collect());
        insert(headers, LEFT, left.collect());
    }
}

async fn find(limit: &mut Option<Limit>, left: impl Future<Output = Result<Option<Left>, BackendError>>) {
    if let Some(limit) = limit.as_mut().filter(|limit| limit.left.is_none()) {
        limit.left = timeout(LOOK, left).await.ok().and_then(Result::ok).flatten();
    }
}

fn used_up(reset: Duration) -> Left {
    Left { remaining: 0, reset }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, items: Vec<String>) {
    if let Some(value) = HeaderValue::try_from(items.join(", ")).ok().filter(|_| !items.is_empty()) {
        headers.insert(name, value);
    }
}

/// Whole seconds, so that nobody comes too early.
fn seconds(time: Duration) -> u128 {
    time.as_millis().div_ceil(1000)
}

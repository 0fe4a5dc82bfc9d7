//! What quotas allow and what is left of them, in the headers of each answer to a message
//! (draft-ietf-httpapi-ratelimit-headers, version 10).

use crate::startup::State;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use chatcore::ChatError;
use chatcore::guests::GuestError;
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::turn::Refusal;
use std::time::Duration;

const LEFT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The quotas that a message counts toward: the owner's own, and for guests that of their address.
#[derive(Debug)]
pub struct Limits {
    owner: Option<Limit>,
    address: Option<Limit>,
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
        Self { owner: quota.map(|quota| Limit { name: "chat", quota, left: None }), address: None }
    }

    /// Whether a guest is let in, and what is then left for its address.
    ///
    /// # Errors
    /// It is not.
    pub fn guests(
        &mut self,
        quota: Option<Quota>,
        entered: Result<Option<Left>, GuestError>,
    ) -> Result<(), GuestError> {
        let left = match &entered {
            Ok(left) => *left,
            Err(GuestError::Throttled { retry_after }) => Some(used_up(*retry_after)),
            Err(_) => None,
        };
        self.address = quota.map(|quota| Limit { name: "address", quota, left });
        entered.map(drop)
    }

    /// What is left for the owner, by what became of the message. Where that does not tell, the store is asked.
    pub async fn owner(&mut self, state: &State, owner: &Owner, told: Result<Option<Left>, &ChatError>) {
        let Some(limit) = &mut self.owner else { return };
        limit.left = match told {
            Ok(Some(left)) => Some(left),
            Err(ChatError::Refused(Refusal::Throttled { retry_after })) => Some(used_up(*retry_after)),
            // The store has had its time.
            Err(ChatError::Unavailable { .. }) => None,
            _ => state.chat.left(owner).await.ok().flatten(),
        };
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

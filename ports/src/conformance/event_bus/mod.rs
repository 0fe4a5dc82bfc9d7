//! The laws of `EventBus` and of its `Subscription`s.
//!
//! A bus may give a session to any member of a group, so no law says which one is given what.

mod delivery;
mod harness;
mod holding;
mod member;
mod publishing;

pub use delivery::{
    a_malformed_record_is_delivered_as_such, an_event_is_delivered_at_least_once,
    at_most_one_delivery_of_a_session_is_outstanding, lag_counts_what_is_not_worked_off,
};
pub use harness::{BusHarness, OpenBus};
pub use holding::{a_closed_subscription_ends, an_ack_after_a_revocation_says_revoked, an_unacked_delivery_comes_back};
pub use publishing::{
    a_new_group_starts_at_the_oldest_event, a_parked_record_is_in_the_dead_letters_with_its_reason,
    once_an_event_of_a_session_fails_no_later_one_of_that_session_is_published,
};

pub(super) use member::{Member, events, new_session, nothing_for, publish};

use super::law::laws;

laws! {
    $
    /// Makes one test of each law of [`EventBus`](chatcore::port::EventBus) and
    /// [`Subscription`](chatcore::port::Subscription). Takes an async expression that gives a
    /// [`BusHarness`](crate::conformance::BusHarness), or an `Option` of one.
    event_bus_laws, event_bus, BusHarness:
    once_an_event_of_a_session_fails_no_later_one_of_that_session_is_published,
    a_new_group_starts_at_the_oldest_event,
    an_event_is_delivered_at_least_once,
    at_most_one_delivery_of_a_session_is_outstanding,
    an_unacked_delivery_comes_back,
    an_ack_after_a_revocation_says_revoked,
    a_parked_record_is_in_the_dead_letters_with_its_reason,
    a_closed_subscription_ends,
    lag_counts_what_is_not_worked_off,
    a_malformed_record_is_delivered_as_such,
}

//! The laws of `SessionStore`.
//!
//! Each test opens a store of its own. Where a lease has to run out it is 100 ms; everywhere else it outlives the
//! test, so that a slow machine changes nothing.

mod access;
mod adoption;
mod atomic;
mod following;
mod keys;
mod leases;
mod limits;
mod listing;
mod quota;
mod replaced;
mod sessions;
mod text;
mod writing;

pub use access::{a_session_is_its_owners, a_stop_is_seen_by_extend};
pub use adoption::an_adoption_moves_every_session_once;
pub use atomic::{each_call_is_one_atomic_step, seq_has_no_gaps};
pub use following::{each_newer_message_comes_once, follow_gives_each_byte_once, follow_waits_for_more};
pub use keys::{
    a_closed_key_is_replayed, a_running_key_is_attached, another_body_under_a_key_is_refused,
    one_live_turn_per_session, the_same_attempt_is_started_again,
};
pub use leases::{
    a_lease_that_is_over_is_closed_by_another_key, a_lease_that_is_over_is_resumed_by_its_key, a_look_tells_the_time,
    an_orphan_is_closed_after_its_grace, no_lease_runs_out_in_quiet,
};
pub use limits::{a_session_holds_only_so_many_messages, an_owner_only_so_many_sessions};
pub use listing::{a_history_is_read_in_pages, sessions_are_listed_newest_first};
pub use quota::{busy_comes_last, the_quota_counts_started_questions_exactly};
pub use replaced::{follow_restarts_where_the_text_was_replaced, the_text_followed_is_the_text_stored};
pub use sessions::{a_delete_ends_a_running_turn, a_deleted_session_never_comes_back, an_expired_session_is_gone};
pub use text::extend_writes_at_an_offset;
pub use writing::{a_repeated_finish_is_stored_once, a_stale_fence_never_writes};

use super::StoreHarness;
use super::law::laws;

laws! {
    $
    /// Makes one test of each law of [`SessionStore`](chatcore::port::SessionStore). Takes an async expression that
    /// gives a [`StoreHarness`](crate::conformance::StoreHarness), or an `Option` of one.
    session_store_laws, session_store, StoreHarness:
    one_live_turn_per_session,
    the_same_attempt_is_started_again,
    a_running_key_is_attached,
    a_lease_that_is_over_is_resumed_by_its_key,
    a_lease_that_is_over_is_closed_by_another_key,
    an_orphan_is_closed_after_its_grace,
    no_lease_runs_out_in_quiet,
    a_look_tells_the_time,
    a_closed_key_is_replayed,
    another_body_under_a_key_is_refused,
    a_stale_fence_never_writes,
    a_repeated_finish_is_stored_once,
    extend_writes_at_an_offset,
    a_stop_is_seen_by_extend,
    seq_has_no_gaps,
    a_deleted_session_never_comes_back,
    a_delete_ends_a_running_turn,
    an_expired_session_is_gone,
    a_session_is_its_owners,
    sessions_are_listed_newest_first,
    a_history_is_read_in_pages,
    an_adoption_moves_every_session_once,
    a_session_holds_only_so_many_messages,
    an_owner_only_so_many_sessions,
    each_newer_message_comes_once,
    the_quota_counts_started_questions_exactly,
    busy_comes_last,
    follow_gives_each_byte_once,
    follow_restarts_where_the_text_was_replaced,
    the_text_followed_is_the_text_stored,
    follow_waits_for_more,
    each_call_is_one_atomic_step,
}

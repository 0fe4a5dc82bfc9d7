//! Time, tasks and chance.

use futures_core::future::BoxFuture;
use std::fmt::Debug;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// Time, tasks and chance. Not async: a task or a sleep outlives the borrow of its runtime.
///
/// # Laws
/// - **a sleep is done when its time is over**, and not before; it outlives what made it.
/// - **elapsed never jumps**.
/// - **a task runs to its end**, whatever becomes of the caller.
/// - **a panic is the task's own**: neither the caller nor another task sees it.
/// - **an id is random and new**.
pub trait Runtime: Debug + Send + Sync + 'static {
    /// The wall clock, to show and to stamp; it may jump.
    fn now(&self) -> OffsetDateTime;

    /// Time since some start, to measure by; it never jumps.
    fn elapsed(&self) -> Duration;

    /// Done when the time is over.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Runs a task to its end, whatever becomes of the caller. A panic in it is the task's own.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// A new random id that nobody can guess (UUID version 4).
    fn new_id(&self) -> Uuid;
}

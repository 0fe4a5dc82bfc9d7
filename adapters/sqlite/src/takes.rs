//! What quotas count: an exact sliding window, one row for each that counts.

use crate::codec::{between, span};
use crate::tx::Tx;
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Held, Taken, Ticket};
use rusqlite::params;
use std::time::Duration;

/// How many rows a sweep removes.
const SWEPT: i64 = 2000;

pub(crate) const NEWEST: &str = "SELECT at FROM takes WHERE key = ?1 AND at > ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3";
pub(crate) const COUNT: &str = "SELECT count(*), min(at) FROM takes WHERE key = ?1 AND at > ?2";
const ADD: &str = "INSERT INTO takes (key, at, until) VALUES (?1, ?2, ?3)";
pub(crate) const GIVE_BACK: &str =
    "DELETE FROM takes WHERE no = (SELECT no FROM takes WHERE key = ?1 AND at = ?2 LIMIT 1)";
pub(crate) const SWEEP: &str = "DELETE FROM takes WHERE no IN (SELECT no FROM takes WHERE until <= ?1 LIMIT ?2)";

/// The key of an owner's questions.
pub(crate) fn of_owner(owner: &Owner) -> String {
    format!("owner:{owner}")
}

/// The key of anything else.
pub(crate) fn of_key(key: &str) -> String {
    format!("key:{key}")
}

/// The key of those that are held, among them.
fn of_held(key: &str) -> String {
    format!("held:{key}")
}

/// Counts one, if fewer than the limit were counted in the window that ends now.
pub(crate) fn take(step: &Tx<'_>, key: &str, quota: &Quota) -> rusqlite::Result<Taken> {
    let (window, limit) = (span(quota.window), i64::from(quota.limit));
    let start = step.now.saturating_sub(window);
    let (count, oldest) = counted(step, key, start)?;
    if let Some(wait) = wait_of(step, key, quota, count)? {
        return Ok(Taken::Wait(wait));
    }
    step.add(ADD, params![key, step.now, step.now.saturating_add(window)])?;
    let remaining = u32::try_from(limit - count - 1).unwrap_or(0);
    let left = Left { remaining, reset: between(start, oldest.unwrap_or(step.now)) };
    Ok(Taken::Granted { left, ticket: Ticket(step.now.to_string()) })
}

/// The same, for so long if it is not confirmed. Those that nobody decided in their time count no more.
pub(crate) fn hold(step: &Tx<'_>, key: &str, quota: &Quota, time: Duration) -> rusqlite::Result<Held> {
    let held = of_held(key);
    let undecided = loop {
        match counted(step, &held, i64::MIN)?.1 {
            Some(at) if at.saturating_add(span(time)) <= step.now => give_back(step, key, at)?,
            oldest => break oldest.is_some(),
        }
    };
    Ok(match take(step, key, quota)? {
        Taken::Granted { ticket, .. } => {
            // As long as the other: without it one that nobody decided would count on.
            step.add(ADD, params![held, step.now, step.now.saturating_add(span(quota.window))])?;
            Held::Granted(ticket)
        }
        Taken::Wait(time) => Held::Wait { time, undecided },
    })
}

/// Lets one that is held count on, if it still is.
pub(crate) fn confirm(step: &Tx<'_>, key: &str, at: i64) -> rusqlite::Result<bool> {
    Ok(step.run(GIVE_BACK, params![of_held(key), at])? > 0)
}

/// How long until one may be counted, if none may be now; counts nothing.
pub(crate) fn wait(step: &Tx<'_>, key: &str, quota: &Quota) -> rusqlite::Result<Option<Duration>> {
    let (count, _) = counted(step, key, step.now.saturating_sub(span(quota.window)))?;
    wait_of(step, key, quota, count)
}

/// The same, where so many count.
fn wait_of(step: &Tx<'_>, key: &str, quota: &Quota, count: i64) -> rusqlite::Result<Option<Duration>> {
    let (start, limit) = (step.now.saturating_sub(span(quota.window)), i64::from(quota.limit));
    if count < limit {
        return Ok(None);
    }
    // The one that has to stop counting: more may count than the limit, where it was lowered.
    let newest = |before| step.one(NEWEST, params![key, start, before], |row| row.get::<_, i64>(0));
    let last = if limit == 0 { None } else { newest(limit - 1)? };
    Ok(Some(last.map_or(quota.window, |at| between(start, at))))
}

/// What is left, where nothing is counted.
pub(crate) fn left(step: &Tx<'_>, key: &str, quota: &Quota) -> rusqlite::Result<Left> {
    let start = step.now.saturating_sub(span(quota.window));
    let (count, oldest) = counted(step, key, start)?;
    let remaining = u32::try_from(i64::from(quota.limit) - count).unwrap_or(0);
    Ok(Left { remaining, reset: oldest.map_or(Duration::ZERO, |oldest| between(start, oldest)) })
}

/// How many count, and the oldest of them.
fn counted(step: &Tx<'_>, key: &str, start: i64) -> rusqlite::Result<(i64, Option<i64>)> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Ok(step.one(COUNT, params![key, start], read)?.unwrap_or((0, None)))
}

/// Takes back one of this time, held or not.
pub(crate) fn give_back(step: &Tx<'_>, key: &str, at: i64) -> rusqlite::Result<()> {
    confirm(step, key, at)?;
    step.run(GIVE_BACK, params![key, at]).map(drop)
}

/// Forgets what counts no longer.
pub(crate) fn sweep(step: &Tx<'_>) -> rusqlite::Result<()> {
    step.run(SWEEP, params![step.now, SWEPT]).map(drop)
}

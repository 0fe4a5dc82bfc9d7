//! The `DeadLetters`: what a group or the relay has parked.

use crate::Sqlite;
use crate::codec::{int, rows};
use crate::log::{self, Record};
use crate::tx::Tx;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::id::SessionId;
use chatcore::port::{DeadLetter, DeadLetterId, DeadLetters, DeadLettersPage, Replay};
use rusqlite::{Row, params};

const ADD: &str = "INSERT INTO letters (grp, session, at, json, request_id, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const DROP: &str = "DELETE FROM letters WHERE no <= ?1";
pub(crate) const PAGE: &str = "SELECT no, grp, reason, session, at, json, request_id FROM letters
    WHERE no > ?1 ORDER BY no LIMIT ?2";
pub(crate) const TAKE: &str =
    "DELETE FROM letters WHERE no = ?1 RETURNING no, grp, reason, session, at, json, request_id";

/// Parks a record. There are at most as many letters as events; the oldest make room.
pub(crate) fn add(step: &Tx<'_>, group: &str, record: &Record, reason: &str) -> rusqlite::Result<()> {
    let Record { session, at, json, request_id } = record;
    let no = step.add(ADD, params![group, session, at, json, request_id, reason])?;
    step.run(DROP, params![no.saturating_sub(int(step.limits.outbox_events))]).map(drop)
}

#[async_trait]
impl DeadLetters for Sqlite {
    async fn list(&self, page: &DeadLettersPage) -> Result<Vec<DeadLetter>, BackendError> {
        let after = page.after.as_ref().and_then(number).unwrap_or(0);
        let limit = rows(page.limit);
        self.read(move |step| step.all(PAGE, params![after, limit], |row| Letter::read(row).map(Letter::shown))).await
    }

    async fn replay(&self, id: &DeadLetterId) -> Result<Replay, BackendError> {
        let Some(no) = number(id) else { return Ok(Replay::NotFound) };
        self.write(move |step| {
            let Some(letter) = step.one(TAKE, params![no], Letter::read)? else { return Ok(Replay::NotFound) };
            log::append_for(step, &letter.group, &letter.record)?;
            Ok(Replay::Queued)
        })
        .await
    }
}

struct Letter {
    no: i64,
    group: String,
    reason: String,
    record: Record,
}

impl Letter {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { no: row.get(0)?, group: row.get(1)?, reason: row.get(2)?, record: Record::read(row, 3)? })
    }

    /// Ids have a fixed length, so that they sort as numbers do.
    fn shown(self) -> DeadLetter {
        let (id, key) = (DeadLetterId(format!("{:019}", self.no)), SessionId::from(self.record.session).to_string());
        DeadLetter { id, key, group: self.group, reason: self.reason, raw: self.record.json }
    }
}

fn number(id: &DeadLetterId) -> Option<i64> {
    id.0.parse().ok()
}

//! The `Outbox`: the log as the relay sees it.

use crate::Sqlite;
use crate::codec::{Columns, rows};
use crate::letters;
use crate::log::{self, RELAY, Record};
use crate::tx::Tx;
use crate::wake::Topics;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Backlog, CLAIM_BYTES, Claimed, Entry, EntryId, Mark, Outbox, Settled};
use rusqlite::{Row, params};
use std::time::Duration;

macro_rules! unsettled {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM events WHERE no > max(?1, (SELECT settled_to FROM log WHERE one = 1)) AND settled = 0
            ORDER BY no LIMIT ?2"
        )
    };
}

pub(crate) const OLDEST: &str = unsettled!("no, session, at, json, request_id");
pub(crate) const SINCE: &str = unsettled!("at");
pub(crate) const ENTRY: &str = "SELECT session, at, json, request_id FROM events WHERE no = ?1 AND settled = 0";
const SETTLE: &str = "UPDATE events SET settled = 1 WHERE no = ?1";

#[async_trait]
impl Outbox for Sqlite {
    async fn claim_behind(&self, mark: &Mark, max: usize, wait: Duration) -> Result<Claimed, BackendError> {
        let last: i64 = mark.0.parse().unwrap_or_default();
        let read = |row: &Row<'_>| Ok((row.get(0)?, Record::read(row, 1)?));
        let look = move |step: &Tx<'_>| {
            let mut bytes = 0;
            step.all_while(OLDEST, params![last, rows(max)], read, |(_, record)| {
                bytes += record.json.len();
                bytes < CLAIM_BYTES
            })
        };
        let found: Vec<(i64, Record)> = self.watch((Topics::LOG, wait), look, |found| !found.is_empty()).await?;
        let end = Mark(found.last().map_or(last, |(no, _)| *no).to_string());
        let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
        for (no, record) in found {
            let id = EntryId(no.to_string());
            match record.event() {
                Ok(event) => entries.push(Entry { id, event }),
                Err(reason) => unreadable.push((id, Settled::Refused(reason.to_string()))),
            }
        }
        // A record of a newer build holds up nothing behind it.
        if !unreadable.is_empty() {
            self.settle(&unreadable).await?;
        }
        Ok(Claimed { entries, end })
    }

    async fn settle(&self, entries: &[(EntryId, Settled)]) -> Result<(), BackendError> {
        let entries = entries.to_vec();
        self.write(move |step| settle(step, &entries)).await
    }

    async fn backlog(&self) -> Result<Backlog, BackendError> {
        self.read(|step| {
            let events = log::unsettled(step)?;
            let oldest = step.one(SINCE, params![0, 1], |row| row.time(0))?;
            Ok(Backlog { events, oldest })
        })
        .await
    }
}

fn settle(step: &Tx<'_>, entries: &[(EntryId, Settled)]) -> rusqlite::Result<()> {
    let mut settled = 0;
    for (id, outcome) in entries {
        let Ok(no) = id.0.parse::<i64>() else { continue };
        let Some(record) = step.one(ENTRY, params![no], |row| Record::read(row, 0))? else { continue };
        if let Settled::Refused(reason) = outcome {
            letters::add(step, RELAY, &record, reason)?;
        }
        step.run(SETTLE, params![no])?;
        settled += 1;
    }
    if settled > 0 {
        log::settled(step, settled)?;
    }
    Ok(())
}

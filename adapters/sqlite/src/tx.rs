//! One step inside a transaction: the connection, the instant and the limits, with short ways to ask.

use crate::wake::Topics;
use chatcore::policy::StoreLimits;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use std::cell::Cell;

/// One step inside a transaction. Statements are prepared once for each connection.
pub(crate) struct Tx<'a> {
    connection: &'a Connection,
    /// The instant of the step, in microseconds since 1970.
    pub(crate) now: i64,
    /// How much is kept.
    pub(crate) limits: &'a StoreLimits,
    topics: Cell<Topics>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(connection: &'a Connection, now: i64, limits: &'a StoreLimits) -> Self {
        Self { connection, now, limits, topics: Cell::new(Topics::NONE) }
    }

    /// Notes what changes if this step is committed.
    pub(crate) fn tell(&self, topics: Topics) {
        self.topics.set(self.topics.get().and(topics));
    }

    /// What changes.
    pub(crate) fn topics(&self) -> Topics {
        self.topics.get()
    }

    /// The first row, if there is one.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.connection.prepare_cached(sql)?.query_row(params, read).optional()
    }

    /// All rows.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.connection.prepare_cached(sql)?.query_map(params, read)?.collect()
    }

    /// Changes rows; answers how many.
    pub(crate) fn run(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }

    /// Adds a row; answers its number.
    pub(crate) fn add(&self, sql: &str, params: impl Params) -> rusqlite::Result<i64> {
        self.connection.prepare_cached(sql)?.insert(params)
    }
}

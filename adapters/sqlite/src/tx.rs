//! One step inside a transaction: the connection, the instant and the limits, with short ways to ask.

use crate::wake::Topics;
use chatcore::policy::StoreLimits;
use rusqlite::{Connection, OptionalExtension, Params, PrepFlags, Row, Statement};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// One step inside a transaction, and after it the next. Statements are prepared once for each connection.
pub(crate) struct Tx<'c> {
    connection: &'c Connection,
    statements: RefCell<BTreeMap<Place, Rc<RefCell<Statement<'c>>>>>,
    /// The instant of the step, in microseconds since 1970.
    pub(crate) now: i64,
    /// How much is kept.
    pub(crate) limits: StoreLimits,
    topics: Cell<Topics>,
}

/// Where a statement's text lies, and how long it is. To find a statement by its text would cost a good part of the
/// statement itself.
type Place = (usize, usize);

impl<'c> Tx<'c> {
    /// Steps through this connection.
    pub(crate) fn new(connection: &'c Connection, limits: StoreLimits) -> Self {
        let topics = Cell::new(Topics::NONE);
        Self { connection, statements: RefCell::default(), now: 0, limits, topics }
    }

    /// Begins the next step.
    pub(crate) fn next(&mut self, now: i64) {
        self.now = now;
        self.topics.set(Topics::NONE);
    }

    /// Whether no transaction is open.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// How many rows have changed since the connection was opened.
    pub(crate) fn changes(&self) -> u64 {
        self.connection.total_changes()
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
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.with(sql, |statement| statement.query_row(params, read).optional())
    }

    /// All rows.
    pub(crate) fn all<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.with(sql, |statement| statement.query_map(params, read)?.collect())
    }

    /// Rows up to the first behind which there are to be no more.
    pub(crate) fn all_while<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        mut goes_on: impl FnMut(&T) -> bool,
    ) -> rusqlite::Result<Vec<T>> {
        self.with(sql, |statement| {
            let mut found = Vec::new();
            for row in statement.query_map(params, read)? {
                let row = row?;
                let is_last = !goes_on(&row);
                found.push(row);
                if is_last {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// Changes rows; answers how many.
    pub(crate) fn run(&self, sql: &'static str, params: impl Params) -> rusqlite::Result<usize> {
        self.with(sql, |statement| statement.execute(params))
    }

    /// Adds a row; answers its number.
    pub(crate) fn add(&self, sql: &'static str, params: impl Params) -> rusqlite::Result<i64> {
        self.with(sql, |statement| statement.insert(params))
    }

    /// Uses a statement. Others may be used meanwhile, but not this one.
    fn with<T>(
        &self,
        sql: &'static str,
        work: impl FnOnce(&mut Statement<'c>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let place = (sql.as_ptr() as usize, sql.len());
        let kept = self.statements.borrow().get(&place).cloned();
        let statement = match kept {
            Some(statement) => statement,
            None => {
                let new = self.connection.prepare_with_flags(sql, PrepFlags::SQLITE_PREPARE_PERSISTENT)?;
                self.statements.borrow_mut().entry(place).or_insert(Rc::new(RefCell::new(new))).clone()
            }
        };
        work(&mut statement.borrow_mut())
    }
}

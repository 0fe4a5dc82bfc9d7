//! Between columns and the vocabulary.

use chatcore::message::{AiReply, Answer, Message, Products, Status};
use chatcore::stamp::from_micros;
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};
use std::str::FromStr;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// A number that is never negative, as a column holds it.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows, as a statement takes it.
pub(crate) fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A length of time, in microseconds.
pub(crate) fn span(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// How many messages of a session have a place of their own.
pub(crate) const PLACES: u64 = (1 << 24) - 1;

/// The place of a message: the histories of all sessions, one behind the other.
pub(crate) fn place(session: i64, seq: u64) -> i64 {
    (session << 24) | int(seq.min(PLACES))
}

/// What lies between two instants; nothing if the second is the earlier.
pub(crate) fn between(from: i64, to: i64) -> Duration {
    Duration::from_micros(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

/// Columns as the vocabulary has them.
pub(crate) trait Columns {
    /// A number that is never negative.
    fn nat(&self, column: usize) -> rusqlite::Result<u64>;

    /// A length in bytes.
    fn length(&self, column: usize) -> rusqlite::Result<usize>;

    /// A time.
    fn time(&self, column: usize) -> rusqlite::Result<OffsetDateTime>;

    /// An id.
    fn id<T: From<Uuid>>(&self, column: usize) -> rusqlite::Result<T>;

    /// A text that its type parses.
    fn parsed<T: FromStr>(&self, column: usize) -> rusqlite::Result<T>
    where
        T::Err: std::error::Error + Send + Sync + 'static;
}

impl Columns for Row<'_> {
    fn nat(&self, column: usize) -> rusqlite::Result<u64> {
        let number: i64 = self.get(column)?;
        u64::try_from(number).map_err(|_| unreadable(column, Type::Integer, FromSqlError::OutOfRange(number)))
    }

    fn length(&self, column: usize) -> rusqlite::Result<usize> {
        let number: i64 = self.get(column)?;
        usize::try_from(number).map_err(|_| unreadable(column, Type::Integer, FromSqlError::OutOfRange(number)))
    }

    fn time(&self, column: usize) -> rusqlite::Result<OffsetDateTime> {
        self.get(column).map(from_micros)
    }

    fn id<T: From<Uuid>>(&self, column: usize) -> rusqlite::Result<T> {
        self.get::<_, Uuid>(column).map(T::from)
    }

    fn parsed<T: FromStr>(&self, column: usize) -> rusqlite::Result<T>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let text = self.get_ref(column)?.as_str().map_err(|error| unreadable(column, Type::Text, error))?;
        text.parse().map_err(|error| unreadable(column, Type::Text, error))
    }
}

/// A column holds what no build of ours has written.
pub(crate) fn unreadable(
    column: usize,
    kind: Type,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

/// The columns that [`message`] reads.
macro_rules! message_columns {
    () => {
        "turn, place, content, status, at, products, intent, confidence"
    };
}
pub(crate) use message_columns;

/// A message. An answer follows its question at once.
pub(crate) fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let (turn, seq, content, at) = (row.id(0)?, row.nat(1)? & PLACES, row.get(2)?, row.time(4)?);
    Ok(match row.parsed(3)? {
        Status::Accepted => Message::question(turn, seq, content, at),
        status => {
            Message::answer(turn, seq, seq.saturating_sub(1), Answer { status, content, reply: reply(row, 5)? }, at)
        }
    })
}

/// What was said beside the text: the columns `products, intent, confidence` from this one on.
fn reply(row: &Row<'_>, first: usize) -> rusqlite::Result<AiReply> {
    let products = match row.get::<_, Option<String>>(first)? {
        Some(json) => Products::from_kept(json).map_err(|error| unreadable(first, Type::Text, error))?,
        None => Products::default(),
    };
    Ok(AiReply { products, intent: row.get(first + 1)?, confidence: row.get(first + 2)? })
}

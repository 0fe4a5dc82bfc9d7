//! Answers, read. Nothing here panics: an answer of an unknown form is an error.

use crate::error::unreadable;
use chatcore::error::BackendError;
use deadpool_redis::redis::Value;
use std::str::FromStr;
use std::time::Duration;

/// What reading gives.
pub(crate) type Read<T> = Result<T, BackendError>;

/// The items of an array.
pub(crate) fn items(value: Value) -> Read<Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::Nil => Ok(Vec::new()),
        other => Err(unreadable(format_args!("{other:?} for an array"))),
    }
}

/// The first of some answers; nothing where there is none.
pub(crate) fn first(answers: Vec<Value>) -> Value {
    answers.into_iter().next().unwrap_or_default()
}

/// What could be had of each partition. What fails keeps no other waiting, and is told where nothing could be had.
pub(crate) fn some<T>(each: Vec<Read<T>>) -> Read<Vec<T>> {
    let (had, failed): (Vec<_>, Vec<_>) = each.into_iter().partition(Result::is_ok);
    match failed.into_iter().find_map(Result::err).filter(|_| had.is_empty()) {
        Some(error) => Err(error),
        None => Ok(had.into_iter().flatten().collect()),
    }
}

/// The items of an array of this length.
pub(crate) fn fixed<const N: usize>(value: Value) -> Read<[Value; N]> {
    let items = items(value)?;
    <[Value; N]>::try_from(items).map_err(|items| unreadable(format_args!("{} items for {N}", items.len())))
}

/// A script's answer: the word that it begins with, and the rest.
pub(crate) fn worded(value: Value) -> Read<(String, Vec<Value>)> {
    let mut items = items(value)?.into_iter();
    let word = items.next().map_or_else(|| Err(unreadable("an answer without a word")), text)?;
    Ok((word, items.collect()))
}

/// Bytes.
pub(crate) fn bytes(value: Value) -> Read<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Okay => Ok(b"OK".to_vec()),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        other => Err(unreadable(format_args!("{other:?} for a text"))),
    }
}

/// A text.
pub(crate) fn text(value: Value) -> Read<String> {
    String::from_utf8(bytes(value)?).map_err(unreadable)
}

/// A whole number, of a number or of a text.
pub(crate) fn number<T: TryFrom<i64>>(value: Value) -> Read<T> {
    let number = match value {
        Value::Int(number) => number,
        other => parsed::<i64>(other)?,
    };
    T::try_from(number).map_err(|_| unreadable(format_args!("{number} is out of range")))
}

/// What its type parses of a text.
pub(crate) fn parsed<T: FromStr>(value: Value) -> Read<T> {
    let text = text(value)?;
    text.parse().map_err(|_| unreadable(format_args!("{text:?}")))
}

/// A length of time in microseconds; none is ever negative.
pub(crate) fn span(value: Value) -> Read<Duration> {
    number::<i64>(value).map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

/// A length of time, as scripts are told.
pub(crate) fn micros(time: Duration) -> i64 {
    // Numbers of scripts are exact up to 2^53; a hundred years are well within.
    const LONGEST: u128 = 100 * 366 * 86_400_000_000;
    i64::try_from(time.as_micros().min(LONGEST)).unwrap_or(i64::MAX)
}

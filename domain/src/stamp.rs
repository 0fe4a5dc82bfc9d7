//! Times as text: RFC 3339, UTC with `Z`, always six digits of a second.

use time::{OffsetDateTime, UtcOffset};

/// A time as every answer and every event shows it.
///
/// ```
/// let at = time::OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_micros(1_500_000);
/// assert_eq!(chatcore::stamp::rfc3339(at), "1970-01-01T00:00:01.500000Z");
/// ```
#[must_use]
pub fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond(),
    )
}

/// Microseconds since 1970, as stores keep a time: whole, ordered, and exactly what [`rfc3339`] shows.
#[must_use]
pub fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// The time of so many microseconds since 1970; beyond the year 9999 the last that can be told.
#[must_use]
pub fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .unwrap_or_else(|_| time::PrimitiveDateTime::MAX.assume_utc())
}

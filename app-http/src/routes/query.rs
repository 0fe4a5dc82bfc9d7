//! Paths and queries: read, checked, and all faults told at once. Unknown parameters are ignored.

use crate::problem::{FieldFault, Place, Problem};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use chatcore::error::Invalid;
use chatcore::id::{Fence, SessionId};
use chatcore::session::SessionsCursor;
use chatcore::stamp::{from_micros, micros};
use chatcore::turn::{Position, TurnId};
use std::borrow::Cow;
use std::future::{Ready, ready};
use std::str::FromStr;
use uuid::Uuid;

/// What browsers call it.
const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Entries of a page unless asked otherwise.
pub(crate) const LIMIT: usize = 50;
/// Entries of a page at most.
pub(crate) const MAX_LIMIT: usize = 100;

/// The session that a path names.
#[derive(Debug)]
pub(super) struct SessionPath(pub(super) SessionId);

impl FromRequest for SessionPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(part(request, "id", "session_id").map(Self))
    }
}

/// A part of the path, by the route's name for it; its faults are told by the one that clients know.
fn part<T: FromStr<Err = Invalid>>(request: &HttpRequest, name: &str, told: &'static str) -> Result<T, Problem> {
    let fault = |invalid: Invalid| Problem::fault(Place::Parameter(told), format!("must be {}", invalid.rule));
    request.match_info().get(name).unwrap_or_default().parse().map_err(fault)
}

/// The turn that a path names.
#[derive(Debug)]
pub(super) struct TurnPath(pub(super) TurnId);

impl FromRequest for TurnPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = part(request, "id", "session_id");
        let turn = |session| Ok(TurnId { session, message: part(request, "message_id", "message_id")? });
        ready(session.and_then(turn).map(Self))
    }
}

/// What a reader names who goes on: the last event that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    /// It was the end.
    pub(super) is_end: bool,
}

impl Mark {
    pub(super) fn parse(text: &str) -> Option<Self> {
        // As they are given out; a sign, which Rust would take, and more than 19 digits never are.
        let number = |text: &str| text.parse().ok().filter(|_| text.len() < 20 && !text.starts_with('+'));
        let (fence, offset) = text.split_once('-')?;
        let is_end = offset == "end";
        let offset = if is_end { 0 } else { usize::try_from(number(offset)?).ok()? };
        Some(Self { position: Position { fence: Fence(number(fence)?), offset }, is_end })
    }
}

/// The last event that came, by the header that browsers send, or by the query. The other parameters are taken already.
pub(super) fn last_event_id<T>(
    request: &HttpRequest,
    mut query: Query,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let rule = "must be the id of an event";
    let of_query = query.take("last_event_id", rule, &parse);
    query.finish()?;
    let Some(header) = request.headers().get(LAST_EVENT_ID) else { return Ok(of_query) };
    let mark = header.to_str().ok().and_then(parse);
    mark.map(Some).ok_or_else(|| Problem::fault(Place::Header(LAST_EVENT_ID), rule))
}

/// The parameters of a query, taken one by one.
#[derive(Debug, Default)]
pub(super) struct Query {
    given: Vec<(String, String)>,
    faults: Vec<FieldFault>,
}

impl FromRequest for Query {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let given = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        let given = given.map(web::Query::into_inner).unwrap_or_default();
        ready(Ok(Self { given, faults: Vec::new() }))
    }
}

impl Query {
    /// How many entries.
    pub(super) fn limit(&mut self) -> usize {
        let limit = self.take("limit", "must be a whole number, 1 to 100", |text| {
            text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
        });
        limit.unwrap_or(LIMIT)
    }

    /// Only messages before this place.
    pub(super) fn before(&mut self) -> Option<u64> {
        self.take("before", "must be a whole number of at least 1", |text| {
            text.parse().ok().filter(|before| *before >= 1)
        })
    }

    /// Only messages after this place.
    pub(super) fn after(&mut self) -> Option<u64> {
        self.take("after", "must be a whole number", |text| text.parse().ok())
    }

    /// Where the page before ended.
    pub(super) fn cursor(&mut self) -> Option<SessionsCursor> {
        self.take("cursor", "must be one that the header Link gave", cursor)
    }

    /// # Errors
    /// Everything that was wrong with what was taken.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::faults(self.faults)) }
    }

    fn take<T>(&mut self, name: &'static str, rule: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let mut values = self.given.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let value = values.next()?;
        let parsed = if values.next().is_some() { None } else { parse(value) };
        if parsed.is_none() {
            self.faults.push(FieldFault { detail: Cow::Borrowed(rule), place: Place::Parameter(name) });
        }
        parsed
    }
}

/// A cursor as clients carry it: nobody is meant to read it.
pub(super) fn cursor_text(cursor: &SessionsCursor) -> String {
    format!("{:016x}{}", micros(cursor.last_activity), cursor.session.as_uuid().simple())
}

fn cursor(text: &str) -> Option<SessionsCursor> {
    let (time, session) = text.split_at_checked(16)?;
    let last_activity = from_micros(i64::try_from(u64::from_str_radix(time, 16).ok()?).ok()?);
    let session = SessionId::from(Uuid::try_parse(session).ok().filter(|_| session.len() == 32)?);
    Some(SessionsCursor { last_activity, session })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_out() {
        let session = SessionId::from(Uuid::from_u128(7));
        let cursor_in = SessionsCursor { last_activity: from_micros(1_700_000_000_123_456), session };
        let text = cursor_text(&cursor_in);
        assert_eq!(cursor(&text), Some(cursor_in));
        for bad in ["", "x", &text[1..], &format!("{text}0"), &text.replace('0', "ü"), &"f".repeat(48)] {
            assert_eq!(cursor(bad), None, "{bad}");
        }
    }
}

//! The routes of the chat: messages, sessions, turns.

use super::operation::{Described, schema};
use super::parameters::{limit, parameter, path, whole};
use super::schemas::{text, uuid};
use super::{examples, headers, problems, streams};
use crate::problem::Kind;
use crate::routes::query::MAX_LIMIT;
use serde_json::json;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, Schema};
use utoipa::openapi::{ObjectBuilder, RefOr};

pub(super) const TAG: &str = "chat";
/// A bare key, or one in quotes, with `\` before quotes and `\` in it.
const KEY_HEADER: &str = r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#;
const CURSOR: &str = "^[0-7][0-9a-f]{47}$";
/// The id of an event of a turn.
const MARK: &str = "^[0-9]{1,19}-([0-9]{1,19}|end)$";

pub(super) fn message(max_body: usize, guests: bool) -> Described {
    let key = "Sent again with the same key and the same text, it is the same message: its one answer is given again, as long as the session lives. \
               1 to 255 visible ASCII characters, bare or as a quoted string; the same as `client_message_id`, \
               where both are there.";
    let of_users = [("A first message", examples::first_message()), ("The next message", examples::next_message())];
    let of_guests = guests.then(|| ("A message of a guest", examples::guests_message()));
    let taken: Vec<_> = of_users.into_iter().chain(of_guests).collect();
    let given = [("Answered", examples::answer()), ("The AI was away", examples::fallback())];
    let about = "Stores the message, waits for the AI, and gives its answer. Whatever becomes of the AI, the answer is \
                 200: `status` tells how it ended. Who accepts `text/event-stream` before all else gets it as it comes. The header `Idempotency-Key`, or `client_message_id`, makes it safe \
                 to repeat.";
    Described::new(TAG, "sendMessage", "Say something")
        .about(about)
        .with_caller_or_body(guests)
        .parameter(parameter("Idempotency-Key", ParameterIn::Header, text().pattern(Some(KEY_HEADER)), key))
        .body("NewMessage", max_body, &taken)
        .gives("The answer.", schema("Answer"), &given)
        .streams("The answer.", streams::turn())
        .with_header(headers::REPLAYED)
        .with_link("session", of_session("getSession", "The session that the message is in."))
        .with_link("messages", of_session("getMessages", "All its messages."))
        .with_link("delete", of_session("deleteSession", "Its end."))
        .with_headers(&[headers::ALLOWED, headers::LEFT])
        .problems(problems::SESSION)
        .problems(problems::MESSAGE)
        .problems(problems::READER)
}

pub(super) fn sessions(guests: bool) -> Described {
    let cursor = text().pattern(Some(CURSOR));
    let about = "Where the page before ended: as the header `Link` gave it.";
    let given = [("Of a user", json!([examples::session()])), ("Of a guest", json!([examples::guests_session()]))];
    Described::new(TAG, "listSessions", "List sessions")
        .about("The caller's living sessions, newest activity first.")
        .with_caller(guests)
        .parameter(limit())
        .parameter(parameter("cursor", ParameterIn::Query, cursor, about))
        .gives("A page of sessions.", page_of("Session"), &given)
        .with_header(headers::LINK)
        .problems([Kind::ValidationFailed, Kind::StoreUnavailable])
}

pub(super) fn session(guests: bool) -> Described {
    of_one(guests, "getSession", "Show a session").about("A session with its newest messages.").gives(
        "The session.",
        schema("SessionWithMessages"),
        &[("A session", examples::session_with_messages())],
    )
}

pub(super) fn messages(guests: bool) -> Described {
    let before = whole().minimum(Some(1));
    of_one(guests, "getMessages", "Read messages")
        .about("The newest messages of a session, oldest first; with `before`, those before that place.")
        .parameter(parameter("before", ParameterIn::Query, before, "Only messages whose `seq` is less than this."))
        .parameter(limit())
        .gives("A page of messages.", page_of("Message"), &[("A page", examples::messages())])
}

pub(super) fn delete_session(guests: bool) -> Described {
    let gone = json!({ "message": "Session deleted successfully" });
    of_one(guests, "deleteSession", "Delete a session")
        .about("Deletes a session with its messages. It does not come back.")
        .gives("It is gone.", schema("Deleted"), &[("Gone", gone)])
}

/// An operation on one session.
fn of_one(guests: bool, id: &str, summary: &str) -> Described {
    Described::new(TAG, id, summary)
        .with_caller(guests)
        .parameter(path("session_id", uuid(), "The session."))
        .problems(problems::SESSION)
}

fn page_of(name: &str) -> RefOr<Schema> {
    ArrayBuilder::new().items(schema(name)).max_items(Some(MAX_LIMIT)).into()
}

/// A call for the session that an answer names.
fn of_session(operation: &str, about: &str) -> Link {
    let id = ("session_id", "$response.body#/session_id");
    LinkBuilder::new().operation_id(operation).parameter(id.0, id.1).description(about).build()
}

pub(super) fn turn(guests: bool) -> Described {
    of_turn(guests, "streamTurn", "Read a turn")
        .about("An answer as it comes, or as it came; with the id of an event, what comes behind that.")
        .parameters(last_event_id(|| text().pattern(Some(MARK))))
        .streams("The answer.", streams::turn())
        .empty(204, "That event was the last.")
        .problems(problems::READER)
}

pub(super) fn live(guests: bool) -> Described {
    of_one(guests, "streamSession", "Read the turn that runs")
        .about("An answer as it comes; with the id of an event of the same turn, what comes behind that. Where no turn runs, who names an event that was no end gets the last one.")
        .parameters(last_event_id(|| text().pattern(Some(MARK))))
        .streams("The answer.", streams::turn())
        .empty(204, "No turn runs, and no event was named, or an end.")
        .problems([Kind::TurnNotFound])
        .problems(problems::READER)
}

pub(super) fn newer(guests: bool) -> Described {
    let after = "Only messages whose `seq` is greater than this. The id of an event goes before it.";
    of_one(guests, "streamMessages", "Follow a session")
        .about("Messages as they are stored, for as long as the session is there.")
        .parameter(parameter("after", ParameterIn::Query, whole().minimum(Some(0)), after))
        .parameters(last_event_id(|| whole().minimum(Some(0))))
        .streams("The messages.", streams::session())
        .problems(problems::READER)
}

pub(super) fn stop(guests: bool) -> Described {
    let stop = |status| json!({ "message_id": examples::QUESTION, "session_id": examples::ANSWERED_SESSION, "status": status });
    of_turn(guests, "stopTurn", "Stop a turn")
        .about("The text so far becomes the answer.")
        .gives("It had ended.", schema("Stop"), &[("Ended", stop("ended"))])
        .answers(
            (202, "It will end."),
            ("application/json", Some(schema("Stop").into())),
            &[("Stopping", stop("stopping"))],
        )
}

/// An operation on one turn.
fn of_turn(guests: bool, id: &str, summary: &str) -> Described {
    Described::new(TAG, id, summary)
        .with_caller(guests)
        .parameter(path("session_id", uuid(), "The session."))
        .parameter(path("message_id", uuid(), "The question."))
        .problems(problems::TURN)
}

/// By a header, as browsers tell it, or by the query.
fn last_event_id(schema: impl Fn() -> ObjectBuilder) -> [Parameter; 2] {
    let about = "The id of the last event that came.";
    let besides = "The same, for those who cannot send headers; the header goes before it.";
    [
        parameter("Last-Event-ID", ParameterIn::Header, schema(), about),
        parameter("last_event_id", ParameterIn::Query, schema(), besides),
    ]
}

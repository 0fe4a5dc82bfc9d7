//! Streams of events: what each event is called, and what its data are.

use super::examples::{self, Event};
use super::operation::schema;
use super::schemas::{text, uuid};
use serde_json::json;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{AdditionalProperties, OneOfBuilder, Schema};
use utoipa::openapi::{ObjectBuilder, RefOr, Type};

/// The media type of a stream.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// An answer as it comes.
pub(super) fn turn() -> Content {
    content("TurnEvent", examples::turn_events())
}

/// Messages as they are stored.
pub(super) fn session() -> Content {
    content("SessionEvent", examples::session_events())
}

/// A stream whose events are each of this schema.
fn content<const N: usize>(name: &str, examples: [Event; N]) -> Content {
    let one = |[event, id, data]: Event| {
        let summary = format!("The event {id}");
        let value = json!({ "event": event, "id": id, "data": data });
        (format!("{event}_{id}"), ExampleBuilder::new().summary(summary).value(Some(value)).build())
    };
    ContentBuilder::new().schema(Some(schema(name))).examples_from_iter(examples.map(one)).build()
}

/// The schemas of events, and of data that no other answer has.
pub(super) fn schemas() -> [(&'static str, RefOr<Schema>); 5] {
    let seq = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let begun = ObjectBuilder::new()
        .description(Some("The data of the event `turn`: which question is answered."))
        .property("message_id", uuid().description(Some("The question's id.")))
        .property("session_id", uuid().description(Some("Its session.")))
        .property("seq", seq.description(Some("The question's place in its session.")))
        .required("message_id")
        .required("session_id")
        .required("seq");
    let delta = ObjectBuilder::new()
        .description(Some("The data of the event `delta`: a piece of the answer."))
        .property("text", text().description(Some("What comes behind the text so far.")))
        .required("text");
    let restart = ObjectBuilder::new()
        .description(Some("The data of the event `restart`, by which the text so far is to be forgotten: none."))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let of_turn = OneOfBuilder::new()
        .description(Some("An event of a turn. Behind `done` and `error` there is none."))
        .item(event("turn", "TurnBegun"))
        .item(event("delta", "Delta"))
        .item(event("restart", "Restart"))
        .item(event("done", "Answer"))
        .item(event("error", "Problem"));
    let of_session = OneOfBuilder::new()
        .description(Some("An event of a session. Behind `error` there is none."))
        .item(event("message", "Message"))
        .item(event("error", "Problem"));
    [
        ("TurnBegun", begun.into()),
        ("Delta", delta.into()),
        ("Restart", restart.into()),
        ("TurnEvent", of_turn.into()),
        ("SessionEvent", of_session.into()),
    ]
}

/// An event of this name, with data of this schema.
fn event(name: &str, data: &str) -> ObjectBuilder {
    // The builder knows no such member.
    let of_data = Extensions::from_iter([("contentSchema", json!(schema(data)))]);
    let json = text().content_media_type("application/json").extensions(Some(of_data));
    ObjectBuilder::new()
        .property("event", text().enum_values(Some([name])))
        .property("id", text().description(Some("Named by who goes on behind this event.")))
        .property("data", json.description(Some(format!("JSON: {data}."))))
        .required("event")
        .required("id")
        .required("data")
}

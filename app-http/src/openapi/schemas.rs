//! What the routes take, bounded by what checks it, and what stands in several answers.

use super::{problems, streams};
use crate::dto::{AnswerOut, MAX_NAME, MAX_PASSWORD, MessageOut, SessionOut, TokenOut};
use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, ArrayBuilder, KnownFormat, Ref, Schema, SchemaFormat, SchemaType,
};
use utoipa::openapi::{ObjectBuilder, RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// A UUID in its hyphenated form.
const UUID: &str = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
/// The same, or an empty text.
const UUID_OR_EMPTY: &str = "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$";
const DEVICE: &str = "^[A-Za-z0-9._:-]{8,128}$";
const NO_CONTROLS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";
const KEY: &str = "^[!-~]{1,255}$";

/// All schemas, with their names. A message is at most this long.
pub(super) fn all(max_message: usize) -> Vec<(String, RefOr<Schema>)> {
    let derived = [
        named::<TokenOut>(),
        named::<AnswerOut<'_>>(),
        named::<MessageOut>(),
        named::<SessionOut>(),
        named::<Time>(),
        named::<TokenType>(),
        named::<Role>(),
        named::<Status>(),
        named::<End>(),
        named::<Product>(),
    ];
    let made = [
        ("Login", login()),
        ("NewMessage", new_message(max_message)),
        ("SessionWithMessages", session_with_messages()),
        ("Deleted", deleted()),
        ("Stop", stop()),
        ("Program", program()),
        ("Health", health()),
        ("Document", openapi()),
        ("Problem", problems::schema()),
        ("FieldFault", problems::fault_schema()),
    ];
    let made = made.into_iter().chain(streams::schemas()).map(|(name, schema)| (name.to_owned(), schema));
    derived.into_iter().chain(made).collect()
}

fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

/// A text, to be bounded.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A UUID, as answers show it.
pub(super) fn uuid() -> ObjectBuilder {
    text().format(Some(SchemaFormat::Custom("uuid".into()))).pattern(Some(UUID))
}

/// A text of a request that may be `null`.
fn nullable() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

/// A text of so many bytes at most. JSON Schema counts characters, of which one has up to four bytes.
fn bytes(text: ObjectBuilder, max: usize) -> ObjectBuilder {
    text.max_length(Some(max)).extensions(Some(Extensions::from_iter([("x-max-bytes", max)])))
}

fn login() -> RefOr<Schema> {
    let name = bytes(text().min_length(Some(1)), MAX_NAME);
    let password = bytes(text().min_length(Some(1)), MAX_PASSWORD);
    let password = password.format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)));
    let device = "The guest who it was so far: whose sessions become the user's, as many as one may have.";
    ObjectBuilder::new()
        .description(Some("Who logs in."))
        .property("username", name.description(Some(format!("The name: 1 to {MAX_NAME} bytes."))))
        .property("password", password.description(Some(format!("The password: 1 to {MAX_PASSWORD} bytes."))))
        .property("device_id", nullable().pattern(Some(DEVICE)).description(Some(device)))
        .required("username")
        .required("password")
        .into()
}

fn new_message(max: usize) -> RefOr<Schema> {
    let said = bytes(text().min_length(Some(1)).pattern(Some("^[^\\u0000]*$")), max).description(Some(format!(
        "What is said: at most {max} bytes, with something to be seen in it, and without the character U+0000."
    )));
    let session = "Where it is said; a new session unless given. An empty text is none.";
    let user = bytes(nullable().min_length(Some(1)).pattern(Some(NO_CONTROLS)), 128);
    let user = user.description(Some("The caller's own id, or nothing: another's is refused. 1 to 128 bytes."));
    let device = "The guest, where there is no token; must be the same as a header `X-Device-Id`.";
    let on_busy = "What to do while another message of the session is being answered: refuse this one, stop that one, or \
                   wait for it. What the server is set to, unless given.";
    let words = [json!("reject"), json!("cancel"), json!("wait"), Value::Null];
    let on_busy = nullable().enum_values(Some(words)).description(Some(on_busy));
    let key = "The idempotency key, unless a header gives it: sent again with the same key, it is the same message.";
    ObjectBuilder::new()
        .description(Some("A message."))
        .property("message", said)
        .property("session_id", nullable().pattern(Some(UUID_OR_EMPTY)).description(Some(session)))
        .property("user_id", user)
        .property("device_id", nullable().pattern(Some(DEVICE)).description(Some(device)))
        .property("client_message_id", nullable().pattern(Some(KEY)).description(Some(key)))
        .property("on_busy", on_busy)
        .required("message")
        .into()
}

fn session_with_messages() -> RefOr<Schema> {
    let messages = ArrayBuilder::new().items(Ref::from_schema_name("Message"));
    let messages = messages.description(Some("Its newest messages, at most 20, oldest first."));
    let shown = ObjectBuilder::new().property("messages", messages).required("messages");
    AllOfBuilder::new().item(Ref::from_schema_name("Session")).item(shown).into()
}

fn deleted() -> RefOr<Schema> {
    let message = text().description(Some("Always the same.")).enum_values(Some(["Session deleted successfully"]));
    ObjectBuilder::new().property("message", message).required("message").into()
}

fn stop() -> RefOr<Schema> {
    let status = text().enum_values(Some(["stopping", "ended"]));
    ObjectBuilder::new()
        .property("message_id", uuid().description(Some("The question.")))
        .property("session_id", uuid().description(Some("Its session.")))
        .property("status", status.description(Some("Whether it had ended before.")))
        .required("message_id")
        .required("session_id")
        .required("status")
        .into()
}

fn program() -> RefOr<Schema> {
    ObjectBuilder::new()
        .property("app", text().description(Some("What the program is called.")))
        .property("version", text().description(Some("Which version it is.")))
        .property("status", text().enum_values(Some(["running"])))
        .required("app")
        .required("version")
        .required("status")
        .into()
}

fn health() -> RefOr<Schema> {
    let status = text().enum_values(Some(["healthy", "degraded"])).description(Some("All in one."));
    let health = ObjectBuilder::new().property("status", status).required("status").required("ai");
    let dependencies = [
        ("ai", "Who answers."),
        ("kafka", "The bus."),
        ("memory", "A store."),
        ("redis", "A store."),
        ("sqlite", "A store."),
    ];
    let one = |about| text().enum_values(Some(["healthy", "unhealthy"])).description(Some(about));
    dependencies.into_iter().fold(health, |health, (name, about)| health.property(name, one(about))).into()
}

fn openapi() -> RefOr<Schema> {
    let version = text().pattern(Some("^3\\.1\\.\\d+$")).description(Some("The version of OpenAPI."));
    ObjectBuilder::new().description(Some("This document.")).property("openapi", version).required("openapi").into()
}

/// A time: RFC 3339, UTC, six digits.
#[derive(Debug)]
pub(crate) enum Time {}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .pattern(Some("^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{6}Z$"))
            .description(Some("A time: RFC 3339, UTC, six digits of a second."))
            .into()
    }
}

impl ToSchema for Time {}

/// What an AI found: any object, as the AI sent it.
#[derive(Debug)]
pub(crate) enum Product {}

impl PartialSchema for Product {
    fn schema() -> RefOr<Schema> {
        let any = |about| ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(about));
        ObjectBuilder::new()
            .description(Some("A product, as the AI sent it: any object. These members are the usual ones."))
            .property("product_id", any("Its id, usually a text."))
            .property("product_name", any("What it is called, usually a text."))
            .property("price", any("What it costs, usually a number."))
            .property("shop_name", any("Who sells it, usually a text."))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for Product {}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $($word:literal)|+;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text().enum_values(Some([$($word),+])).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

words! {
    /// The kind of a token.
    TokenType = "bearer";
    /// Who said something.
    Role = "user" | "assistant";
    /// What became of a message.
    Status = "accepted" | "completed" | "fallback" | "failed" | "cancelled";
    /// How a turn ended.
    End = "completed" | "fallback" | "failed" | "cancelled";
}

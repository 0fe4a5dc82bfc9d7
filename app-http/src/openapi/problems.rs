//! Problems, as the document tells them: each operation lists its own kinds.

use super::examples::{ANSWERED_SESSION, QUESTION};
use super::headers;
use crate::problem::{Kind, MEDIA_TYPE};
use crate::rate_limit::{ADDRESS, CHAT};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, Ref, Schema};
use utoipa::openapi::{ObjectBuilder, RefOr, ResponseBuilder, Type};

/// Given by no route that is there.
const ELSEWHERE: [Kind; 3] = [Kind::NotFound, Kind::MethodNotAllowed, Kind::Internal];

/// What can be wrong with a body before anything of it is understood.
pub(super) const BODY: [Kind; 6] = [
    Kind::MalformedRequest,
    Kind::MalformedJson,
    Kind::RequestTimeout,
    Kind::BodyTooLarge,
    Kind::UnsupportedMediaType,
    Kind::ValidationFailed,
];
/// What can be wrong with who calls.
pub(super) const CALLER: [Kind; 5] =
    [Kind::NotAuthenticated, Kind::InvalidToken, Kind::TokenExpired, Kind::ValidationFailed, Kind::Stopping];
/// What can be wrong with a session that is asked for.
pub(super) const SESSION: [Kind; 4] =
    [Kind::ValidationFailed, Kind::SessionNotFound, Kind::AccessDenied, Kind::StoreUnavailable];
/// What can be wrong with a turn that is asked for.
pub(super) const TURN: [Kind; 4] =
    [Kind::ValidationFailed, Kind::TurnNotFound, Kind::AccessDenied, Kind::StoreUnavailable];
/// Beside those of a session, what a message can get.
pub(super) const MESSAGE: [Kind; 8] = [
    Kind::UserIdMismatch,
    Kind::TurnInProgress,
    Kind::SessionFull,
    Kind::TooManySessions,
    Kind::IdempotencyKeyReused,
    Kind::QuotaExceeded,
    Kind::OutboxFull,
    Kind::Overloaded,
];
/// Beside those of a body, what a login can get.
pub(super) const LOGIN: [Kind; 5] =
    [Kind::WrongCredentials, Kind::TooManyLogins, Kind::StoreUnavailable, Kind::Overloaded, Kind::Stopping];
/// What who reads along can get besides.
pub(super) const READER: [Kind; 1] = [Kind::TooManyStreams];

/// The responses for these kinds, one for each status.
pub(super) fn responses(kinds: impl IntoIterator<Item = Kind>) -> BTreeMap<u16, ResponseBuilder> {
    let mut by_status = BTreeMap::<u16, Vec<Kind>>::new();
    for kind in kinds {
        let same = by_status.entry(kind.status().as_u16()).or_default();
        if !same.contains(&kind) {
            same.push(kind);
        }
    }
    by_status.into_iter().map(|(status, kinds)| (status, response(status, &kinds))).collect()
}

fn response(status: u16, kinds: &[Kind]) -> ResponseBuilder {
    let lines: Vec<_> = kinds.iter().map(|kind| format!("`{}`: {}.", kind.code(), kind.detail())).collect();
    let codes = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(kinds.iter().map(|kind| kind.code())));
    let status_here = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status]));
    let narrowed = ObjectBuilder::new().property("code", codes).property("status", status_here).required("code");
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(narrowed);
    let example = |kind: &Kind| Ref::new(format!("#/components/examples/{}", kind.code()));
    let examples = kinds.iter().map(|kind| (kind.code(), RefOr::Ref(example(kind))));
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new().description(lines.join("\n\n")).content(MEDIA_TYPE, content);
    if status == 401 {
        response = response.header_ref(headers::CHALLENGE, headers::reference(headers::CHALLENGE));
    }
    if kinds.iter().any(|kind| says_when(*kind)) {
        for name in [headers::RETRY_AFTER, headers::RETRY_AFTER_MS] {
            response = response.header_ref(name, headers::reference(name));
        }
    }
    response
}

/// Whether it comes with a time to try again at.
fn says_when(kind: Kind) -> bool {
    kind.retry().is_some() || kind.status() == 429 || kind == Kind::TurnInProgress
}

fn example(kind: Kind) -> Example {
    let mut value = json!({
        "type": kind.uri(),
        "title": kind.title(), "status": kind.status().as_u16(), "detail": kind.detail(), "code": kind.code(),
    });
    match kind {
        Kind::TurnInProgress => {
            value["message_id"] = QUESTION.into();
            value["session_id"] = ANSWERED_SESSION.into();
        }
        Kind::QuotaExceeded => value["violated-policies"] = json!([CHAT]),
        Kind::ValidationFailed => {
            value["detail"] = "message is missing".into();
            value["errors"] = json!([{ "detail": "is missing", "pointer": "#/message" }]);
        }
        _ => {}
    }
    ExampleBuilder::new().summary(kind.title()).value(Some(value)).build()
}

/// All kinds, by their codes.
fn all() -> BTreeMap<&'static str, Kind> {
    let all = [&BODY[..], &CALLER, &SESSION, &TURN, &MESSAGE, &LOGIN, &READER, &ELSEWHERE].concat();
    all.into_iter().map(|kind| (kind.code(), kind)).collect()
}

/// An example of each, with its code.
pub(super) fn examples() -> impl Iterator<Item = (String, RefOr<Example>)> {
    all().into_iter().map(|(code, kind)| (code.to_owned(), example(kind).into()))
}

/// The schema of a problem, with the codes of all of them.
pub(super) fn schema() -> RefOr<Schema> {
    let text = |about: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(about));
    let id = |about: &str| super::schemas::uuid().description(Some(about));
    let status = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(400)).maximum(Some(599));
    let faults = ArrayBuilder::new()
        .items(Ref::from_schema_name("FieldFault"))
        .min_items(Some(1))
        .description(Some("What is wrong with which part of the request."));
    let policies = ArrayBuilder::new()
        .items(ObjectBuilder::new().schema_type(Type::String).enum_values(Some([CHAT, ADDRESS])))
        .min_items(Some(1))
        .description(Some("The policies of `RateLimit-Policy` that allow no more for now."));
    ObjectBuilder::new()
        .description(Some("What went wrong (RFC 9457)."))
        .property("type", text("The kind of the problem, as a URI."))
        .property("title", text("The kind in a few words, always the same."))
        .property("status", status.description(Some("The status of the answer.")))
        .property("detail", text("What went wrong this time, for people."))
        .property("code", text("The kind, for programs.").enum_values(Some(all().into_keys())))
        .property("errors", faults)
        .property("violated-policies", policies)
        .property("message_id", id("The question of the turn that this is about."))
        .property("session_id", id("The session of the turn that this is about."))
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .required("code")
        .into()
}

/// The schema of one of its faults.
pub(super) fn fault_schema() -> RefOr<Schema> {
    let text = |about: &str, example: &str| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(about)).examples([Value::from(example)])
    };
    ObjectBuilder::new()
        .description(Some("What is wrong with one part of a request, and where that stands: one of the three."))
        .property("detail", text("What is wrong with it.", "is missing"))
        .property("pointer", text("In the body: a JSON pointer behind `#`.", "#/message"))
        .property("parameter", text("In the path or the query: its name.", "limit"))
        .property("header", text("Among the headers: its name.", "X-Device-Id"))
        .required("detail")
        .into()
}

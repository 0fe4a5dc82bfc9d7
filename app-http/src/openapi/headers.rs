//! The headers of answers.

use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::{Header, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Type};

pub(super) const ALLOWED: &str = "RateLimit-Policy";
pub(super) const CHALLENGE: &str = "WWW-Authenticate";
pub(super) const LEFT: &str = "RateLimit";
pub(super) const LINK: &str = "Link";
pub(super) const REPLAYED: &str = "Idempotency-Replayed";
pub(super) const REQUEST_ID: &str = "X-Request-Id";
pub(super) const RETRY_AFTER: &str = "Retry-After";
pub(super) const RETRY_AFTER_MS: &str = "retry-after-ms";

/// A header among the components.
pub(super) fn reference(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

/// All headers, with their names.
pub(super) fn all() -> impl Iterator<Item = (String, RefOr<Header>)> {
    let text = || Object::with_type(Type::String);
    let whole = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
    let id = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(128)).build();
    let yes = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build();
    let mut id =
        header(id, "The request's id: the caller's, where it sent a good one.", json!("0a6ec5b4-7d9b-4c1e-9f5d"));
    // The builder knows no such member.
    id.extensions = Some(Extensions::from_iter([("required", true)]));
    let about_left =
        "What is left of each quota (draft-ietf-httpapi-ratelimit-headers): `r` messages for the next `t` seconds.";
    let about_link = "The next page, as `</chat/sessions?...>; rel=\"next\"`. Absent on the last one.";
    [
        (ALLOWED, header(text(), "Each quota: `q` messages in any `w` seconds.", json!("\"chat\";q=10;w=60"))),
        (CHALLENGE, header(text(), "How to say who calls.", json!("Bearer"))),
        (LEFT, header(text(), about_left, json!("\"chat\";r=9;t=60"))),
        (LINK, header(text(), about_link, json!("</chat/sessions?limit=50&cursor=00065f>; rel=\"next\""))),
        (REPLAYED, header(yes, "The message was answered before; this is that answer.", json!("true"))),
        (REQUEST_ID, id),
        (RETRY_AFTER, header(whole(), "When to try again, in seconds.", json!(1))),
        (RETRY_AFTER_MS, header(whole(), "The same in milliseconds.", json!(70))),
    ]
    .map(|(name, header)| (name.to_owned(), header.into()))
    .into_iter()
}

fn header(schema: Object, about: &str, example: Value) -> Header {
    HeaderBuilder::new().schema(Some(schema)).description(Some(about)).example(Some(example)).build()
}

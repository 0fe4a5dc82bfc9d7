//! The API's document, in OpenAPI 3.1: every route with all that it takes and gives. What comes in is bounded by the
//! constants and settings that check it; what goes out is derived from the structs of [`dto`](crate::dto).
//!
//! | module | holds |
//! |---|---|
//! | `routes`, `chat` | each route: its parameters, its answers, the problems that it can give |
//! | `schemas` | what the routes take, and what stands in several answers |
//! | `streams` | streams of events |
//! | `operation`, `parameters`, `headers`, `problems`, `examples` | what the routes are described with |
//! | `pages` | Swagger UI and ReDoc, which show the document |
//!
//! `app-http --openapi > app-http/openapi.json` after a change; a test tells when that was forgotten.

mod chat;
mod examples;
mod headers;
mod operation;
pub(crate) mod pages;
mod parameters;
mod problems;
mod routes;
pub(crate) mod schemas;
mod streams;

use crate::settings::Settings;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ComponentsBuilder, Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Server,
};

const ABOUT: &str = "A chat with an AI: sessions, messages, and one answer for each message.

**Who calls.** A bearer token that `POST /auth/login` gives, or, as a guest, nothing but a device id: in the header \
`X-Device-Id`, or in the body of a message. Where a server has guests turned off, its own document names tokens alone.

**Errors** are `application/problem+json` (RFC 9457), with a stable `code`. A path that is not here gives 404 \
`not_found`, a method that a path does not have 405 `method_not_allowed`. A 500 `internal_error` is a fault of the \
server, which no route gives by design.

**HEAD** is answered where nobody has to say who they are, as GET is, but without a body. Everything under `/chat` and `/auth` \
has no HEAD.

**Streams** are server-sent events (`text/event-stream`). The schema of a stream is that of each of its events.

**Requests have an id**, which each answer tells in `X-Request-Id`: the caller's, where it sent one of 1 to 128 \
visible ASCII characters. What is no HTTP, or whose head is too long or too late, gets a bare 400, 431 or 408 without one.

**Members that are not known** are ignored in requests, and may be added to answers.

**Lengths** are counted in bytes of UTF-8 where it is said so (`x-max-bytes`): a text within `maxLength` characters \
may still be too long.";

/// The document of a server with these settings.
#[must_use]
pub fn document(settings: &Settings) -> OpenApi {
    OpenApiBuilder::new()
        .info(info(settings))
        .servers(Some([Server::new("/")]))
        .tags(Some(routes::TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build())))
        .paths(routes::paths(settings))
        .components(Some(components(settings)))
        .build()
}

/// The document as JSON.
#[must_use]
pub fn json(settings: &Settings) -> String {
    let mut text = document(settings).to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn info(settings: &Settings) -> Info {
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    InfoBuilder::new()
        .title(&settings.server.name)
        .version(&settings.server.version)
        .description(Some(ABOUT))
        .license(Some(license))
        .build()
}

fn components(settings: &Settings) -> Components {
    let mut components = ComponentsBuilder::new().schemas_from_iter(schemas::all(settings.chat.max_message)).build();
    components.headers.extend(headers::all());
    components.examples.extend(problems::examples());
    components.security_schemes.insert(operation::BEARER.to_owned(), bearer().into());
    if settings.chat.guests {
        components.security_schemes.insert(operation::DEVICE.to_owned(), device().into());
    }
    components
}

fn bearer() -> SecurityScheme {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.bearer_format = Some("JWT".into());
    scheme.description = Some("The `access_token` that `POST /auth/login` gave.".into());
    SecurityScheme::Http(scheme)
}

fn device() -> SecurityScheme {
    let about = "A guest's device: 8 to 128 of `A-Z a-z 0-9 . _ : -`, made up by the client, hard to guess and kept. \
                 Not looked at where there is a token.";
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-Device-Id", about)))
}

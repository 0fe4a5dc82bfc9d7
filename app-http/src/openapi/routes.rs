//! Each route: what it takes, what it gives, and the problems that it can give. Those of the chat are in `chat`.

use super::operation::{Described, schema};
use super::parameters::path;
use super::schemas::text;
use super::{chat, examples, pages, problems};
use crate::body::FromMembers;
use crate::dto::LoginIn;
use crate::problem::Kind;
use crate::settings::Settings;
use serde_json::json;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{HttpMethod, PathItem, Paths, PathsBuilder, RefOr};

const LOGIN: &str = "login";
const PROGRAM: &str = "program";
const DOCUMENT: &str = "document";

/// What the operations are sorted by.
pub(super) const TAGS: [(&str, &str); 4] = [
    (LOGIN, "Getting a token."),
    (chat::TAG, "Messages, sessions, turns."),
    (PROGRAM, "What the program is, and whether it is well."),
    (DOCUMENT, "This document, and pages that show it. They need no network but this server."),
];

/// All routes.
pub(super) fn paths(settings: &Settings) -> Paths {
    let (max_body, guests) = (settings.server.max_body, settings.chat.guests);
    let one = |method, operation: Described| PathItem::new(method, operation.build());
    let mut session = one(HttpMethod::Get, chat::session(guests));
    session.merge_operations(one(HttpMethod::Delete, chat::delete_session(guests)));
    let of_session = |what: &str| format!("/chat/session/{{session_id}}/{what}");
    let of_turn = |what: &str| of_session(&format!("turns/{{message_id}}/{what}"));
    PathsBuilder::new()
        .path("/auth/login", one(HttpMethod::Post, login(max_body)))
        .path("/chat/message", one(HttpMethod::Post, chat::message(max_body, guests)))
        .path("/chat/sessions", one(HttpMethod::Get, chat::sessions(guests)))
        .path("/chat/session/{session_id}", session)
        .path(of_session("messages"), one(HttpMethod::Get, chat::messages(guests)))
        .path(of_session("events"), one(HttpMethod::Get, chat::newer(guests)))
        .path(of_session("stream"), one(HttpMethod::Get, chat::live(guests)))
        .path(of_turn("stream"), one(HttpMethod::Get, chat::turn(guests)))
        .path(of_turn("stop"), one(HttpMethod::Post, chat::stop(guests)))
        .path("/", one(HttpMethod::Get, root()))
        .path("/health", one(HttpMethod::Get, health()))
        .path("/livez", one(HttpMethod::Get, livez()))
        .path("/readyz", one(HttpMethod::Get, readyz()))
        .path("/metrics", one(HttpMethod::Get, metrics()))
        .path("/openapi.json", one(HttpMethod::Get, openapi()))
        .path("/docs", one(HttpMethod::Get, page("swaggerUi", "Swagger UI")))
        .path("/redoc", one(HttpMethod::Get, page("redoc", "ReDoc")))
        .path("/docs/{file}", one(HttpMethod::Get, file()))
        .build()
}

fn login(max_body: usize) -> Described {
    let taken = [("A user", examples::login()), ("A guest becomes a user", examples::login_of_guest())];
    Described::new(LOGIN, "login", "Log in")
        .about("Gives a token. With a `device_id`, the guest's sessions become the user's, as many as one may have (`OWNER_MAX_SESSIONS`): what is left over stays the guest's until a later login.")
        .body("Login", max_body.min(LoginIn::MAX_BODY), &taken)
        .gives("A token.", schema("Token"), &[("A token", examples::token())])
        .problems(problems::LOGIN)
}

fn root() -> Described {
    let running = json!({ "app": "chatcore", "version": "0.1.0", "status": "running" });
    Described::new(PROGRAM, "getProgram", "What runs here").gives(
        "It runs.",
        schema("Program"),
        &[("Running", running)],
    )
}

fn health() -> Described {
    let well = json!({ "status": "healthy", "sqlite": "healthy", "ai": "healthy" });
    let ill = json!({ "status": "degraded", "redis": "healthy", "kafka": "unhealthy", "ai": "healthy" });
    Described::new(PROGRAM, "getHealth", "How its parts are")
        .about("For people: always 200. It names the parts that are set up: a store, the bus, the AI.")
        .gives("How each part is.", schema("Health"), &[("Healthy", well), ("Degraded", ill)])
}

fn livez() -> Described {
    Described::new(PROGRAM, "getLivez", "Whether the process answers").answers(
        (200, "It does."),
        plain(),
        &[("Alive", json!("alive\n"))],
    )
}

fn readyz() -> Described {
    let ready = json!("server: healthy\nsqlite: healthy\nai: healthy\n");
    let not = json!("server: stopping\nsqlite: healthy\nai: healthy\n");
    Described::new(PROGRAM, "getReadyz", "Whether it should be sent requests")
        .about("A line for the server, and one for each part. An AI that is away does not count.")
        .answers((200, "It should."), plain(), &[("Ready", ready)])
        .answers((503, "It should not: it stops, or its store is away."), plain(), &[("Not ready", not)])
}

fn metrics() -> Described {
    let line = "chatcore_http_requests_total{method=\"GET\",route=\"/health\",status=\"200\"} 1";
    let numbers = json!(format!("# TYPE chatcore_http_requests_total counter\n{line}\n"));
    Described::new(PROGRAM, "getMetrics", "Numbers for Prometheus")
        .about("Where another program of the same process gathers the numbers, there are none here: 404.")
        .answers((200, "The numbers."), plain(), &[("Numbers", numbers)])
        .problems([Kind::NotFound])
}

fn openapi() -> Described {
    Described::new(DOCUMENT, "getDocument", "This document").gives("The document.", schema("Document"), &[])
}

fn page(id: &str, name: &str) -> Described {
    Described::new(DOCUMENT, id, name).answers((200, "A page."), ("text/html", Some(text().into())), &[])
}

fn file() -> Described {
    Described::new(DOCUMENT, "getFile", "A file of these pages")
        .about("Scripts and text come compressed with gzip where the request accepts that.")
        .parameter(path("file", text().enum_values(Some(pages::FILES)), "Its name."))
        .answers((200, "The file."), ("*/*", None), &[])
        .problems([Kind::NotFound])
}

fn plain() -> (&'static str, Option<RefOr<Schema>>) {
    ("text/plain", Some(text().into()))
}

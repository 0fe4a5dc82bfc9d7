//! The API's document: it is the one in the repository, and it tells what the server does.

mod schema;
mod texts;

use crate::access::routes;
use crate::app::{Answer, TestApp, send};
use crate::stream::Event;
use app_http::openapi;
use app_http::settings::Settings;
use flate2::read::GzDecoder;
use reqwest::Method;
use schema::{allows, faults, resolved, within};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read;
use std::process::Command;
use std::sync::LazyLock;
use texts::{SESSION, keys, marks, texts};

const KEPT: &str = include_str!("../../openapi.json");
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(KEPT).unwrap());

/// What this answer is to this request, the document tells. Every request of these tests is looked at.
#[track_caller]
pub(crate) fn documented(method: &Method, path: &str, answer: &Answer) {
    let told = format!("{method} {path}: {answer:?}");
    let path = if path == "/" { path } else { path.trim_end_matches('/') };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let exact = paths.get_key_value(path);
    let Some((_, item)) = exact.or_else(|| paths.iter().find(|(template, _)| fits(template, path))) else {
        return assert!(matches!(answer.status, 400 | 404), "{told}: no such path in the document");
    };
    let method = if method == Method::HEAD { "get".into() } else { method.as_str().to_lowercase() };
    let Some(operation) = item.get(&method) else {
        return assert!(method == "options" || answer.status == 405, "{told}: no such method in the document");
    };
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{told}: no such status in the document");
    for name in answer.headers.keys() {
        let known =
            response["headers"].as_object().unwrap().keys().any(|known| known.eq_ignore_ascii_case(name.as_str()));
        assert!(known || PLAIN.contains(&name.as_str()), "{told}: {name} is not in the document");
    }
    for (name, header) in response["headers"].as_object().unwrap() {
        let pointer = header["$ref"].as_str().unwrap_or("#").trim_start_matches('#');
        let header = if pointer.is_empty() { header } else { DOCUMENT.pointer(pointer).unwrap() };
        assert!(header["required"] != true || answer.header(name).is_some(), "{told}: {name} is not there");
    }
    if !answer.text.is_empty() {
        let media_type = answer.header("content-type").unwrap().split(';').next().unwrap();
        let content = response["content"].get(media_type).or(response["content"].get("*/*"));
        let schema = &content.unwrap_or_else(|| panic!("{told}: no such content in the document"))["schema"];
        // The document of the document tells no more than what it is.
        if media_type.ends_with("json") && path != "/openapi.json" {
            assert_eq!(faults(&DOCUMENT, schema, &answer.json()), [""; 0], "{told}");
        }
    }
}

/// An event of a stream is one that the document tells of.
#[track_caller]
pub(crate) fn documented_event(path: &str, (name, id, data): &Event) {
    let (_, item) = DOCUMENT["paths"].as_object().unwrap().iter().find(|(template, _)| fits(template, path)).unwrap();
    let operation = item.get("get").or(item.get("post")).unwrap();
    let schema = &operation["responses"]["200"]["content"]["text/event-stream"]["schema"];
    let event = json!({ "event": name, "id": id, "data": data.to_string() });
    assert_eq!(faults(&DOCUMENT, schema, &event), [""; 0], "{path}: {event}");
}

/// Headers that say nothing about a route.
const PLAIN: [&str; 16] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "referrer-policy",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "x-accel-buffering",
    "x-content-type-options",
];

/// Whether a path is one of a template.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(part, given)| part.starts_with('{') || *part == given)
}

#[tokio::test]
async fn the_document_in_the_repository_is_the_one_that_is_printed_and_served() {
    let defaults = openapi::json(&Settings::from_pairs([]).unwrap());
    assert!(defaults == KEPT, "stale: cargo run -p app-http -- --openapi > app-http/openapi.json");
    let printed = Command::new(env!("CARGO_BIN_EXE_app-http")).arg("--openapi").output().unwrap();
    assert!(printed.status.success() && printed.stdout == KEPT.as_bytes(), "{printed:?}");
    let served = send(TestApp::start().await.request(Method::GET, "/openapi.json")).await;
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    assert!(served.text == KEPT, "another one is served");
    assert!(DOCUMENT["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[tokio::test]
async fn every_route_of_the_router_is_in_the_document_and_no_others() {
    let nameless = |route: String| {
        route.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    };
    // HEAD goes without saying where there is a GET.
    let routes = routes().await.into_iter().filter(|route| !route.starts_with("HEAD "));
    let told = operations().map(|(path, method, _)| format!("{} {path}", method.to_uppercase()));
    assert_eq!(routes.map(nameless).collect::<BTreeSet<_>>(), told.map(nameless).collect());
}

#[test]
fn every_kind_of_problem_is_in_the_document() {
    let quoted = |source: &'static str| source.split('"').skip(1).step_by(2);
    let is_code =
        |text: &&str| text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let kinds = quoted(include_str!("../../src/problem/kind.rs")).filter(is_code).chain(["overloaded", "stopping"]);
    let codes = DOCUMENT.pointer("/components/schemas/Problem/properties/code/enum").unwrap();
    let codes: BTreeSet<_> = codes.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(codes, kinds.collect());
    // No route gives these.
    let mut given = BTreeSet::from(["method_not_allowed", "internal_error"]);
    for (.., operation) in operations() {
        walk(operation, "", &mut |place, value| {
            if place.ends_with("/properties/code") {
                given.extend(value["enum"].as_array().unwrap().iter().filter_map(Value::as_str));
            }
        });
    }
    assert_eq!(given, codes);
}

#[test]
fn no_schema_is_loose_but_a_products() {
    let mut seen = 0;
    walk(&DOCUMENT, "", &mut |place, value| {
        let is_schema = place.contains("/schemas/") || place.contains("/schema/") || place.ends_with("/schema");
        let in_product = place.starts_with("/components/schemas/Product");
        if is_schema && value["type"] == "object" && !in_product {
            seen += 1;
            let has_members = value["properties"].as_object().is_some_and(|members| !members.is_empty());
            let others = value.get("additionalProperties");
            assert!(has_members && others.is_none() || others == Some(&json!(false)), "{place}: {value}");
        }
        if is_schema && value["type"] == "array" {
            assert!(value["items"].as_object().is_some_and(|items| !items.is_empty()), "{place}: {value}");
        }
    });
    assert!(seen > 10, "{seen}");
    assert_eq!(DOCUMENT["components"]["schemas"]["Product"]["additionalProperties"], true);
}

#[test]
fn every_operation_tells_who_may_call_it_and_has_examples_that_fit() {
    for (path, method, operation) in operations() {
        let told = format!("{method} {path}");
        assert!(["operationId", "summary", "security"].iter().all(|name| operation.get(name).is_some()), "{told}");
        let callers = match path {
            "/chat/message" => json!([{ "bearer": [] }, { "device": [] }, {}]),
            _ if path.starts_with("/chat/") => json!([{ "bearer": [] }, { "device": [] }]),
            _ => json!([]),
        };
        assert_eq!(operation["security"], callers, "{told}");
        let mut contents = Vec::new();
        walk(operation, "", &mut |place, value| {
            if place.contains("/content/") && value.get("schema").is_some() {
                contents.push((place.to_owned(), value.clone()));
            }
        });
        for (place, content) in contents {
            let examples = content["examples"].as_object();
            let page = ["/openapi.json", "/docs", "/redoc", "/docs/{file}"].contains(&path) && place.contains("/200/");
            assert!(page || examples.is_some_and(|examples| !examples.is_empty()), "{told} {place}: no example");
            for (name, example) in examples.into_iter().flatten() {
                let value = &resolved(&DOCUMENT, example)["value"];
                assert_eq!(faults(&DOCUMENT, &content["schema"], value), [""; 0], "{told} {place}: {name}");
            }
        }
    }
}

/// A text or a number that a request may carry, and where the document tells its limits.
#[tokio::test]
async fn the_limits_in_the_document_are_those_that_are_enforced() {
    let settings =
        [("MESSAGE_MAX_BYTES", "1000"), ("BODY_MAX_BYTES", "4KiB"), ("LOGIN_QUOTA", "off"), ("GUEST_QUOTA", "off")];
    let app = TestApp::with(&settings).await;
    let document = send(app.request(Method::GET, "/openapi.json")).await.json();
    let message = &document["components"]["schemas"]["NewMessage"]["properties"]["message"];
    assert_eq!((&message["maxLength"], &message["x-max-bytes"]), (&json!(1000), &json!(1000)));
    let mut refused = 0;
    let mut agree = |told: String, schema: &Value, text: &str, answer: &Answer, place: &str| {
        let allowed = allows(schema, text);
        refused += usize::from(!allowed);
        assert_eq!(!points_to(answer, place), allowed, "{told}: {text:?}, {schema}: {answer:?}");
    };
    for (name, path, whole) in [
        ("Login", "/auth/login", json!({ "username": "u", "password": "p" })),
        ("NewMessage", "/chat/message", json!({ "message": "hi" })),
    ] {
        for (member, schema) in document["components"]["schemas"][name]["properties"].as_object().unwrap() {
            for text in texts() {
                let mut body = whole.clone();
                body[member] = text.as_str().into();
                let answer = send(app.authed(Method::POST, path).json(&body)).await;
                agree(format!("{name}.{member}"), schema, &text, &answer, &format!("#/{member}"));
            }
        }
    }
    let parameter = |path: &str, method: &str, name: &str| {
        let all = document["paths"][path][method]["parameters"].as_array().unwrap();
        all.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"].clone()
    };
    let key = parameter("/chat/message", "post", "Idempotency-Key");
    let device = &document["components"]["schemas"]["NewMessage"]["properties"]["device_id"];
    let header = |text: &str| text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) && text.trim() == text;
    for text in texts().iter().chain(&keys()).filter(|text| header(text)) {
        let said = app.authed(Method::POST, "/chat/message").header("Idempotency-Key", text);
        agree("the key".into(), &key, text, &send(said.json(&json!({ "message": "hi" }))).await, "Idempotency-Key");
        let guest = app.request(Method::GET, "/chat/sessions").header("X-Device-Id", text);
        agree("the device".into(), device, text, &send(guest).await, "X-Device-Id");
    }
    let session = parameter("/chat/session/{session_id}", "get", "session_id");
    let cursor = parameter("/chat/sessions", "get", "cursor");
    for text in texts()
        .iter()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
    {
        agree("the session".into(), &session, text, &app.get(&format!("/chat/session/{text}")).await, "session_id");
        agree("the cursor".into(), &cursor, text, &app.get(&format!("/chat/sessions?cursor={text}")).await, "cursor");
    }
    let turn = format!("/chat/session/{SESSION}/turns/{SESSION}/stream");
    let of_turn = "/chat/session/{session_id}/turns/{message_id}/stream";
    for (path, template) in
        [(&turn, of_turn), (&format!("/chat/session/{SESSION}/stream"), "/chat/session/{session_id}/stream")]
    {
        for text in marks() {
            let by_query = app.get(&format!("{path}?last_event_id={}", text.replace('+', "%2B"))).await;
            agree(path.clone(), &parameter(template, "get", "last_event_id"), &text, &by_query, "last_event_id");
            let by_header = send(app.authed(Method::GET, path).header("Last-Event-ID", &text)).await;
            agree(path.clone(), &parameter(template, "get", "Last-Event-ID"), &text, &by_header, "Last-Event-ID");
        }
    }
    assert!(refused > 100, "{refused}");
    let messages = "/chat/session/{session_id}/messages";
    let events = "/chat/session/{session_id}/events";
    for (name, path) in [
        ("limit", messages),
        ("limit", "/chat/sessions"),
        ("before", messages),
        ("after", events),
        ("last_event_id", events),
    ] {
        let schema = parameter(path, "get", name);
        for number in [i64::MIN, -1, 0, 1, 50, 99, 100, 101, 1000, i64::MAX] {
            let path = path.replace("{session_id}", SESSION);
            let answer = app.get(&format!("{path}?{name}={number}")).await;
            assert_eq!(!points_to(&answer, name), within(&schema, number as f64), "{path} {name} {number}: {answer:?}");
        }
    }
    // Of a login nobody has to send more, whatever a message may need.
    for (app, longest) in [(&app, [4096, 4096]), (&TestApp::start().await, [16_384, 262_144])] {
        let document = send(app.request(Method::GET, "/openapi.json")).await.json();
        for (path, longest) in ["/auth/login", "/chat/message"].into_iter().zip(longest) {
            let about = document["paths"][path]["post"]["requestBody"]["description"].as_str().unwrap();
            assert!(about.starts_with(&format!("At most {longest} bytes.")), "{about}");
            let body = |length: usize| r#"{"message": "hi"}"#.to_owned() + &" ".repeat(length - 17);
            let post = |length| send(app.authed(Method::POST, path).body(body(length)));
            assert_ne!(post(longest).await.status, 413);
            post(longest + 1).await.is_problem(413, "body_too_large");
        }
    }
}

/// Whether it is a 422 for this part of the request.
fn points_to(answer: &Answer, place: &str) -> bool {
    let is_invalid = answer.status == 422 && answer.json()["code"] == "validation_failed";
    is_invalid
        && answer.json()["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|fault| ["pointer", "parameter", "header"].iter().any(|kind| fault[kind] == place))
}

#[tokio::test]
async fn a_server_without_guests_does_not_tell_of_devices_as_callers() {
    let app = TestApp::with(&[("GUESTS", "off"), ("APP_NAME", "Shop"), ("APP_VERSION", "7.1")]).await;
    let document = send(app.request(Method::GET, "/openapi.json")).await.json();
    for (path, method) in [("/chat/sessions", "get"), ("/chat/message", "post")] {
        assert_eq!(document["paths"][path][method]["security"], json!([{ "bearer": [] }]), "{path}");
    }
    let message = &document["paths"]["/chat/message"]["post"]["requestBody"];
    assert!(!message.to_string().contains("device_id"), "{message}");
    assert!(document["components"]["securitySchemes"].get("device").is_none());
    assert_eq!((&document["info"]["title"], &document["info"]["version"]), (&json!("Shop"), &json!("7.1")));
}

#[tokio::test]
async fn the_pages_need_nothing_but_this_server_and_no_script_in_them() {
    let (app, as_it_comes) = (TestApp::start().await, reqwest::Client::builder().no_gzip().build().unwrap());
    for path in ["/docs", "/redoc", "/docs/"] {
        let page = send(app.request(Method::GET, path)).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains(['/', '*', '.']), "{policy}");
        assert!(!policy.contains("script-src") && !policy.contains("eval"), "{policy}");
        assert!(!page.text.contains("//"), "{path} names another place: {}", page.text);
        assert_eq!(page.text.matches("<script").count(), page.text.matches("<script src=").count(), "{path}");
        let needed: Vec<_> = page.text.split(['"']).filter(|text| text.starts_with('/')).collect();
        assert!(needed.len() >= 3, "{needed:?}");
        for needed in needed {
            let get = async |accepted: &str| {
                let request = as_it_comes.get(format!("{}{needed}", app.url)).header("accept-encoding", accepted);
                let file = request.send().await.unwrap();
                assert_eq!(file.status(), 200, "{path}: {needed}");
                let head = |name: &str| file.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
                let (media_type, way) = (head("content-type").unwrap(), head("content-encoding"));
                (media_type, way, file.bytes().await.unwrap())
            };
            let (media_type, way, plain) = get("br").await;
            let wanted = [
                (".js", "text/javascript"),
                (".css", "text/css"),
                (".png", "image/png"),
                ("openapi.json", "application/json"),
            ];
            assert!(
                wanted.iter().any(|(end, kind)| needed.ends_with(end) && media_type == *kind),
                "{needed}: {media_type}"
            );
            assert_eq!(way, None, "{needed} is packed for who cannot unpack it");
            let (_, way, mut bytes) = get("br, gzip").await;
            assert!(way.is_some() || needed != "/docs/redoc.standalone.js", "{needed} takes its time");
            if way.is_some() {
                let mut unpacked = Vec::new();
                GzDecoder::new(&*bytes).read_to_end(&mut unpacked).unwrap();
                bytes = unpacked.into();
            }
            assert!(bytes == plain, "{needed}");
        }
    }
    let start = send(app.request(Method::GET, "/docs/swagger-ui-start.js")).await.text;
    assert!(start.contains("url: \"/openapi.json\"") && start.contains("validatorUrl: null"), "{start}");
    for absent in ["/docs/x", "/docs/index.html", "/docs/..%2fopenapi.json"] {
        send(app.request(Method::GET, absent)).await.is_problem(404, "not_found");
    }
}

fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn walk<'a>(value: &'a Value, place: &str, look: &mut impl FnMut(&str, &'a Value)) {
    look(place, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| walk(value, &format!("{place}/{}", name.replace('/', "~1")), look));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| walk(value, &format!("{place}/{index}"), look));
        }
        _ => {}
    }
}

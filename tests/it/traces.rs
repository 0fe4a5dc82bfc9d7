//! Traces of real processes, as a collector gets them.
#![expect(clippy::print_stderr, reason = "a test says why it is skipped")]

use crate::process::{Server, command};
use crate::stand_in::{serve, token};
use crate::worker_process::{Worker, eventually};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A part of all that no trace may hold.
const CANARY: &str = "canary";
const JWT: &str = "canary-of-more-than-thirty-two-bytes";
/// Trace, and the span in it, of a caller.
const CALLER: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_trace_from_its_caller_to_the_ai_and_its_events_name_it() {
    if !is_built() {
        return;
    }
    let (world, url) = World::start().await;
    let traced = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary"),
        // What is logged says nothing of what is traced.
        ("LOG_LEVEL", "off,app_http::application=info"),
        ("JWT_SECRET_KEY", JWT),
    ];
    let ai = format!("{url}/ai/{CANARY}?key={CANARY}");
    let mut server = Server::start(&[&traced[..], &[("AI_API_URL", &ai), ("AI_API_KEY", "canary-key")]].concat());
    let token = token(JWT, "user_123");
    let (trace, caller) = CALLER;
    let ask = async |server: &Server, parent: &str, request_id: &str| {
        let body = json!({"message": format!("{CANARY} xin chào")});
        let request = reqwest::Client::new().post(server.url("/chat/message")).bearer_auth(&token).json(&body);
        let request = request.header("traceparent", parent).header("tracestate", "vendor=7");
        let answer = request.header("x-request-id", request_id).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        world.ai.lock().unwrap().last().unwrap().clone()
    };
    let told = ask(&server, &format!("00-{trace}-{caller}-01"), "request-1").await;
    let unsampled = ask(&server, "00-11111111111111111111111111111111-2222222222222222-00", "request-2").await;
    let anew = ask(&server, "00-00000000000000000000000000000000-0000000000000000-01", "request-3").await;
    let untraced = async |method: Method, path: &str| {
        let request = reqwest::Client::new().request(method, server.url(path)).bearer_auth(&token);
        let request = request.header("traceparent", format!("00-{trace}-{caller}-00"));
        request.header("x-request-id", "request-4").send().await.unwrap().json::<Value>().await.unwrap()
    };
    let sessions = untraced(Method::GET, "/chat/sessions").await;
    let deleted = format!("/chat/session/{}", sessions[0]["session_id"].as_str().unwrap());
    untraced(Method::DELETE, &deleted).await;
    reqwest::get(server.url("/readyz")).await.unwrap();
    assert_eq!(server.end(), Some(0));

    // At its end the server has sent all that it had.
    let spans = world.spans();
    let find = |trace: &str, name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.trace() == trace && span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {}", shown(&spans));
        found[0]
    };
    let [request, turn, begin, call, finish] =
        ["POST /chat/message", "turn", "begin_turn", "POST", "finish_turn"].map(|name| find(trace, name));
    assert_eq!((request.parent(), request.kind), (caller.to_owned(), SERVER));
    assert_eq!((turn.parent(), turn.kind), (request.id(), INTERNAL));
    for child in [begin, call, finish] {
        assert_eq!((child.parent(), child.kind), (turn.id(), CLIENT), "{child:?}");
        assert!(turn.start <= child.start && child.start <= child.end && child.end <= turn.end, "{child:?} {turn:?}");
    }
    assert!(begin.end <= call.start && call.end <= finish.start && request.start <= turn.start);
    let text = |span: &Span, name: &str| span.attributes()[name].clone();
    assert_eq!(text(request, "http.request.method"), "POST");
    assert_eq!(text(request, "http.route"), "/chat/message");
    assert_eq!(
        (text(request, "http.response.status_code"), text(call, "http.response.status_code")),
        ("200".into(), "200".into())
    );
    assert_eq!((text(request, "request_id"), text(turn, "request_id")), ("request-1".into(), "request-1".into()));
    assert_eq!((text(turn, "outcome"), text(request, "service.name")), ("completed".into(), "app-http".into()));
    assert_eq!(text(call, "server.address"), "127.0.0.1");

    // The AI goes on from the call; a caller that wants no trace gets none, and one that makes no sense is as good as none.
    assert_eq!(told["traceparent"], format!("00-{trace}-{}-01", call.id()));
    assert_eq!(told["tracestate"], "vendor=7");
    let unsampled = unsampled["traceparent"].to_str().unwrap();
    assert!(unsampled.starts_with("00-11111111111111111111111111111111-") && unsampled.ends_with("-00"), "{unsampled}");
    assert!(spans.iter().all(|span| !span.trace().starts_with("1111")), "{}", shown(&spans));
    let anew = anew["traceparent"].to_str().unwrap().split('-').nth(1).unwrap();
    assert_eq!(find(anew, "POST /chat/message").parent(), "");
    let roots = spans.iter().filter(|span| span.parent().is_empty()).count();
    assert_eq!(roots, 1, "nothing else begins a trace, neither probes nor what runs beside: {}", shown(&spans));

    // Another sampler may ask the caller, or nobody.
    for (sampler, traced_too) in [("traceidratio", "00"), ("parentbased_traceidratio", "01")] {
        let sampled = [("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", "0"), ("AI_API_URL", &ai)];
        let other = Server::start(&[&traced[..], &sampled].concat());
        let told = ask(&other, &format!("00-{trace}-{caller}-01"), "request-5").await;
        let told = told["traceparent"].to_str().unwrap();
        assert!(told.starts_with(&format!("00-{trace}-")) && told.ends_with(traced_too), "{sampler}: {told}");
    }

    // The events are in traces of their own, which name the request.
    let hook = format!("{url}/hook");
    let hooked = [("WORKER_HANDLERS", "webhook"), ("WEBHOOK_URL", &hook), ("WEBHOOK_SECRET", "canary-webhook")];
    let _worker = Worker::start(server.folder(), &[&traced[..], &hooked].concat());
    let of_worker = || {
        let spans: Vec<Span> = world.spans().into_iter().filter(|span| span.name == "webhook").collect();
        (spans.len() == 7).then_some(spans)
    };
    let handled = eventually(of_worker, || shown(&world.spans())).await;
    let spans = world.spans();
    for span in handled {
        let event = spans.iter().find(|event| event.id() == span.parent()).unwrap();
        assert_eq!((event.name.as_str(), text(event, "outcome")), ("event", "Handled".into()));
        assert_eq!(text(event, "service.name"), "app-worker");
        let (by, kind) = (text(event, "request_id"), text(event, "event_type"));
        assert!(by.starts_with("request-") && (by == "request-4") == (kind == "session.deleted"), "{by}: {kind}");
        let passed = format!("00-{}-{}-01", span.trace(), span.id());
        assert!(world.hook.lock().unwrap().iter().any(|headers| headers["traceparent"] == passed), "{passed}");
    }
    world.holds_no_secret(&token);
}

/// Whoever is called: a collector, an AI, a webhook.
#[derive(Default)]
struct World {
    batches: Mutex<Vec<(HeaderMap, Bytes)>>,
    ai: Mutex<Vec<HeaderMap>>,
    hook: Mutex<Vec<HeaderMap>>,
}

impl World {
    async fn start() -> (Arc<Self>, String) {
        let world = Arc::<Self>::default();
        let router = Router::new()
            .route(
                "/v1/traces",
                post(async |State(world): State<Arc<Self>>, headers: HeaderMap, body: Bytes| {
                    world.batches.lock().unwrap().push((headers, body));
                }),
            )
            .route(
                "/ai/canary",
                post(async |State(world): State<Arc<Self>>, headers: HeaderMap| {
                    world.ai.lock().unwrap().push(headers);
                    Json(json!({"response": "canary answer", "products": [], "intent": "greeting"}))
                }),
            )
            .route(
                "/hook",
                post(async |State(world): State<Arc<Self>>, headers: HeaderMap| {
                    world.hook.lock().unwrap().push(headers);
                }),
            );
        let url = serve(router.with_state(world.clone())).await;
        (world, url)
    }

    fn spans(&self) -> Vec<Span> {
        let batches = self.batches.lock().unwrap();
        let requests = batches.iter().map(|(headers, body)| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            assert_eq!(headers["authorization"], "Bearer canary");
            Request::decode(body.clone()).unwrap()
        });
        requests.flat_map(|request| request.resource_spans).flat_map(ResourceSpans::spans).collect()
    }

    fn holds_no_secret(&self, token: &str) {
        for (_, body) in self.batches.lock().unwrap().iter() {
            let text = String::from_utf8_lossy(body);
            for secret in [CANARY, "xin chào", token, "eyJ"] {
                assert!(!text.contains(secret), "{secret} in a trace: {text}");
            }
        }
    }
}

/// Whether the programs make traces.
fn is_built() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command("app-http", folder.path());
    command.arg("--check-config").env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
    let told = String::from_utf8(command.output().unwrap().stderr).unwrap();
    let built = !told.contains("needs a build with the feature otlp");
    #[expect(clippy::disallowed_methods, reason = "a test without its feature must not pass unseen in CI")]
    let required = std::env::var_os("CHAT_TEST_REQUIRE").is_some();
    assert!(built || !required, "{told}");
    if !built {
        eprintln!("skipped: {told}");
    }
    built
}

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// `ExportTraceServiceRequest` of OTLP, as far as it is looked at.
#[derive(Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
}

impl ResourceSpans {
    /// Its spans, each with the attributes of the process.
    fn spans(self) -> Vec<Span> {
        let of_process = self.resource.map(|resource| resource.attributes).unwrap_or_default();
        let mut spans: Vec<Span> = self.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
        spans.iter_mut().for_each(|span| span.attributes.extend(of_process.iter().cloned()));
        spans
    }
}

impl Span {
    fn trace(&self) -> String {
        hex(&self.trace_id)
    }

    fn id(&self) -> String {
        hex(&self.span_id)
    }

    fn parent(&self) -> String {
        hex(&self.parent_span_id)
    }

    fn attributes(&self) -> BTreeMap<&str, String> {
        let text = |value: &AnyValue| value.text.clone().or_else(|| Some(value.number?.to_string()));
        self.attributes
            .iter()
            .map(|one| (one.key.as_str(), one.value.as_ref().and_then(text).unwrap_or_default()))
            .collect()
    }
}

/// A line each.
fn shown(spans: &[Span]) -> String {
    let line = |span: &Span| format!("\n{} {} in {} of {}", span.name, span.id(), span.parent(), span.trace());
    spans.iter().map(line).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

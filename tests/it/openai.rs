//! A server whose AI is a service of models: real processes, and a stub that says what such services have said.

use crate::client::Client;
use crate::nginx::Nginx;
use crate::process::{Server, free_port};
use crate::redis::servers::certificate;
use crate::stand_in::serve;
use crate::writers::within;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// How long a busy machine may take.
const LONG: Duration = Duration::from_secs(60);

/// What is said next, and what was asked with which headers.
#[derive(Default)]
struct Stub {
    answers: Mutex<VecDeque<Response>>,
    asked: Mutex<Vec<(Value, HeaderMap)>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_models_answers_messages() {
    let (stub, url) = start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "sk-secret\n").unwrap();
    let server = Server::start(&[
        ("AI", "openai"),
        ("AI_API_URL", &url),
        ("AI_API_KEY_FILE", folder.path().join("key").to_str().unwrap()),
        ("AI_MODEL", "a-model"),
        ("AI_SYSTEM_PROMPT", "Be brief."),
        ("AI_FALLBACK_MESSAGE", "Sorry!"),
    ]);
    let client = Client::login(&server).await;
    let mut session = None;
    let expected = [
        ("openai.sse", "Chào bạn! Có 2 máy \"iPhone\".\n📱", "completed"),
        ("openai-error.sse", "Có 2", "failed"),
        ("status-401.json", "Sorry!", "fallback"),
        ("azure-filter.sse", "Trước hết, hãy", "failed"),
        ("mistral.sse", "Bonjour, chào bạn", "completed"),
        ("openai-length.json", "Có 2 má", "completed"),
    ];
    for (number, (transcript, text, status)) in expected.into_iter().enumerate() {
        stub.answers.lock().unwrap().push_back(said(transcript));
        let answer = client.ask(json!({"message": format!("question {number}"), "session_id": session})).await;
        assert_eq!((&answer["ai_response"], &answer["status"]), (&json!(text), &json!(status)), "{transcript}");
        session = answer["session_id"].as_str().map(str::to_owned);
        let (asked, headers) = stub.asked.lock().unwrap().last().unwrap().clone();
        assert_eq!((&asked["model"], &asked["stream"]), (&json!("a-model"), &json!(true)));
        assert_eq!(headers["authorization"], "Bearer sk-secret");
        assert_eq!(headers["idempotency-key"], format!("\"{}\"", answer["message_id"].as_str().unwrap()));
    }
    let (asked, _) = stub.asked.lock().unwrap().last().unwrap().clone();
    let line = |role: &str, content: &str| json!({"role": role, "content": content});
    let completed = [
        line("system", "Be brief."),
        line("user", "question 0"),
        line("assistant", expected[0].1),
        line("user", "question 4"),
        line("assistant", expected[4].1),
        line("user", "question 5"),
    ];
    assert_eq!(asked["messages"], json!(completed), "answers that were none are not told");
    tells(&server, "chatcore_ai_tokens_total{kind=\"prompt\"} 52").await;
    tells(&server, "chatcore_ai_tokens_total{kind=\"completion\"} 23").await;
}

/// A limit is what the settings say, also where it is beyond what is usual.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_as_long_as_the_settings_say() {
    let (stub, url) = start().await;
    let settings = [
        ("AI", "openai"),
        ("AI_API_URL", &url),
        ("AI_MODEL", "a-model"),
        ("ANSWER_MAX_BYTES", "4MiB"),
        ("STORE", "memory"),
    ];
    let server = Server::start(&settings);
    let client = Client::login(&server).await;
    let text = "\u{1}".repeat(3 << 20);
    let whole = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).to_string();
    let piece = json!({"choices": [{"delta": {"content": text}}]}).to_string();
    let pieces = format!("data: {piece}\n\ndata: [DONE]\n\n");
    for (kind, said) in [("application/json", whole), ("text/event-stream", pieces)] {
        stub.answers.lock().unwrap().push_back(([("content-type", kind)], said).into_response());
        let answer = client.ask(json!({"message": "a long one, please"})).await;
        let length = answer["ai_response"].as_str().unwrap().len();
        assert_eq!((&answer["status"], length), (&json!("completed"), 3 << 20), "{kind}");
    }
}

/// More turns than a service is usually asked at once, all of which are answered together.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_waits_for_no_other() {
    const TURNS: usize = 1200;
    let (begun, all) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (asked, last) = (begun.clone(), all.clone());
    let answer = move || {
        let (asked, last) = (asked.clone(), last.clone());
        async move {
            asked.add_permits(1);
            drop(last.acquire().await);
            said("openai.json")
        }
    };
    let url = serve(Router::new().route("/v1/chat/completions", post(answer))).await + "/v1";
    let settings = [
        ("AI", "openai"),
        ("AI_API_URL", &*url),
        ("AI_MODEL", "a-model"),
        ("MESSAGE_QUOTA", "off"),
        ("STORE", "memory"),
    ];
    let server = Server::start(&settings);
    let client = Client::login(&server).await;
    let ask = |number: usize| {
        let client = client.clone();
        tokio::spawn(async move { client.ask(json!({"message": number.to_string()})).await["status"].clone() })
    };
    let asked: Vec<_> = (0..TURNS).map(ask).collect();
    within(LONG, begun.acquire_many(TURNS as u32)).await.unwrap().forget();
    all.add_permits(TURNS);
    for answered in asked {
        assert_eq!(answered.await.unwrap(), "completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_piece_of_an_answer_reaches_the_client_before_the_next_is_said() {
    let (stub, url) = start().await;
    let server = Server::start(&[("AI", "openai"), ("AI_API_URL", &url), ("AI_MODEL", "a-model")]);
    let client = Client::login(&server).await;
    let (say, mut heard) = mpsc::unbounded_channel::<String>();
    let said = stream::poll_fn(move |context| heard.poll_recv(context)).map(Ok::<_, Infallible>);
    let answer = ([("content-type", "text/event-stream")], Body::from_stream(said)).into_response();
    stub.answers.lock().unwrap().push_back(answer);

    let (mut response, mut read) =
        (client.stream("/chat/message", Some(&json!({"message": "hello"})), &[]).await, String::new());
    let mut until = async |what: &str| {
        while !read.contains(what) {
            let piece = tokio::time::timeout(LONG, response.chunk()).await.unwrap_or_else(|_| panic!("{what}: {read}"));
            read.push_str(std::str::from_utf8(&piece.unwrap().expect(what)).unwrap());
        }
    };
    for text in ["one", "two", "three"] {
        say.send(format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")).unwrap();
        until(&format!("{{\"text\":\"{text}\"}}")).await;
    }
    say.send("data: [DONE]\n\n".into()).unwrap();
    until("event: done").await;
    until("\"ai_response\":\"onetwothree\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_behind_tls_is_believed_for_the_certificates_of_the_system() {
    let (stub, url) = start().await;
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let [its_own, anothers] = ["its-own", "another's"].map(|name| certificate(folder.path(), name));
    let _nginx = Nginx::with_tls(url.trim_end_matches("/v1"), port, &its_own).await;
    let url = format!("https://127.0.0.1:{port}/v1");
    for (believed, status) in [(its_own, "completed"), (anothers, "fallback")] {
        let server = Server::start(&[
            ("AI", "openai"),
            ("AI_API_URL", &url),
            ("AI_MODEL", "a-model"),
            ("SSL_CERT_FILE", believed.to_str().unwrap()),
        ]);
        let client = Client::login(&server).await;
        stub.answers.lock().unwrap().push_back(said("openai.sse"));
        let answer = client.ask(json!({"message": "hello"})).await;
        assert_eq!(answer["status"], status, "{answer}");
    }
    assert_eq!(stub.asked.lock().unwrap().len(), 1, "nothing is said to whom nobody believes");
}

/// Within a while: numbers are looked at now and then.
async fn tells(server: &Server, line: &str) {
    let mut told = String::new();
    for _ in 0..200 {
        told = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
        if told.lines().any(|told| told == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not {line}: {told}");
}

async fn start() -> (Arc<Stub>, String) {
    let stub = Arc::<Stub>::default();
    let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(stub.clone());
    (stub, serve(router).await + "/v1")
}

async fn answer(State(stub): State<Arc<Stub>>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    stub.asked.lock().unwrap().push((asked, headers));
    stub.answers.lock().unwrap().pop_front().unwrap()
}

/// What a service has said once.
fn said(transcript: &str) -> Response {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/ai-http/tests/transcripts");
    let said = std::fs::read_to_string(folder.join(transcript)).unwrap();
    let kind = if transcript.ends_with(".sse") { "text/event-stream" } else { "application/json" };
    let status = if transcript.starts_with("status-401") { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    (status, [("content-type", kind)], said).into_response()
}

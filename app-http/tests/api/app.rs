//! A server on a free port, and the verbs of a client.

use crate::openapi::documented;
use app_http::Application;
use app_http::settings::Settings;
use chatcore::id::UserId;
use chatcore::port::{Claims, Runtime, TokenIssuer};
use chatcore_auth::{JwtConfig, JwtIssuer};
use chatcore_ports::tokio::TokioRuntime;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) const SECRET: &str = "wR6yH3dJ5gAcq8fK2mZ0pX7vL4nB9sT1";

/// A token as a login gives it, without the time that a password's hash takes.
pub(crate) fn token_of(user: &str) -> String {
    let issuer = JwtIssuer::new(JwtConfig { secret: SECRET.into(), issuer: None, audience: None });
    let issued_at = TokioRuntime::current().now();
    let subject = UserId::parse(user).unwrap();
    issuer.issue(&Claims { subject, issued_at, expires_at: issued_at + Duration::from_secs(3600) }).unwrap()
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let all = [&[("PORT", "0"), ("JWT_SECRET_KEY", SECRET), ("MESSAGE_QUOTA", "off")], pairs].concat();
    Settings::from_pairs(all).unwrap()
}

/// A server in a thread of its own, as `main` would run it.
pub(crate) struct TestApp {
    pub(crate) url: String,
    pub(crate) client: Client,
    token: String,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    _data: Option<TempDir>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl TestApp {
    /// In memory.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// In memory, with these settings besides.
    pub(crate) async fn with(pairs: &[(&str, &str)]) -> Self {
        Self::run(settings(&[&[("STORE", "memory")], pairs].concat()), None).await
    }

    /// The same, with sessions that are over as soon as no setting may say.
    pub(crate) async fn brief(session_ttl: Duration, pairs: &[(&str, &str)]) -> Self {
        let mut settings = settings(&[&[("STORE", "memory")], pairs].concat());
        settings.chat.session_ttl = session_ttl;
        Self::run(settings, None).await
    }

    /// On a new SQLite file.
    pub(crate) async fn sqlite(pairs: &[(&str, &str)]) -> Self {
        let data = TempDir::new().unwrap();
        let path = data.path().to_str().unwrap().to_owned();
        Self::run(settings(&[&[("DATA_DIR", path.as_str())], pairs].concat()), Some(data)).await
    }

    async fn run(settings: Settings, data: Option<TempDir>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell_port, port) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let app = Application::build(settings).await.unwrap();
                tell_port.send(app.port()).unwrap();
                app.run(async { drop(stopped.await) }).await.unwrap();
            });
        });
        let url = format!("http://127.0.0.1:{}", port.await.unwrap());
        Self { url, client: Client::new(), token: token_of("user_123"), stop, thread, _data: data }
    }

    pub(crate) async fn login(&self, name: &str, password: &str) -> Answer {
        let body = json!({ "username": name, "password": password });
        send(self.request(Method::POST, "/auth/login").json(&body)).await
    }

    /// The same server for another user.
    pub(crate) fn be(&mut self, user: &str) {
        self.token = token_of(user);
    }

    /// The same server for whoever has this token.
    pub(crate) fn have(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// A request without a token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn authed(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.authed(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.authed(Method::DELETE, path)).await
    }

    /// `POST /chat/message`
    pub(crate) async fn message(&self, body: &Value) -> Answer {
        send(self.authed(Method::POST, "/chat/message").json(body)).await
    }

    /// A message in a new session, which is answered.
    pub(crate) async fn say(&self, text: &str) -> Value {
        let answer = self.message(&json!({ "message": text })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// `POST /chat/message` with these bytes.
    pub(crate) async fn raw(&self, body: impl Into<reqwest::Body>) -> Answer {
        send(self.authed(Method::POST, "/chat/message").header("content-type", "application/json").body(body)).await
    }

    /// Stops the server as SIGTERM would.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::task::spawn_blocking(|| self.thread.join().unwrap()).await.unwrap();
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// It is this problem, in full form.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        // The draft of the headers of quotas names these two.
        let name = match code {
            "quota_exceeded" => "https://iana.org/assignments/http-problem-types#quota-exceeded".into(),
            "overloaded" => "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity".into(),
            _ => format!("urn:chatcore:problem:{code}"),
        };
        assert_eq!(body["type"], name);
        assert_eq!(body.get("violated-policies").is_some(), code == "quota_exceeded", "{body}");
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        body
    }

    /// It is a 422 that points to these places.
    #[track_caller]
    pub(crate) fn points_to(&self, places: &[&str]) {
        let body = self.is_problem(422, "validation_failed");
        let place = |fault: &Value| fault.get("pointer").or(fault.get("parameter")).or(fault.get("header")).cloned();
        let found: Vec<_> = body["errors"].as_array().unwrap().iter().filter_map(place).collect();
        assert_eq!(found, places, "{body}");
    }
}

/// Sends it. Whatever comes back has to be in the API's document.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = Answer { status, headers, text: response.text().await.unwrap() };
    documented(&method, &path, &answer);
    answer
}

/// The same JSON with every id and every time replaced by its shape.
pub(crate) fn shape(value: &Value) -> Value {
    match value {
        Value::String(text) if uuid::Uuid::try_parse(text).is_ok() && text.len() == 36 => "<id>".into(),
        Value::String(text) if is_time(text) => "<time>".into(),
        Value::Array(values) => values.iter().map(shape).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        other => other.clone(),
    }
}

/// RFC 3339 in UTC with `Z` and six digits.
fn is_time(text: &str) -> bool {
    let pattern = "0000-00-00T00:00:00.000000Z";
    let fits = |(given, wanted): (char, char)| if wanted == '0' { given.is_ascii_digit() } else { given == wanted };
    text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(fits)
}

//! A client that does as it is told: it sends a message again until it has an answer.

use crate::process::Server;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The demo user, logged in, or a guest.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    /// The header that says who it is.
    who: (&'static str, String),
}

/// What is compressed on its way stays so, whatever features another crate of the build asks for. A connection that it made ahead, it
/// gives up before the server does after 5 s, with a 408 that would be taken for the answer to what is sent just then.
fn http() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_gzip().pool_idle_timeout(Duration::from_secs(3));
    builder.timeout(Duration::from_secs(40)).build().unwrap()
}

async fn login(server: &Server, credentials: Value) -> Client {
    let http = http();
    let answer = http.post(server.url("/auth/login")).json(&credentials).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    Client { http, base: server.url(""), who: ("authorization", format!("Bearer {token}")) }
}

impl Client {
    pub(crate) async fn login(server: &Server) -> Self {
        login(server, json!({"username": "testuser", "password": "testpass"})).await
    }

    /// The same, who takes over what this guest has.
    pub(crate) async fn login_of(server: &Server, device: &str) -> Self {
        login(server, json!({"username": "testuser", "password": "testpass", "device_id": device})).await
    }

    pub(crate) fn guest(server: &Server, device: &str) -> Self {
        Self { http: http(), base: server.url(""), who: ("x-device-id", device.to_owned()) }
    }

    /// The same user with the same token, at another server.
    pub(crate) fn at(&self, server: &Server) -> Self {
        Self { base: server.url(""), ..self.clone() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header(self.who.0, &self.who.1)
    }

    /// One try: the status, when to come again if that is told, and the body.
    pub(crate) async fn try_ask(&self, body: &Value) -> reqwest::Result<(StatusCode, Option<Duration>, Value)> {
        let request = self.request(Method::POST, "/chat/message").json(body);
        let answer = request.send().await?;
        let told = answer.headers().get("retry-after-ms").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((answer.status(), told.map(Duration::from_millis), answer.json().await?))
    }

    /// Until there is an answer: a refusal says when to come again, and a server that is away comes back.
    pub(crate) async fn ask(&self, body: Value) -> Value {
        for _ in 0..3000 {
            let wait = match self.try_ask(&body).await {
                Ok((StatusCode::OK, _, answer)) => return answer,
                Ok((StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE, wait, _)) => {
                    wait.expect("a refusal says when to come again")
                }
                Ok((status, _, answer)) => panic!("{status}: {answer}"),
                Err(_) => Duration::from_millis(50),
            };
            tokio::time::sleep(wait).await;
        }
        panic!("no answer to {body}")
    }

    /// The same user with the same token, by another way.
    pub(crate) fn at_url(&self, base: String) -> Self {
        Self { base, ..self.clone() }
    }

    /// A stream, of a message where there is one. On a busy machine the store may be late now and then: then it is asked for
    /// again, as any client would.
    pub(crate) async fn stream(&self, path: &str, message: Option<&Value>, headers: &[(&str, &str)]) -> Response {
        let request = match message {
            Some(message) => self.request(Method::POST, path).json(message),
            None => self.request(Method::GET, path),
        };
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.header("accept", "text/event-stream");
        for _ in 0..100 {
            let response = request.try_clone().unwrap().send().await.unwrap();
            match response.status() {
                StatusCode::OK => return response,
                StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(Duration::from_millis(100)).await,
                status => panic!("{path}: {status}, {:?}", response.text().await),
            }
        }
        panic!("no stream of {path}")
    }

    /// What comes in answer to a message, its head included, up to so many bytes; then the client is gone.
    pub(crate) async fn cut_after(&self, message: &Value, bytes: usize) -> Vec<u8> {
        let (address, body) = (self.base.trim_start_matches("http://"), message.to_string());
        let mut connection = TcpStream::connect(address).await.unwrap();
        let (name, who) = &self.who;
        let head = format!("POST /chat/message HTTP/1.1\r\nHost: {address}\r\n{name}: {who}\r\n");
        let head = head + "Accept: text/event-stream\r\nContent-Type: application/json\r\nConnection: close\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(connection.take(bytes as u64).read_to_end(&mut answer).await);
        answer
    }

    /// The same user with the same token, by another way and on connections of its own.
    pub(crate) fn anew(&self, base: String) -> Self {
        Self { http: http(), base, who: self.who.clone() }
    }

    /// The status of a page that anybody may see.
    pub(crate) async fn look(&self, url: &str) -> StatusCode {
        self.try_look(url).await.unwrap()
    }

    pub(crate) async fn try_look(&self, url: &str) -> reqwest::Result<StatusCode> {
        Ok(self.http.get(url).send().await?.status())
    }

    /// One try of what is not a message: the status, and whether it is told when to come again.
    pub(crate) async fn try_call(&self, method: Method, path: &str, body: &Value) -> (StatusCode, bool) {
        let request = self.request(method, path);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        (answer.status(), answer.headers().contains_key("retry-after"))
    }

    pub(crate) async fn delete(&self, session: &str) -> StatusCode {
        self.try_call(Method::DELETE, &format!("/chat/session/{session}"), &Value::Null).await.0
    }

    /// Asks that a turn end.
    pub(crate) async fn stop(&self, turn: &str) {
        let request = self.request(Method::POST, &format!("{turn}/stop"));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::ACCEPTED);
    }

    pub(crate) async fn sessions(&self) -> Vec<Value> {
        self.get("/chat/sessions").await
    }

    /// All sessions, page by page.
    pub(crate) async fn all_sessions(&self) -> Vec<Value> {
        let (mut all, mut next) = (Vec::new(), Some("/chat/sessions?limit=100".to_owned()));
        while let Some(path) = next {
            let answer = self.request(Method::GET, &path).send().await.unwrap();
            let link = answer.headers().get("link").and_then(|link| link.to_str().ok());
            next = link.and_then(|link| Some(link.split_once('<')?.1.split_once('>')?.0.to_owned()));
            all.extend(answer.json::<Vec<Value>>().await.unwrap());
        }
        all
    }

    /// The newest hundred messages.
    pub(crate) async fn messages(&self, session: &str) -> Vec<Value> {
        self.get(&format!("/chat/session/{session}/messages?limit=100")).await
    }

    /// The whole history, page by page.
    pub(crate) async fn history(&self, session: &str) -> Vec<Value> {
        let mut history = self.messages(session).await;
        while let Some(first) = history.first().and_then(|message| message["seq"].as_u64()).filter(|seq| *seq > 1) {
            let path = format!("/chat/session/{session}/messages?limit=100&before={first}");
            let mut page = self.get(&path).await;
            page.append(&mut history);
            history = page;
        }
        history
    }

    async fn get(&self, path: &str) -> Vec<Value> {
        // A store may be late on a busy machine, and is asked again.
        for _ in 0..100 {
            let answer = self.request(Method::GET, path).send().await.unwrap();
            match answer.status() {
                StatusCode::OK => return answer.json().await.unwrap(),
                StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(Duration::from_millis(100)).await,
                status => panic!("{path}: {status}"),
            }
        }
        panic!("no answer to {path}")
    }
}

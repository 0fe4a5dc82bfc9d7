//! The servers as clients see them.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::ai::{Ai, request_id};
use crate::calm::Calms;
use crate::field::Field;
use crate::ledger::Ledger;
use crate::who::Who;
use chatcore::port::Runtime;
use chatcore::stamp::rfc3339;
use chatcore_ports::tokio::TokioRuntime;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How many users there are.
pub(crate) const USERS: usize = 4;
/// How long any answer may take. A server may be frozen meanwhile, and may wait for a slow AI.
const HANGS_AFTER: Duration = Duration::from_secs(10);

/// What clients know.
#[derive(Debug)]
pub(crate) struct World {
    http: reqwest::Client,
    servers: Vec<String>,
    runtime: TokioRuntime,
    requests: AtomicU64,
    /// How often each server was frozen or went on.
    freezes: Vec<Arc<AtomicU64>>,
    pub(crate) ledger: Ledger,
    pub(crate) ai: Arc<Ai>,
    /// What the demo's AI says to all questions of the storm.
    pub(crate) demo: OnceLock<String>,
    pub(crate) calms: Calms,
    /// A session of each user that several clients ask in.
    pub(crate) shared: Vec<Mutex<Option<String>>>,
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) wait: Duration,
    /// Whether it says when to come again.
    pub(crate) is_told: bool,
    pub(crate) next: Option<String>,
    pub(crate) body: Value,
}

impl World {
    pub(crate) fn new(field: &Field, ai: Arc<Ai>, until: &[String]) -> Self {
        let runtime = TokioRuntime::current();
        ai.freezes.set(field.freezes()).unwrap();
        Self {
            http: reqwest::Client::builder().build().unwrap(),
            servers: field.urls(),
            runtime: runtime.clone(),
            requests: AtomicU64::new(0),
            freezes: field.freezes(),
            ledger: Ledger::new(until),
            ai,
            demo: OnceLock::new(),
            calms: Calms::default(),
            shared: (0..USERS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Waits until all servers answer, and learns what the demo's AI says.
    pub(crate) async fn get_ready(&self) {
        for server in 0..self.servers.len() {
            let body = json!({ "message": "q ready" });
            let said = self.ask(server, Who::User(0), Method::POST, "/chat/message", Some(&body), HANGS_AFTER).await;
            let said = said.expect("a server answers before the storm");
            assert_eq!(said.status, StatusCode::OK, "{}", said.body);
            if server + 1 == self.servers.len() {
                self.demo.set(said.body["ai_response"].as_str().unwrap().to_owned()).unwrap();
            }
        }
    }

    /// The time, as servers show it.
    pub(crate) fn now(&self) -> String {
        self.ago(Duration::ZERO)
    }

    /// The time so long ago.
    pub(crate) fn ago(&self, so_long: Duration) -> String {
        rfc3339(self.runtime.now() - so_long)
    }

    /// Asks any of the servers; `None` where it broke off, or was not waited for longer than `patience`.
    pub(crate) async fn any(
        &self,
        who: Who,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Option<Duration>,
    ) -> Option<Said> {
        let server = fastrand::usize(..self.servers.len());
        let what = format!("{method} {path}");
        let (start, before) = (Instant::now(), self.frozen(server));
        let said = self.ask(server, who, method, path, body, patience.unwrap_or(HANGS_AFTER)).await;
        match &said {
            None if patience.is_none() && start.elapsed() >= HANGS_AFTER => {
                self.ledger.violation(format!("hang: {what} had no answer within {HANGS_AFTER:?}"));
            }
            None => {}
            Some(said) => {
                let awake = before.is_multiple_of(2) && self.frozen(server) == before;
                self.judge(who, &what, said, awake.then(|| start.elapsed()));
            }
        }
        said
    }

    /// Reads a page until a server gives it; `None` where there is none.
    pub(crate) async fn read(&self, who: Who, path: &str) -> Option<Said> {
        loop {
            match self.any(who, Method::GET, path, None, None).await {
                Some(said) if said.status == StatusCode::OK => return Some(said),
                Some(said) if said.status == StatusCode::NOT_FOUND => return None,
                Some(said) => tokio::time::sleep(said.wait).await,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn frozen(&self, server: usize) -> u64 {
        self.freezes[server].load(Ordering::SeqCst)
    }

    /// Counts refusals; only some may ever be told. `after` is how long it took, unless the server was frozen meanwhile.
    fn judge(&self, who: Who, what: &str, said: &Said, after: Option<Duration>) {
        let code = said.body["code"].as_str().unwrap_or("no code");
        let status = said.status.as_u16();
        match (status, code) {
            (200, _) => return,
            (409 | 503, _) if code != "no code" && !said.is_told && (status == 503 || code == "turn_in_progress") => {
                self.ledger
                    .violation(format!("status: {what} was answered {status} without a Retry-After: {}", said.body));
            }
            (404, "session_not_found" | "turn_not_found") | (409, "turn_in_progress") | (503, _) => {}
            (403, "access_denied") if self.ledger.book().leaving.contains(&who) => {}
            _ => self.ledger.violation(format!("status: {what} was answered {status} {}", said.body)),
        }
        self.ledger.refused(format!("{status} {code}"), status, after);
    }

    /// Opens a stream at any server, behind this event where one is given. `Err` is a refusal, or nothing where it broke off or
    /// was not waited for.
    pub(crate) async fn open(
        &self,
        who: Who,
        method: Method,
        path: &str,
        body: Option<&Value>,
        last: Option<&str>,
        patience: Option<Duration>,
    ) -> Result<Response, Option<Said>> {
        let server = fastrand::usize(..self.servers.len());
        let what = format!("{method} {path} as a stream");
        let mut request = self.request(server, who, method, path, body).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        match timeout(patience.unwrap_or(HANGS_AFTER), request.send()).await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(answer),
            Ok(Ok(answer)) => {
                let said = said(answer).await;
                said.iter().for_each(|said| self.judge(who, &what, said, None));
                Err(said)
            }
            Ok(Err(_)) => Err(None),
            Err(_) => {
                if patience.is_none() {
                    self.ledger.violation(format!("hang: {what} had no answer within {HANGS_AFTER:?}"));
                }
                Err(None)
            }
        }
    }

    async fn ask(
        &self,
        server: usize,
        who: Who,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Option<Said> {
        said(self.request(server, who, method, path, body).timeout(patience).send().await.ok()?).await
    }

    fn request(&self, server: usize, who: Who, method: Method, path: &str, body: Option<&Value>) -> RequestBuilder {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let request = self.http.request(method, format!("{}{path}", self.servers[server]));
        let request =
            who.sign(request).header("x-request-id", request_id(&self.runtime, server, self.frozen(server), number));
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

/// What an answer says; `None` where it breaks off.
async fn said(answer: Response) -> Option<Said> {
    let (status, headers) = (answer.status(), answer.headers());
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let told = text("retry-after-ms").and_then(|wait| wait.parse().ok());
    let is_told = told.is_some() && text("retry-after").is_some();
    let next = text("link").and_then(|link| Some(link.split_once('<')?.1.split_once('>')?.0.to_owned()));
    // Nobody should wait out a second here: the sooner clients come again, the more there is to go wrong.
    let wait = Duration::from_millis(told.unwrap_or(50)).min(Duration::from_millis(100));
    Some(Said { status, wait, is_told, next, body: answer.json().await.ok()? })
}

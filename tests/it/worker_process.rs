//! A worker with settings of its own, and a receiver for its webhook.

use crate::process::{command, memory, signal};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::post;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A running `app-worker`. It is killed without mercy when it is dropped.
pub(crate) struct Worker {
    process: Child,
    listens: Receiver<u64>,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Worker {
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = command("app-worker", folder);
        command.envs(settings.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (lines, (told, listens)) = (process.stderr.take().unwrap(), channel());
        let log = Arc::new(Mutex::new(Vec::new()));
        let logged = log.clone();
        // Read to its end, so that the worker's log is never full.
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if line["message"] == "listening" {
                    let _ = told.send(line["port"].as_u64().unwrap_or_default());
                }
                logged.lock().unwrap().push(line);
            }
        });
        Self { process, listens, log }
    }

    /// How many lines of its log say this.
    #[allow(dead_code, reason = "tests of Kafka do not look")]
    pub(crate) fn told(&self, message: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line["message"] == message).count()
    }

    /// How long what its log says under this name is at most, in bytes.
    #[allow(dead_code, reason = "only tests of Kafka look")]
    pub(crate) fn longest(&self, name: &str) -> usize {
        self.log.lock().unwrap().iter().filter_map(|line| Some(line[name].as_str()?.len())).max().unwrap_or_default()
    }

    /// The most that it has had of the machine's memory, in kB.
    #[allow(dead_code, reason = "only tests of Kafka look")]
    pub(crate) fn most_memory(&self) -> u64 {
        memory(self.process.id(), "VmHWM")
    }

    /// SIGSTOP: it stands still in the middle of whatever it does.
    pub(crate) fn freeze(&self) {
        signal(&self.process, "-STOP");
    }

    /// SIGCONT: it goes on as if nothing had happened.
    pub(crate) fn thaw(&self) {
        signal(&self.process, "-CONT");
    }

    /// SIGTERM.
    pub(crate) fn stop(&self) {
        signal(&self.process, "-TERM");
    }

    /// Whether it has not ended.
    #[allow(dead_code, reason = "tests of Kafka end workers")]
    pub(crate) fn runs(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// The status that it ends with.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        for _ in 0..1200 {
            match self.process.try_wait().unwrap() {
                Some(status) => return status.code(),
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        panic!("it never ends")
    }

    /// Where its own server is.
    pub(crate) fn url(&self, path: &str) -> String {
        let port = self.listens.recv_timeout(Duration::from_secs(30)).unwrap();
        format!("http://127.0.0.1:{port}{path}")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A call that came to the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A server that takes calls, and answers each as it is told.
#[derive(Clone)]
pub(crate) struct Hook {
    calls: Arc<Mutex<Vec<Call>>>,
    answer: Arc<Answer>,
    released: Arc<Notify>,
    pub(crate) url: String,
}

type Answer = dyn Fn(&Call) -> Option<StatusCode> + Send + Sync;

impl Hook {
    /// `None` as an answer is none, until it is released.
    pub(crate) async fn start(answer: impl Fn(&Call) -> Option<StatusCode> + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    /// How long who is told that there are too many requests is to wait, in seconds.
    pub(crate) const RETRY_AFTER: u64 = 3;

    pub(crate) fn start_on(
        listener: TcpListener,
        answer: impl Fn(&Call) -> Option<StatusCode> + Send + Sync + 'static,
    ) -> Self {
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (calls, released) = Default::default();
        let hook = Self { calls, answer: Arc::new(answer), released, url };
        let router = Router::new().route("/hook", post(take)).with_state(hook.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        hook
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Calls that wait for an answer are told that all is well.
    #[allow(dead_code, reason = "tests of Kafka hold calls")]
    pub(crate) fn release(&self) {
        self.released.notify_waiters();
    }

    /// Those that came, once there are so many.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Call> {
        eventually(|| (self.calls().len() >= count).then_some(()), || format!("{:?}", self.calls())).await;
        self.calls()
    }
}

async fn take(State(hook): State<Hook>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let call = Call { headers, body };
    hook.calls.lock().unwrap().push(call.clone());
    let released = hook.released.notified();
    let status = match (hook.answer)(&call) {
        Some(status) => status,
        None => {
            released.await;
            StatusCode::OK
        }
    };
    let busy = status == StatusCode::TOO_MANY_REQUESTS;
    let retry_after = busy.then(|| [("retry-after", Hook::RETRY_AFTER.to_string())]);
    (status, retry_after.map(AppendHeaders), "a body that nobody is told of")
}

/// Looks until there is something, half a minute long.
pub(crate) async fn eventually<T>(look: impl Fn() -> Option<T>, last: impl Fn() -> String) -> T {
    for _ in 0..1200 {
        match look() {
            Some(found) => return found,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("it never came: {}", last())
}

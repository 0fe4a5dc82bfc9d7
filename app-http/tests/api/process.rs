//! The program as a process: its arguments, its files, its end.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::app::send;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

pub(crate) fn command(directory: &Path, pairs: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app-http"));
    command.env_clear().envs(pairs.iter().copied()).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn output(directory: &Path, pairs: &[(&str, &str)], arguments: &[&str]) -> (Output, String, String) {
    let output = command(directory, pairs).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

/// A running server, killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    /// What it says once it listens, read by a thread: from a pipe that is full, lines of the log would be lost.
    log: Option<JoinHandle<String>>,
    pub(crate) url: String,
    pub(crate) client: Client,
}

impl Running {
    pub(crate) fn start(directory: &Path, pairs: &[(&str, &str)]) -> Self {
        let mut child = command(directory, &[&[("PORT", "0")], pairs].concat()).spawn().unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let begin = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "the server ended before it listened");
            let line: Value =
                serde_json::from_str(&said[begin..]).unwrap_or_else(|_| panic!("no JSON in the log: {said}"));
            if line["message"] == "listening" {
                break line["port"].as_u64().unwrap();
            }
        };
        let log = std::thread::spawn(move || {
            log.read_to_string(&mut said).unwrap();
            said
        });
        Self { child, log: Some(log), url: format!("http://127.0.0.1:{port}"), client: Client::new() }
    }

    pub(crate) async fn token(&self) -> String {
        let body = json!({ "username": "testuser", "password": "testpass" });
        let login = send(self.client.post(format!("{}/auth/login", self.url)).json(&body)).await;
        login.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn message(&self, token: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("{}/chat/message", self.url)).bearer_auth(token).json(body)
    }

    /// Waits until a question is stored, so that its turn is open, and answers in which session.
    pub(crate) async fn asked(&self, token: &str) -> String {
        let sessions = self.client.get(format!("{}/chat/sessions", self.url)).bearer_auth(token);
        loop {
            if let Some(session) = send(sessions.try_clone().unwrap()).await.json().get(0) {
                return session["session_id"].as_str().unwrap().to_owned();
            }
        }
    }

    /// What it holds of the machine's memory, in kB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The status that it ended with, and all that it logged; whatever it said on stderr, too.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut log = self.log.take().unwrap().join().unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn print_config_shows_every_setting_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let (printed, stdout, _) = output(directory.path(), &[("JWT_SECRET_KEY", "canary")], &["--print-config"]);
    assert_eq!(printed.status.code(), Some(0));
    assert!(stdout.contains("JWT_SECRET_KEY=***\n") && stdout.contains("SESSION_TTL=24h\n"), "{stdout}");
    assert!(!stdout.contains("canary"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn help_and_version_name_what_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let (_, help, _) = output(directory.path(), &[], &["--help"]);
    for part in ["hash-password", "--check-config", "SHUTDOWN_GRACE", "[30s]"] {
        assert!(help.contains(part), "{part}\n{help}");
    }
    let (_, version, _) = output(directory.path(), &[], &["--version"]);
    assert_eq!(version.trim(), concat!("app-http ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn check_health_is_true_while_the_server_answers() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("STORE", "memory")]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let pairs = [("PORT", port.as_str()), ("HOST", "0.0.0.0"), ("STORE", "memory")];
    let (alive, stdout, stderr) = output(directory.path(), &pairs, &["--check-health"]);
    assert_eq!((alive.status.code(), stdout.as_str()), (Some(0), "alive\n"), "{stderr}");
    drop(server);
    let (gone, _, stderr) = output(directory.path(), &pairs, &["--check-health"]);
    assert_eq!(gone.status.code(), Some(1), "{stderr}");
}

#[tokio::test]
async fn a_hashed_password_lets_its_user_in() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = command(directory.path(), &[]).arg("hash-password").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("mật khẩu\n".as_bytes()).unwrap();
    let hash = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    std::fs::write(directory.path().join("users"), format!("anna:user_a:{hash}")).unwrap();
    let server = Running::start(directory.path(), &[("USERS_FILE", "users"), ("STORE", "memory")]);
    let body = json!({ "username": "anna", "password": "mật khẩu" });
    assert_eq!(send(server.client.post(format!("{}/auth/login", server.url)).json(&body)).await.status, 200);
    let demo = json!({ "username": "testuser", "password": "testpass" });
    let demo = send(server.client.post(format!("{}/auth/login", server.url)).json(&demo)).await;
    assert_eq!(demo.status, 401, "the demo user is gone once there are users");
}

/// Its Redis lets it in and says nothing, so that it takes as long to start as it may.
#[test]
fn sigterm_while_the_server_starts_ends_it_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let pairs = [("PORT", "0"), ("REDIS_URL", &url)];
    let mut child = command(directory.path(), &pairs).stdout(Stdio::null()).spawn().unwrap();
    let _connection = silent.accept().unwrap();
    let told = Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
}

#[tokio::test]
async fn sigterm_lets_the_open_turn_end_and_exits_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("AI_DEMO_DELAY", "2s"), ("SHUTDOWN_GRACE", "8s")]);
    let token = server.token().await;
    let open = tokio::spawn(send(server.message(&token, &json!({ "message": "hi" }))));
    server.asked(&token).await;
    let since = Instant::now();
    server.signal("TERM");
    let answer = open.await.unwrap();
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("completed")));
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(since.elapsed() < Duration::from_secs(8));
}

/// Each login takes a while, and only a few are worked at at once.
#[tokio::test]
async fn every_request_that_was_taken_is_answered_before_the_end_and_an_idle_connection_holds_nothing_up() {
    const LOGINS: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let pairs = [("STORE", "memory"), ("LOGIN_QUOTA", "off"), ("SHUTDOWN_GRACE", "60s")];
    let server = Running::start(directory.path(), &pairs);
    let address = server.url.trim_start_matches("http://").to_owned();
    let sent = async |request: &str| {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    };
    let mut idle = sent("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);
    let body = json!({ "username": "testuser", "password": "testpass" }).to_string();
    let login = format!("POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let open = join_all((0..LOGINS).map(|_| sent(&login))).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    server.signal("TERM");
    let answers = join_all(open.into_iter().map(async |mut connection| {
        let mut answer = String::new();
        let read = connection.read_to_string(&mut answer).await;
        read.map(|_| answer.chars().take(12).collect::<String>()).unwrap_or_else(|error| error.to_string())
    }));
    let answers = answers.await;
    let answered = Instant::now();
    assert_eq!(server.end().0, Some(0));
    let count = |begin: &str| answers.iter().filter(|answer| *answer == begin).count();
    let (done, refused) = (count("HTTP/1.1 200"), count("HTTP/1.1 503"));
    println!("{done} logged in, {refused} told to go elsewhere");
    assert!(done > 0 && done + refused == LOGINS, "{done} and {refused} were answered: {answers:?}");
    assert!(answered.elapsed() < Duration::from_secs(10), "then it ends: {:?}", answered.elapsed());
}

#[tokio::test]
async fn a_turn_that_outlasts_the_grace_is_left_to_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = [("AI_DEMO_DELAY", "20s"), ("SHUTDOWN_GRACE", "2s"), ("TURN_LEASE", "1s")];
    let server = Running::start(directory.path(), &pairs);
    let (token, body) = (server.token().await, json!({ "message": "hi", "client_message_id": "key-1" }));
    let open = tokio::spawn(send(server.message(&token, &body)));
    server.asked(&token).await;
    let since = Instant::now();
    server.signal("TERM");
    let refused = open.await.unwrap().is_problem(503, "stopping");
    assert_eq!(server.end().0, Some(0));
    assert!(since.elapsed() < Duration::from_secs(2), "all of it inside the grace: {:?}", since.elapsed());

    let next = Running::start(directory.path(), &[("TURN_LEASE", "1s")]);
    let answer = loop {
        let answer = send(next.message(&token, &body)).await;
        if answer.status != 409 {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["message_id"], refused["message_id"], "the same question goes on");
    assert_eq!(answer.json()["status"], "completed");
}

#[tokio::test]
async fn sessions_and_tokens_survive_a_restart_and_the_secret_is_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[]);
    let token = server.token().await;
    let answer = send(server.message(&token, &json!({ "message": "hi" }))).await.json();
    server.signal("KILL");
    server.end();
    let secret = std::fs::metadata(directory.path().join("data/jwt-secret")).unwrap();
    assert_eq!((secret.permissions().mode() & 0o777, secret.len()), (0o600, 32));
    let server = Running::start(directory.path(), &[]);
    let path = format!("{}/chat/session/{}", server.url, answer["session_id"].as_str().unwrap());
    let session = send(server.client.get(path).bearer_auth(&token)).await.json();
    assert_eq!(session["message_count"], 2);
}

#[tokio::test]
async fn the_quota_is_exact_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let start = || Running::start(directory.path(), &[("MESSAGE_QUOTA", "3/1h")]);
    let server = start();
    let token = server.token().await;
    let left = async |server: &Running| {
        let answer = send(server.message(&token, &json!({ "message": "hi" }))).await;
        let told = answer.header("ratelimit").unwrap().split(";t=").next().unwrap().to_owned();
        (answer.status, told)
    };
    assert_eq!(left(&server).await, (200, "\"chat\";r=2".to_owned()));
    assert_eq!(left(&server).await, (200, "\"chat\";r=1".to_owned()));
    server.signal("KILL");
    server.end();
    let server = start();
    assert_eq!(left(&server).await, (200, "\"chat\";r=0".to_owned()));
    assert_eq!(left(&server).await, (429, "\"chat\";r=0".to_owned()));
}

#[tokio::test]
async fn a_turn_whose_server_was_killed_is_closed_by_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[("AI_DEMO_DELAY", "20s"), ("TURN_LEASE", "500ms")]);
    let token = server.token().await;
    let open = tokio::spawn(server.message(&token, &json!({ "message": "hi" })).send());
    server.asked(&token).await;
    server.signal("KILL");
    server.end();
    assert!(open.await.unwrap().is_err(), "it was killed before it answered");
    let server = Running::start(directory.path(), &[("TURN_LEASE", "500ms")]);
    let since = Instant::now();
    let sessions = loop {
        let sessions =
            send(server.client.get(format!("{}/chat/sessions", server.url)).bearer_auth(&token)).await.json();
        if sessions[0]["message_count"] == 2 {
            break sessions;
        }
        // How soon is the simulation's to say; here the machine may be busy.
        assert!(since.elapsed() < Duration::from_secs(10), "it stays open: {sessions}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let path = format!("{}/chat/session/{}", server.url, sessions[0]["session_id"].as_str().unwrap());
    let session = send(server.client.get(path).bearer_auth(&token)).await.json();
    assert_eq!(session["messages"][1]["status"], "failed");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (ended, _, stderr) = output(directory.path(), &[("PORT", &port), ("STORE", "memory")], &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr.contains(&port) && stderr.contains("PORT"), "{stderr}");
}

//! What we make of transcripts of services, and what the `openai` packages of PyPI and npm make of the same bytes.

use crate::server::Server;
use crate::support::{ai, openai, prompt};
use chatcore::port::{AiChunk, AiError, AiGateway};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const PYPI: &str = "openai==3.57.0";
/// The newest of its major version; the next ones ask for a newer Node.js than Debian has.
const NPM: &str = "openai@6.49.0";

/// A transcript, and a server that says it.
struct Service {
    name: String,
    expected: Value,
    server: Server,
}

#[tokio::test(flavor = "multi_thread")]
async fn transcripts_of_services_are_read_as_the_packages_of_openai_read_them() {
    let Some(packages) = tokio::task::spawn_blocking(packages).await.unwrap() else { return };
    let services = services().await;
    let arguments: Vec<String> = services.iter().flat_map(Service::arguments).collect();
    for (package, mut command) in packages {
        command.args(&arguments).env("NO_PROXY", "127.0.0.1");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let (printed, logged) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{package}: {printed}{logged}");
        let told: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(told.len(), services.len(), "{package}: {printed}{logged}");
        for (service, told) in services.iter().zip(told) {
            assert_eq!(told, service.for_packages(), "{package} reads {}", service.name);
        }
    }
    for service in &services {
        assert_eq!(service.ask_ours().await, service.for_us(), "we read {}", service.name);
    }
    println!("{PYPI}, {NPM} and we agree on {} transcripts", services.len());
}

/// Each transcript; events also with their lines ended as HTTP's are.
async fn services() -> Vec<Service> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let mut services = Vec::new();
    for (name, expected) in expected.as_object().unwrap() {
        let transcript = fs::read_to_string(folder.join(name)).unwrap();
        let ends = if name.ends_with(".sse") { ["\n", "\r\n"].as_slice() } else { &["\n"] };
        for end in ends {
            let server = Server::saying(reply(expected, name, &transcript.replace('\n', end))).await;
            services.push(Service { name: format!("{name} {end:?}"), expected: expected.clone(), server });
        }
    }
    services
}

/// In chunks of a few bytes, which end anywhere.
fn reply(expected: &Value, name: &str, body: &str) -> Vec<u8> {
    let kind = if name.ends_with(".sse") { "text/event-stream" } else { "application/json" };
    let status = expected["status"].as_u64().unwrap_or(200);
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    [head.into_bytes(), body.as_bytes().chunks(7).flat_map(chunk).collect(), b"0\r\n\r\n".to_vec()].concat()
}

impl Service {
    fn arguments(&self) -> [String; 2] {
        let kind = if self.name.contains(".sse") { "pieces" } else { "whole" };
        [kind.to_owned(), self.server.url()]
    }

    /// What the packages should say.
    fn for_packages(&self) -> Value {
        let expected = self.expected.as_object().unwrap();
        let member = |name: &str| expected.get(name).cloned().unwrap_or_default();
        let error = expected.get("error").map(|error| json!([error["status"], error["code"], error["type"]]));
        let text = expected.get("text").cloned().unwrap_or("".into());
        json!({"text": text, "finish_reason": member("finish_reason"), "tokens": member("tokens"), "error": error})
    }

    /// What we should say, which is the same in our words: there is no word for a reason to end well.
    fn for_us(&self) -> Value {
        let packages = self.for_packages();
        json!({"text": packages["text"], "tokens": packages["tokens"], "outcome": self.expected["outcome"]})
    }

    async fn ask_ours(&self) -> Value {
        let ai = ai(openai(&self.server.url()));
        let (mut text, mut outcome) = (String::new(), "none");
        let mut chunks = ai.answer(prompt());
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(AiChunk::Text(more)) => text += &more,
                Ok(AiChunk::Done(_)) => outcome = "done",
                Err(AiError::Refused(_)) => outcome = "refused",
                Err(AiError::Failed(_) | AiError::Unasked(_)) => outcome = "failed",
            }
        }
        let tokens = ai.tokens();
        let tokens = (tokens != Default::default()).then_some([tokens.prompt, tokens.completion]);
        json!({"text": text, "tokens": tokens, "outcome": outcome})
    }
}

/// Both, each with the command that asks with it. They are fetched once. `None` where a program is missing for that.
#[expect(clippy::disallowed_methods, reason = "a test without its clients must not pass unseen in CI")]
#[expect(clippy::print_stderr, reason = "a test says why it is skipped")]
fn packages() -> Option<[(&'static str, Command); 2]> {
    for (program, asked) in [("python3", ["-m", "ensurepip", "--version"].as_slice()), ("npm", &["--version"])] {
        let there = Command::new(program).args(asked).output().is_ok_and(|said| said.status.success());
        assert!(there || std::env::var_os("CHAT_TEST_REQUIRE").is_none(), "{program} is not there, or has no venv");
        if !there {
            eprintln!("skipped: {program} is not there, or has no venv");
            return None;
        }
    }
    let python = fetched(PYPI, |folder| {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYPI];
        run(Command::new(folder.join("bin/python")).args(install));
    });
    let node = fetched(NPM, |folder| {
        run(Command::new("npm").arg("--prefix").arg(folder).args(["install", "--no-audit", "--no-fund", NPM]));
    });
    let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages").join(name);
    let mut with_pypi = Command::new(python.join("bin/python"));
    with_pypi.arg(script("ask.py"));
    let mut with_npm = Command::new("node");
    with_npm.arg(script("ask.mjs")).arg(node);
    Some([("PyPI's", with_pypi), ("npm's", with_npm)])
}

/// The folder of a package, which is filled where it is not yet, by one of those who want it.
fn fetched(package: &str, fetch: impl FnOnce(&Path)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    let complete = folder.join(".complete");
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !complete.exists() {
        fs::create_dir_all(&folder).unwrap();
        fetch(&folder);
        File::create(complete).unwrap();
    }
    folder
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

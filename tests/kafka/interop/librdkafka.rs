//! librdkafka, which its Python package brings along.

use crate::brokers::Broker;
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// From PyPI. It holds librdkafka itself.
const PACKAGE: &str = "confluent-kafka==2.16.1";
pub(super) const PYTHON: &str = "python3";

/// A Python that has the client.
pub(crate) struct Librdkafka {
    python: PathBuf,
}

/// It is fetched once. `None` where there is no Python to give it to.
pub(crate) async fn librdkafka() -> Option<&'static Librdkafka> {
    static THERE: OnceLock<Option<Librdkafka>> = OnceLock::new();
    let there = || THERE.get_or_init(|| has_python().then(Librdkafka::fetch)).as_ref();
    tokio::task::spawn_blocking(there).await.unwrap()
}

/// Whether there is a Python that can make an environment of its own.
#[expect(clippy::disallowed_methods, reason = "a test without its client must not pass unseen in CI")]
#[expect(clippy::print_stderr, reason = "a test says why it is skipped")]
pub(super) fn has_python() -> bool {
    let there = Command::new(PYTHON).args(["-m", "ensurepip", "--version"]).output();
    let there = there.is_ok_and(|said| said.status.success());
    assert!(there || std::env::var_os("CHAT_TEST_REQUIRE").is_none(), "there is no {PYTHON} with venv");
    if !there {
        eprintln!("skipped: there is no {PYTHON} with venv");
    }
    there
}

impl Librdkafka {
    fn fetch() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
        let (python, complete) = (folder.join("bin/python"), folder.join(".complete"));
        // Another run of the tests may want it at the same moment; the first one fetches.
        let lock = File::create(folder.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if !complete.exists() {
            let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
            run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&folder));
            run(Command::new(&python).args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                PACKAGE,
            ]));
            File::create(complete).unwrap();
        }
        Self { python }
    }

    /// The program of its tests, which says itself what it can do.
    pub(super) fn command(&self, broker: &Broker, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(script("librdkafka.py")).arg(format!("127.0.0.1:{}", broker.port)).args(arguments);
        command
    }

    /// All records that the topics have now.
    pub(crate) async fn read(&self, broker: &Broker, topics: &[&str]) -> Vec<Value> {
        lines(self.command(broker, &[&["read"], topics].concat()), String::new()).await
    }

    /// Writes records, with keys where a Java producer would put them. Answers them with their places.
    pub(crate) async fn produce(&self, broker: &Broker, records: &[Value]) -> Vec<Value> {
        let input = records.iter().map(|record| format!("{record}\n")).collect();
        lines(self.command(broker, &["produce"]), input).await
    }
}

/// A program of Python beside the tests.
pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka").join(name)
}

/// The lines of JSON that a program prints which reads this.
pub(super) async fn lines(mut command: Command, input: String) -> Vec<Value> {
    let run = move || {
        let mut run = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = run.stdin.take().unwrap();
        std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        run.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

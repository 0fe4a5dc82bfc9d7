//! All tests: built once, run one binary after the other; those that mostly wait for a Kafka run beside the rest.

use crate::run::{cargo, output, step};
use serde_json::Value;
use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;

/// What the tests are called that run beside the others: brokers are killed there, frozen and waited for, for minutes.
const WAITS: &str = "Kafka";

/// A binary full of tests.
struct Tests {
    name: String,
    package: PathBuf,
    binary: PathBuf,
}

/// Tests that run in the background, and what they print.
pub(crate) struct Beside {
    shell: Child,
    log: PathBuf,
}

/// Runs all but those that wait, and answers those, which go on meanwhile.
pub(crate) fn run() -> Result<Beside, String> {
    let built =
        cargo(&["test", "--workspace", "--all-features", "--no-run", "--message-format=json-render-diagnostics"]);
    let messages = output(&mut { built })?;
    let (waiting, others): (Vec<_>, Vec<_>) = messages.lines().filter_map(tests).partition(Tests::wait);
    let end_to_end = waiting.iter().filter(|tests| tests.name == "kafka").count();
    if end_to_end != 1 || waiting.len() == end_to_end || others.is_empty() {
        let all = waiting.len() + others.len();
        return Err(format!("cargo built {all} test binaries, {} of {WAITS}", waiting.len()));
    }
    let beside = Beside::start(&waiting)?;
    for tests in &others {
        step(&mut tests.command())?;
    }
    step(&mut cargo(&["test", "--workspace", "--all-features", "--doc"]))?;
    Ok(beside)
}

/// The binary that a line of cargo's tells of, if it is one of tests.
fn tests(line: &str) -> Option<Tests> {
    let message: Value = serde_json::from_str(line).ok()?;
    let binary = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
    let package = Path::new(message["manifest_path"].as_str()?).parent()?;
    let name = message["target"]["name"].as_str()?.to_owned();
    Some(Tests { name, package: package.to_owned(), binary: binary.into() })
}

impl Tests {
    /// Whether they mostly wait: those of the adapter, and the scenarios with a Kafka.
    fn wait(&self) -> bool {
        self.package.ends_with("adapters/kafka") || self.name == "kafka"
    }

    /// As cargo would run it.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.package).env("CHAT_TEST_REQUIRE", "1");
        // Many of those of the API wait most of the time. Scenarios of processes are at work, beside Kafka's own.
        let threads = if self.name == "api" { 2 * cores() } else { cores() };
        command.env("RUST_TEST_THREADS", threads.to_string());
        command
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

impl Beside {
    fn start(tests: &[Tests]) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("the tests of {WAITS} did not start: {error}");
        let log = std::env::temp_dir().join(format!("kafka-tests-{}.log", std::process::id()));
        let file = File::create(&log).map_err(failed)?;
        let words = |tests: &Tests| format!("(cd '{}' && '{}')", tests.package.display(), tests.binary.display());
        let words = tests.iter().map(words).collect::<Vec<_>>().join(" && ");
        println!("\n==> {WAITS}: {} binaries, beside all that follows", tests.len());
        let mut shell = Command::new("bash");
        shell.args(["-c", &words]).env("CHAT_TEST_REQUIRE", "1");
        let shell = shell.stdin(Stdio::null()).stdout(file.try_clone().map_err(failed)?).stderr(file).spawn();
        Ok(Self { shell: shell.map_err(failed)?, log })
    }

    /// Waits for their end, and shows what they printed.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let status = self.shell.wait().map_err(|error| error.to_string())?;
        println!("\n==> {WAITS}\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        if status.success() { Ok(()) } else { Err(format!("the tests of {WAITS} failed: {status}")) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Ended already, unless something else failed first.
        drop(self.shell.kill());
        drop(fs::remove_file(&self.log));
    }
}

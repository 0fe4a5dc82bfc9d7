//! All tests: built once, run one binary after the other; those that mostly wait for a Kafka run beside the rest.

use crate::beside::Beside;
use crate::run::{cargo, copy, output, step};
use serde_json::Value;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

/// A binary full of tests.
pub(crate) struct Tests {
    name: String,
    pub(crate) package: PathBuf,
    binary: PathBuf,
}

/// Runs all but those that wait, and answers those, which go on meanwhile.
pub(crate) fn run() -> Result<Beside, String> {
    let (waiting, others): (Vec<_>, Vec<_>) =
        built(cargo(&["test", "--workspace", "--all-features"]))?.into_iter().partition(Tests::wait);
    let end_to_end = waiting.iter().filter(|tests| tests.name == "kafka").count();
    if end_to_end != 1 || waiting.len() == end_to_end || others.is_empty() {
        let all = waiting.len() + others.len();
        return Err(format!("cargo built {all} test binaries, {} of Kafka", waiting.len()));
    }
    let run = |tests: &Tests| format!("(cd '{}' && '{}')", tests.package.display(), tests.binary.display());
    let beside = Beside::start("tests of Kafka", &waiting.iter().map(run).collect::<Vec<_>>())?;
    for tests in &others {
        step(&mut tests.command())?;
    }
    step(&mut cargo(&["test", "--workspace", "--all-features", "--doc"]))?;
    Ok(beside)
}

/// Builds the tests that this command would run.
pub(crate) fn built(mut test: Command) -> Result<Vec<Tests>, String> {
    let messages = output(test.args(["--no-run", "--message-format=json-render-diagnostics"]))?;
    Ok(messages.lines().filter_map(tests).collect())
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
    /// Whether they mostly wait, for brokers that are killed and frozen: those of Kafka's adapter, and the scenarios with one.
    fn wait(&self) -> bool {
        self.package.ends_with("adapters/kafka") || self.name == "kafka"
    }

    /// The same, copied to this folder: it runs there while others are built in its place.
    pub(crate) fn apart(self, folder: &Path) -> Result<Self, String> {
        let binary = folder.join("tests");
        copy(&self.binary, &binary)?;
        Ok(Self { binary, ..self })
    }

    /// As cargo would run it.
    pub(crate) fn command(&self) -> Command {
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

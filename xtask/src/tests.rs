//! All tests: built once, run one binary after the other; those that mostly wait run beside those that work.

use crate::apart;
use crate::beside::Beside;
use crate::run::{cargo, output, step, target};
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

/// Runs them. Those of Kafka take longer than all others together, and go on whatever is built meanwhile: they are answered.
pub(crate) fn run() -> Result<Beside, String> {
    let built = built(cargo(&["test", "--workspace", "--all-features"]))?;
    let (of_kafka, others): (Vec<_>, Vec<_>) = built.into_iter().partition(Tests::is_of_kafka);
    let (waiting, others): (Vec<_>, Vec<_>) = others.into_iter().partition(Tests::waits);
    let scenarios = of_kafka.iter().filter(|tests| tests.name == "kafka").count();
    let counts = [scenarios, of_kafka.len() - scenarios, waiting.len(), others.len()];
    if scenarios != 1 || counts.contains(&0) {
        return Err(format!("cargo built other tests than are known here: {counts:?}"));
    }
    let folder = target()?.join("kafka");
    apart::programs(&folder)?;
    let apart = |(number, tests): (usize, Tests)| tests.apart(&folder.join(number.to_string()));
    let of_kafka = of_kafka.into_iter().enumerate().map(apart).collect::<Result<Vec<_>, _>>()?;
    let line = |tests: &Tests| format!("(cd '{}' && exec '{}')", tests.package.display(), tests.binary.display());
    let start = |name, tests: &[Tests]| Beside::start(name, &tests.iter().map(line).collect::<Vec<_>>());
    let (of_kafka, waiting) = (start("tests of Kafka", &of_kafka)?, start("tests that wait", &waiting)?);
    for tests in &others {
        step(&mut tests.command())?;
    }
    step(&mut cargo(&["test", "--workspace", "--all-features", "--doc"]))?;
    waiting.end()?;
    Ok(of_kafka)
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
    /// Whether they need a broker: those of Kafka's adapter, and the scenarios with one.
    fn is_of_kafka(&self) -> bool {
        self.package.ends_with("adapters/kafka") || self.name == "kafka"
    }

    /// Whether they mostly wait, for leases to end and servers to come back: those of ports, in adapters and in the kit.
    fn waits(&self) -> bool {
        let is_adapter = self.package.parent().is_some_and(|folder| folder.ends_with("adapters"));
        is_adapter || self.package.ends_with("ports")
    }

    /// The same, to run while others are built in its place.
    pub(crate) fn apart(self, folder: &Path) -> Result<Self, String> {
        Ok(Self { binary: apart::tests(&self.binary, folder)?, ..self })
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

//! The kill storm: its own program, and the programs that it kills.

use crate::apart;
use crate::beside::Beside;
use crate::run::{build, built, install, step, target};
use std::process::Command;

/// How the suite runs it: on each bus.
const IN_THE_SUITE: [&str; 2] =
    ["--store redis --bus local --seconds 60 --seed 1", "--store redis --bus kafka --seconds 60 --seed 2"];

/// Where it is, from where it looks for what it kills.
pub(crate) const PROGRAM: &str = "examples/storm";

/// Builds it and runs it with these words: `--store redis --bus kafka --minutes 10 --seed 1`.
pub(crate) fn storm<W: AsRef<str>>(words: &[W]) -> Result<(), String> {
    install(&["redis-server"])?;
    if words.iter().any(|word| word.as_ref() == "kafka") {
        install(&["java", "mvn"])?;
    }
    build()?;
    step(Command::new(built()?.join(PROGRAM)).args(words.iter().map(AsRef::as_ref)))
}

/// Builds it, and runs it in the background, as the suite does.
pub(crate) fn beside() -> Result<Beside, String> {
    install(&["redis-server", "java", "mvn"])?;
    build()?;
    let program = apart::programs(&target()?.join("storms"))?.join(PROGRAM);
    Beside::start("kill storms", &IN_THE_SUITE.map(|words| format!("'{}' {words}", program.display())))
}

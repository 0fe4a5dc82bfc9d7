//! The kill storm: its own program, and the programs that it kills.

use crate::beside::Beside;
use crate::run::{build, built, copy, install, step, target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the suite runs it: on each bus.
const IN_THE_SUITE: [&str; 2] =
    ["--store redis --bus local --seconds 60 --seed 1", "--store redis --bus kafka --seconds 60 --seed 2"];

/// What it is, and what it kills, which it looks for where it is itself.
const PROGRAM: &str = "examples/storm";
const KILLED: [&str; 2] = ["app-http", "app-worker"];

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
    let program = apart(&target()?.join("storms"))?;
    Beside::start("kill storms", &IN_THE_SUITE.map(|words| format!("'{}' {words}", program.display())))
}

/// Copies it and what it kills to this folder, to run there while others are built in their place.
pub(crate) fn apart(folder: &Path) -> Result<PathBuf, String> {
    let built = built()?;
    for program in KILLED.iter().chain([&PROGRAM]) {
        copy(&built.join(program), &folder.join(program))?;
    }
    Ok(folder.join(PROGRAM))
}

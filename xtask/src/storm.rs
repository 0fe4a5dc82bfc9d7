//! The kill storm: its own program, and the programs that it kills.

use crate::run::{build, built, install, step};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the suite runs it: on each bus.
pub(crate) const IN_THE_SUITE: [&[&str]; 2] = [
    &["--store", "redis", "--bus", "local", "--seconds", "60", "--seed", "1"],
    &["--store", "redis", "--bus", "kafka", "--seconds", "60", "--seed", "2"],
];

/// Builds it and runs it with these words: `--store redis --bus kafka --minutes 10 --seed 1`.
pub(crate) fn storm<W: AsRef<str>>(words: &[W]) -> Result<(), String> {
    install(&["redis-server"])?;
    if words.iter().any(|word| word.as_ref() == "kafka") {
        install(&["java", "mvn"])?;
    }
    build()?;
    step(Command::new(program(&built()?)).args(words.iter().map(AsRef::as_ref)))
}

/// Where it is among the programs that were built with it.
pub(crate) fn program(programs: &Path) -> PathBuf {
    programs.join("examples/storm")
}

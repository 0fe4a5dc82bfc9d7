//! Everything that CI runs, in the order in which a fault is found soonest.

use crate::run::{build, built, cargo, install, step};
use crate::{api, compose, house, mutants, storm, tests, walk};
use std::process::Command;

/// What many streams are measured with, before anything else runs.
const STREAMS: [&str; 3] =
    ["--streams 1 --seconds 0.2", "--streams 150 --seconds 8", "--streams 100 --seconds 8 --followed"];

/// The test of the API that holds the times of others beside slow clients, and of these, to what they are where nothing else runs.
const SLOW: &str = "a_thousand_slow_clients";

/// Runs all of it; the first failure ends it.
pub(crate) fn test() -> Result<(), String> {
    step(&mut cargo(&["fmt", "--all", "--check"]))?;
    house::check()?;
    compose::check()?;
    step(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    step(cargo(&["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    install(&["redis-server", "curl", "openssl", "java", "mvn", "nginx"])?;
    build()?;
    // As they were built with the whole: `cargo run` of a package would choose other features, and build much again.
    let examples = built()?.join("examples");
    for example in ["embed", "stream", "axum", "handler"] {
        step(&mut Command::new(examples.join(example)))?;
    }
    for words in STREAMS {
        let words = words.split(' ').chain(["--store", "redis", "--check", "--busy"]);
        step(Command::new(examples.join("streams")).args(words))?;
    }
    step(
        cargo(&["test", "--workspace", "--all-features", "--test", "api", "--", SLOW, "--nocapture"]).env("ALONE", "1"),
    )?;
    let of_kafka = tests::run()?;
    // One test after the other: the seeds have a time to keep, and want all cores.
    let simulation = ["test", "--profile", "sim", "--package", "chat-sim", "--test", "sim", "--", "--nocapture"];
    step(cargo(&simulation).arg("--test-threads=1").env("SIM_SEEDS", "20000"))?;
    let storms = storm::beside()?;
    mutants::mutants("")?;
    storms.end()?;
    of_kafka.end()?;
    walk::walk()?;
    api::check()
}

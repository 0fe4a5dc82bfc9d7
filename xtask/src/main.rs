//! The project's own commands: `cargo xtask help` lists them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod apart;
mod api;
mod arrows;
mod beside;
mod compose;
mod house;
mod mutants;
mod packages;
mod run;
mod storm;
mod suite;
mod supply;
mod tests;
mod walk;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test      everything that CI runs: format, structure, containers, lints, docs, all tests, the simulation, the README's walk
  house     the structure alone: which package may depend on which, what may be named where, how long a file may be, what may
            come from others (deny.toml)
  compose   docker-compose.yml and the Dockerfile alone: their schema, two linters, the names of the settings
  api       the API against its document: requests of schemathesis with a token and as a guest, and a TypeScript client
  mutants   plants bugs in copies of the sources and sees that the suite, the simulation or the storm finds each;
            `mutants WORD`: only those with the word in their name
  storm     kills, freezes and restarts servers, workers, Redis and Kafka at random under load, then checks the invariants:
            storm --store redis|sqlite [--bus local|kafka] [--seconds N | --minutes N] [--seed S] [--until LAW]...
  speed     events a second over a real Kafka: the relay and the worker beside the bare clients, of which each has to keep half;
            and the chat's own while Kafka is in trouble, of which nine tenths have to be left
  walk      runs the README's curl walk against servers that it starts, and its script in a browser
  help      this text
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    run::open_many_files();
    let command = words.next().unwrap_or_else(|| "help".into());
    let words: Vec<String> = words.collect();
    let result = match command.as_str() {
        "test" => suite::test(),
        "house" => house::check(),
        "compose" => compose::check(),
        "api" => api::check(),
        "mutants" => mutants::mutants(words.first().map_or("", String::as_str)),
        "storm" => storm::storm(&words),
        "speed" => speed(),
        "walk" => walk::walk(),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no command `{other}`\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// On a machine that does nothing else, which is why `test` leaves it out. It fails where no broker can be had.
fn speed() -> Result<(), String> {
    run::install(&["java", "mvn", "redis-server"])?;
    let bench = ["bench", "--quiet", "--package", "chatcore-kafka", "--bench", "throughput"];
    run::step(run::cargo(&bench).env("CHAT_TEST_REQUIRE", "1"))?;
    run::build()?;
    let outages = ["test", "--workspace", "--all-features", "--test", "kafka", "outage::", "--", "--nocapture"];
    let alone = [("CHAT_TEST_REQUIRE", "1"), ("RUST_TEST_THREADS", "1"), ("SPEED_LEFT", "0.9")];
    run::step(run::cargo(&outages).envs(alone))
}

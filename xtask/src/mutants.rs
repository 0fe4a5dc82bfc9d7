//! Planted bugs in copies of the sources: each has to be found by a test that names the law, or by the simulation.

use crate::run::{cargo, root};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A bug, planted by replacing some text of a file.
struct Mutant {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    finder: Finder,
}

/// What has to find it.
#[derive(Clone, Copy)]
enum Finder {
    /// The seeds of the simulation.
    Simulation,
    /// The conformance suite of the SQLite adapter.
    SqliteSuite,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a silent AI loses the lease",
        file: "domain/src/chat/keep.rs",
        from: "self.core.policy.lease / 3",
        to: "self.core.policy.lease * 3",
        finder: Finder::Simulation,
    },
    Mutant {
        name: "a begin whose reply was lost is not repeated",
        file: "domain/src/chat/run.rs",
        from: "let deadline = self.runtime.elapsed() + self.policy.patience;",
        to: "let deadline = self.runtime.elapsed();",
        finder: Finder::Simulation,
    },
    Mutant {
        name: "all calls are the same attempt",
        file: "domain/src/chat/message.rs",
        from: "AttemptId::from(self.runtime.new_id())",
        to: "AttemptId::from(uuid::Uuid::nil())",
        finder: Finder::Simulation,
    },
    Mutant {
        name: "a restart is not told",
        file: "domain/src/chat/tail.rs",
        from: "if restarted {",
        to: "if restarted && text.is_empty() {",
        finder: Finder::Simulation,
    },
    Mutant {
        name: "a fallback is not shown to those who read along",
        file: "domain/src/chat/run.rs",
        from: "live.update(|state| state.text.clone_from(&answer.content));\n        let deadline",
        to: "let deadline",
        finder: Finder::Simulation,
    },
    Mutant {
        name: "an event that the bus left is settled",
        file: "domain/src/relay.rs",
        from: "return None;",
        to: "Settled::Published",
        finder: Finder::Simulation,
    },
    Mutant {
        name: "SQLite: a stale fence stores its answer",
        file: "adapters/sqlite/src/store/answer.rs",
        from: "if session.fence != turn.fence {",
        to: "if false {",
        finder: Finder::SqliteSuite,
    },
];

/// How a finding begins: an invariant of the simulation, or the test of a law.
const LAWS: &[&str] = &["I1:", "I2:", "I3:", "I4:", "I5:", "I9:", "I10:", "quota:", "... FAILED"];

/// Plants each in a copy of the project; all have to be found.
pub(crate) fn mutants() -> Result<(), String> {
    let copy = root().join("target/mutants/project");
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        copy_project(&copy)?;
        plant(&copy, mutant)?;
        match find(&copy, mutant)? {
            Some(finding) => println!("found: {}\n    {finding}", mutant.name),
            None => missed.push(mutant.name),
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("planted bugs that nothing found: {}", missed.join(", "))) }
}

fn plant(copy: &Path, mutant: &Mutant) -> Result<(), String> {
    let file = copy.join(mutant.file);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", mutant.file))?;
    if text.matches(mutant.from).count() == 0 {
        return Err(format!("{}: there is nothing to plant `{}` in", mutant.file, mutant.name));
    }
    fs::write(&file, text.replacen(mutant.from, mutant.to, 1)).map_err(|error| format!("{}: {error}", mutant.file))
}

/// How long a test may take to find a bug.
const LIMIT: Duration = Duration::from_secs(30);

/// The line in which a test says what is wrong; `None` when all tests pass, or take too long to find it.
#[expect(clippy::disallowed_methods, reason = "how long a test takes is real time")]
fn find(copy: &Path, mutant: &Mutant) -> Result<Option<String>, String> {
    let tests: &[&str] = match mutant.finder {
        Finder::Simulation => {
            &["test", "--profile", "mutants", "--package", "chat-tests", "--test", "sim", "invariants"]
        }
        Finder::SqliteSuite => {
            &["test", "--profile", "mutants", "--package", "chatcore-sqlite", "--test", "conformance"]
        }
    };
    // A build that fails finds nothing: the mutant itself is wrong.
    let build = in_copy(copy, tests).arg("--no-run").status().map_err(|error| error.to_string())?;
    if !build.success() {
        return Err(format!("`{}` does not compile", mutant.name));
    }
    let start = Instant::now();
    let output = in_copy(copy, tests).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let told = |law: &&str| said.lines().find(|line| line.contains(*law));
    let finding = LAWS.iter().find_map(told).unwrap_or("it failed without a law's name").trim().to_owned();
    Ok((!output.status.success() && start.elapsed() < LIMIT).then_some(finding))
}

fn in_copy(copy: &Path, tests: &[&str]) -> Command {
    let mut command = cargo(tests);
    command.current_dir(copy).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", root().join("target/mutants/target")).env("SIM_SEEDS", "4000");
    command.stderr(Stdio::piped());
    command
}

/// The project without what was built; files that are the same stay as they are, so that little is built again.
fn copy_project(to: &Path) -> Result<(), String> {
    copy_folder(&root(), to).map_err(|error| format!("{}: {error}", to.display()))
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (source, name) = (entry.as_ref().map(fs::DirEntry::path), entry.as_ref().map(fs::DirEntry::file_name));
        let (Ok(source), Ok(name)) = (source, name) else { continue };
        if name == "target" || name == ".git" || name == "data" {
            continue;
        }
        let target = to.join(&name);
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            let text = fs::read(&source)?;
            if fs::read(&target).ok().as_ref() != Some(&text) {
                fs::write(&target, text)?;
            }
        }
    }
    Ok(())
}

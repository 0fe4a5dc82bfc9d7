//! Planted bugs in copies of the sources: each has to be found by a test that names the law, by the simulation or by the kill
//! storm.

use crate::run::{cargo, install, root};
use crate::storm;
use std::fs;
use std::path::{Path, PathBuf};
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
    /// The kill storm over Redis.
    Storm,
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
    Mutant {
        name: "Redis: a stale fence stores its answer",
        file: "adapters/redis/src/lua/store/finish.lua",
        from: "if s[3] ~= ARGV[5] then return {'FENCED'} end",
        to: "",
        finder: Finder::Storm,
    },
    Mutant {
        name: "Redis: a key is not known again",
        file: "adapters/redis/src/lua/store/begin.lua",
        from: "not new and redis.call('HGET', of('i', sid), 'k' .. key)",
        to: "nil",
        finder: Finder::Storm,
    },
    Mutant {
        name: "Redis: an answer brings a deleted session back",
        file: "adapters/redis/src/lua/store/finish.lua",
        from: "if not s[1] or s[8] or tonumber(s[9]) <= now then return {'GONE'} end",
        to: "if not s[1] or tonumber(s[9]) <= now then return {'GONE'} end\n\
             if s[8] then\n\
               redis.call('HDEL', S, 'x')\n\
               redis.call('HSET', S, 'cr', now, 'la', now)\n\
               s = {s[1], 0, ARGV[5], turn, '', 0, ''}\n\
             end",
        finder: Finder::Storm,
    },
    Mutant {
        name: "Redis: an orphan is not closed",
        file: "adapters/redis/src/lua/store/close.lua",
        from: "if s[4] + ARGV[3] > now then return {'ALIVE'} end",
        to: "do return {'ALIVE'} end",
        finder: Finder::Storm,
    },
];

/// How a finding begins: an invariant of the simulation, or the test of a law.
const LAWS: &[&str] = &["I1:", "I2:", "I3:", "I4:", "I5:", "I9:", "I10:", "quota:", "status:", "hang:", "... FAILED"];

/// Plants each whose name holds this word in a copy of the project; all have to be found.
pub(crate) fn mutants(word: &str) -> Result<(), String> {
    install(&["redis-server"])?;
    let copy = root().join("target/mutants/project");
    let mut missed = Vec::new();
    for mutant in MUTANTS.iter().filter(|mutant| mutant.name.contains(word)) {
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
    let (mut build, mut test) = commands(copy, mutant.finder);
    // A build that fails finds nothing: the mutant itself is wrong.
    if !build.status().map_err(|error| error.to_string())?.success() {
        return Err(format!("`{}` does not compile", mutant.name));
    }
    let start = Instant::now();
    let output = test.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let told = |law: &&str| said.lines().find(|line| line.contains(*law));
    let finding = LAWS.iter().find_map(told).unwrap_or("it failed without a law's name").trim().to_owned();
    Ok((!output.status.success() && start.elapsed() < LIMIT).then_some(finding))
}

/// What builds the finder, and what runs it.
fn commands(copy: &Path, finder: Finder) -> (Command, Command) {
    let tests: &[&str] = match finder {
        Finder::Simulation => &["test", "--package", "chat-tests", "--test", "sim", "invariants"],
        Finder::SqliteSuite => &["test", "--package", "chatcore-sqlite", "--test", "conformance"],
        Finder::Storm => {
            let mut storm = Command::new(storm::program(&built().join("mutants")));
            storm.args(STORM).stdin(Stdio::null());
            return (in_copy(copy, BUILD_STORM), storm);
        }
    };
    let mut build = in_copy(copy, tests);
    build.arg("--no-run");
    (build, in_copy(copy, tests))
}

/// The storm and what it kills.
const BUILD_STORM: &[&str] = &[
    "build",
    "--package",
    "app-http",
    "--package",
    "app-worker",
    "--package",
    "chat-tests",
    "--bins",
    "--example",
    "storm",
];
/// It ends with the first violation.
const STORM: &[&str] = &["--store", "redis", "--seconds", "25", "--seed", "1", "--until-found"];

fn in_copy(copy: &Path, words: &[&str]) -> Command {
    let mut command = cargo(&words[..1]);
    command.args(["--profile", "mutants"]).args(&words[1..]);
    command.current_dir(copy).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", built()).env("SIM_SEEDS", "4000");
    command.stderr(Stdio::piped());
    command
}

/// Where copies are built.
fn built() -> PathBuf {
    root().join("target/mutants/target")
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

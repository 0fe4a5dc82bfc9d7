//! Planted bugs in copies of the sources: each has to be found by a test that names the law, by the simulation or by the kill
//! storm.

mod planted;

use crate::run::{self, cargo, install, root};
use crate::storm;
use planted::{Finder, MUTANTS, Mutant};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// How much of a finding is printed, in characters.
const SHOWN: usize = 300;

/// Plants each whose name holds this word in a copy of the project; all have to be found.
pub(crate) fn mutants(word: &str) -> Result<(), String> {
    install(&["redis-server", "java", "mvn"])?;
    let copy = root().join("target/mutants/project");
    let mut missed = Vec::new();
    for mutant in MUTANTS.iter().filter(|mutant| mutant.name.contains(word)) {
        copy_project(&copy)?;
        plant(&copy, mutant)?;
        match find(&copy, mutant)? {
            Some(finding) => {
                println!("found: {}\n    {}", mutant.name, finding.chars().take(SHOWN).collect::<String>())
            }
            None => missed.push(mutant.name),
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("planted bugs that nothing found: {}", missed.join(", "))) }
}

fn plant(copy: &Path, mutant: &Mutant) -> Result<(), String> {
    let file = copy.join(mutant.file);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", mutant.file))?;
    let places = text.matches(mutant.from).count();
    if places != 1 {
        return Err(format!("{}: there are {places} places to plant `{}` in", mutant.file, mutant.name));
    }
    fs::write(&file, text.replace(mutant.from, mutant.to)).map_err(|error| format!("{}: {error}", mutant.file))
}

/// How long a test may take to find a bug, in seconds.
const LIMIT: u64 = 30;
/// How long one may that starts a broker, and may have to fetch it.
const KAFKA_LIMIT: u64 = 120;
/// How long the storm may: its faults come by chance, and most often it needs a fifth of that.
const STORM_LIMIT: u64 = 100;

/// The line in which a test says what is wrong; `None` when all tests pass, or take too long to find it.
#[expect(clippy::disallowed_methods, reason = "how long a test takes is real time")]
fn find(copy: &Path, mutant: &Mutant) -> Result<Option<String>, String> {
    let (mut build, mut test) = commands(copy, mutant.finder);
    let built = build.arg("--quiet").stderr(Stdio::inherit()).status().map_err(|error| error.to_string())?;
    // Cargo takes what was built of the copy for the project's own, as long as no file of it is newer.
    touch(&root().join(mutant.file), SystemTime::now()).map_err(|error| format!("{}: {error}", mutant.file))?;
    // A build that fails finds nothing: the mutant itself is wrong.
    if !built.success() {
        return Err(format!("`{}` does not compile", mutant.name));
    }
    let start = Instant::now();
    let output = test.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let finding = said.lines().find(|line| tells(line, mutant.finder)).map(|line| line.trim().to_owned());
    let limit = match mutant.finder {
        Finder::Storm(_) => STORM_LIMIT,
        Finder::KafkaSuite(_) => KAFKA_LIMIT,
        Finder::Simulation(_)
        | Finder::SqliteSuite(_)
        | Finder::RedisSuite(..)
        | Finder::RedisUnit(_)
        | Finder::KafkaUnit(_) => LIMIT,
    };
    Ok(finding.filter(|_| !output.status.success() && start.elapsed() < Duration::from_secs(limit)))
}

/// Whether this line says that what the bug breaks is broken.
fn tells(line: &str, finder: Finder) -> bool {
    let names = |laws: &[&str]| laws.iter().any(|law| line.contains(law));
    match finder {
        Finder::Simulation(laws) => names(laws),
        Finder::Storm(laws) => line.contains("VIOLATION ") && names(laws),
        Finder::SqliteSuite(test)
        | Finder::RedisSuite(_, test)
        | Finder::RedisUnit(test)
        | Finder::KafkaSuite(test)
        | Finder::KafkaUnit(test) => line.contains(test) && line.ends_with("... FAILED"),
    }
}

/// What builds the finder, and what runs it.
fn commands(copy: &Path, finder: Finder) -> (Command, Command) {
    let tests: &[&str] = match finder {
        Finder::Simulation(_) => &["test", "--package", "chat-sim", "--test", "sim", "invariants"],
        Finder::SqliteSuite(law) => &["test", "--package", "chatcore-sqlite", "--test", "conformance", law],
        Finder::RedisSuite(suite, test) => &["test", "--package", "chatcore-redis", "--test", suite, test],
        Finder::RedisUnit(test) => &["test", "--package", "chatcore-redis", "--lib", test],
        Finder::KafkaSuite(law) => &["test", "--package", "chatcore-kafka", "--test", "conformance", law],
        Finder::KafkaUnit(test) => &["test", "--package", "chatcore-kafka", "--lib", test],
        Finder::Storm(laws) => {
            let mut storm = Command::new(storm::program(&built(finder).join("debug")));
            storm.args(STORM).stdin(Stdio::null());
            storm.args(laws.iter().flat_map(|law| ["--until", law]));
            return (in_copy(copy, finder, BUILD_STORM), storm);
        }
    };
    let mut build = in_copy(copy, finder, tests);
    build.arg("--no-run");
    (build, in_copy(copy, finder, tests))
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
const STORM: &[&str] = &["--store", "redis", "--seconds", "80", "--seed", "3"];

fn in_copy(copy: &Path, finder: Finder, words: &[&str]) -> Command {
    let mut command = cargo(&words[..1]);
    if matches!(finder, Finder::Simulation(_)) {
        command.args(["--profile", "mutants"]);
    }
    command.args(&words[1..]).current_dir(copy).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", built(finder)).env("SIM_SEEDS", "4000");
    command.stderr(Stdio::piped());
    command
}

/// Where copies are built. The simulation is slow without optimisation, and needs few crates; the others need many, which
/// are built already where the project itself is built.
fn built(finder: Finder) -> PathBuf {
    match (finder, run::built().ok().as_deref().and_then(Path::parent)) {
        (Finder::Simulation(_), _) | (_, None) => root().join("target/mutants/target"),
        (_, Some(target)) => target.to_owned(),
    }
}

fn touch(file: &Path, time: SystemTime) -> std::io::Result<()> {
    fs::File::options().append(true).open(file)?.set_modified(time)
}

/// The project without what was built, and nothing else; files that are the same stay as they are, so that little is built
/// again.
fn copy_project(to: &Path) -> Result<(), String> {
    copy_folder(&root(), to).map_err(|error| format!("{}: {error}", to.display()))
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)?.flatten().filter(|entry| !from.join(entry.file_name()).exists()) {
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
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
            let (text, changed) = (fs::read(&source)?, fs::metadata(&source)?.modified()?);
            if fs::read(&target).ok().as_ref() != Some(&text) {
                fs::write(&target, text)?;
            } else if fs::metadata(&target)?.modified()? < changed {
                // It may have been otherwise in between, and built so.
                touch(&target, changed)?;
            }
        }
    }
    Ok(())
}

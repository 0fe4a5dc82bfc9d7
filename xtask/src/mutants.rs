//! Planted bugs in copies of the sources: each has to be found by a test that names the law, by the simulation or by the kill
//! storm.

mod copy;
mod planted;

use crate::run::{cargo_behind, install, output, root, target};
use crate::{apart, storm, tests};
use copy::{Copy, touch};
use planted::{Finder, MUTANTS, Mutant};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// How much of a finding is printed, in characters.
const SHOWN: usize = 300;

/// Plants each whose name holds this word in a copy of the project; all have to be found.
pub(crate) fn mutants(word: &str) -> Result<(), String> {
    install(&["redis-server", "java", "mvn"])?;
    let chosen = MUTANTS.iter().filter(|mutant| mutant.name.contains(word));
    let (simulated, others): (Vec<_>, Vec<_>) =
        chosen.partition(|mutant| matches!(mutant.finder, Finder::Simulation(_)));
    // What they are built to has nothing in common.
    let (simulated, others) = thread::scope(|scope| {
        let simulated = scope.spawn(|| missed("simulated", &simulated));
        let others = missed("others", &others);
        (joined(simulated), others)
    });
    let missed = [simulated?, others?].concat();
    if missed.is_empty() { Ok(()) } else { Err(format!("planted bugs that nothing found: {}", missed.join(", "))) }
}

/// Plants one after the other in a copy of the project, and answers those that were not found. While one is looked for, the next
/// is planted and built.
fn missed(name: &str, mutants: &[&'static Mutant]) -> Result<Vec<&'static str>, String> {
    let (copy, built) = (Copy::new(name), target()?.join("mutants").join(name));
    thread::scope(|scope| {
        let (mut missed, mut sought) = (Vec::new(), None);
        for (number, mutant) in mutants.iter().enumerate() {
            copy.renew()?;
            copy.plant(mutant)?;
            // Apart from those of the one before, which are running.
            let finder = build(&copy.0, mutant, &built.with_extension((number % 2).to_string()))?;
            let before = sought.replace(scope.spawn(|| find(mutant, finder)));
            missed.extend(before.map(joined).transpose()?.flatten());
        }
        missed.extend(sought.map(joined).transpose()?.flatten());
        Ok(missed)
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a search panicked".into()))
}

/// How long a test may take to find a bug, in seconds.
const LIMIT: u64 = 30;
/// How long one may that starts a broker, and may have to fetch it.
const KAFKA_LIMIT: u64 = 120;
/// How long the storm may: its faults come by chance, and most often it needs a fifth of that.
const STORM_LIMIT: u64 = 100;

/// Runs what has to find this one, prints the line in which it says what is wrong, and answers the name of one that passes it,
/// or that it takes too long to find.
#[expect(clippy::disallowed_methods, reason = "how long a test takes is real time")]
fn find(mutant: &Mutant, mut finder: Command) -> Result<Option<&'static str>, String> {
    let start = Instant::now();
    let output = finder.output().map_err(|error| format!("{}: {error}", mutant.name))?;
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let limit = match mutant.finder {
        Finder::Storm(_) => STORM_LIMIT,
        Finder::Test("kafka", ..) => KAFKA_LIMIT,
        Finder::Simulation(_) | Finder::Test(..) | Finder::Unit(..) => LIMIT,
    };
    match said.lines().find(|line| mutant.finder.tells(line)) {
        Some(line) if !output.status.success() && took < Duration::from_secs(limit) => {
            let line = line.trim().chars().take(SHOWN).collect::<String>();
            println!("found in {:.1} s: {}\n    {line}", took.as_secs_f64(), mutant.name);
            Ok(None)
        }
        found => {
            println!("not found: {} ({}, {} s, {found:?})", mutant.name, output.status, took.as_secs());
            Ok(Some(mutant.name))
        }
    }
}

impl Finder {
    /// Whether this line says that what the bug breaks is broken.
    fn tells(self, line: &str) -> bool {
        let names = |laws: &[&str]| laws.iter().any(|law| line.contains(law));
        match self {
            Self::Simulation(laws) => names(laws),
            Self::Storm(laws) => line.contains("VIOLATION ") && names(laws),
            Self::Test(.., test) | Self::Unit(_, test) => line.contains(test) && line.ends_with("... FAILED"),
        }
    }
}

/// How the storm runs that has to find one.
const STORM: [&str; 6] = ["--store", "redis", "--seconds", "80", "--seed", "3"];

/// Builds what has to find this one, sets it apart, and answers the command that runs it.
fn build(copy: &Path, mutant: &Mutant, apart: &Path) -> Result<Command, String> {
    let target = target()?;
    let whole = |words: &[&str]| {
        let mut cargo = cargo_behind(words);
        cargo.args(["--workspace", "--all-features", "--quiet"]).env("CARGO_TARGET_DIR", &target).current_dir(copy);
        cargo
    };
    let finder = match mutant.finder {
        Finder::Simulation(_) => build_simulation(copy, apart),
        Finder::Test(adapter, suite, test) => {
            in_place(mutant, || build_test(whole(&["test", "--test", suite]), adapter, test, apart))
        }
        Finder::Unit(adapter, test) => in_place(mutant, || build_test(whole(&["test", "--lib"]), adapter, test, apart)),
        Finder::Storm(laws) => {
            in_place(mutant, || build_storm(whole(&["build", "--bins", "--example", "storm"]), laws, apart))
        }
    };
    // A build that fails finds nothing: the mutant itself is wrong.
    finder.map_err(|error| format!("`{}` is not built: {error}", mutant.name))
}

/// Builds where the project itself is built. Cargo takes what was built of the copy for the project's own, as long as no file of
/// it is newer: it is already while this is built, which may be broken off.
#[expect(clippy::disallowed_methods, reason = "cargo looks at the real time of files")]
fn in_place(mutant: &Mutant, build: impl FnOnce() -> Result<Command, String>) -> Result<Command, String> {
    let newer = |time| touch(&root().join(mutant.file), time).map_err(|error| format!("{}: {error}", mutant.file));
    newer(SystemTime::now() + Duration::from_secs(3600))?;
    let finder = build();
    newer(SystemTime::now())?;
    finder
}

/// It is slow without optimisation, and needs few crates. All others need many, which are built where the project itself is.
fn build_simulation(copy: &Path, apart: &Path) -> Result<Command, String> {
    let mut cargo =
        cargo_behind(&["test", "--profile", "mutants", "--package", "chat-sim", "--test", "sim", "--quiet"]);
    cargo.env("CARGO_TARGET_DIR", target()?.join("mutants/simulated.target")).current_dir(copy);
    let mut finder = build_test(cargo, "sim", "invariants", apart)?;
    finder.env("SIM_SEEDS", "4000");
    Ok(finder)
}

fn build_test(cargo: Command, package: &str, test: &str, apart: &Path) -> Result<Command, String> {
    let built = tests::built(cargo)?.into_iter().find(|tests| tests.package.ends_with(package));
    let mut finder = built.ok_or_else(|| format!("{package} has no such tests"))?.apart(apart)?.command();
    finder.arg(test);
    Ok(finder)
}

fn build_storm(mut cargo: Command, laws: &[&str], apart: &Path) -> Result<Command, String> {
    output(&mut cargo)?;
    let mut finder = Command::new(apart::programs(apart)?.join(storm::PROGRAM));
    finder.args(STORM).args(laws.iter().flat_map(|law| ["--until", law])).stdin(Stdio::null());
    Ok(finder)
}

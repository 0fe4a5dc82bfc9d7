//! Planted bugs in copies of the sources: each has to be found by a test that names the law, by the simulation or by the kill
//! storm.

mod planted;

use crate::run::{cargo, install, output, root, target};
use crate::{storm, tests};
use planted::{Finder, MUTANTS, Mutant};
use std::fs;
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

/// Plants one after the other in a copy of this name, and answers those that were not found. While one is looked for, the next
/// is planted and built.
fn missed(copy: &str, mutants: &[&'static Mutant]) -> Result<Vec<&'static str>, String> {
    let copy = target()?.join("mutants").join(copy);
    thread::scope(|scope| {
        let (mut missed, mut sought) = (Vec::new(), None);
        for (number, mutant) in mutants.iter().enumerate() {
            copy_project(&copy)?;
            plant(&copy, mutant)?;
            // Apart from those of the one before, which are running.
            let finder = build(&copy, mutant, &copy.with_extension((number % 2).to_string()))?;
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
#[expect(clippy::disallowed_methods, reason = "cargo looks at the real time of files")]
fn build(copy: &Path, mutant: &Mutant, apart: &Path) -> Result<Command, String> {
    let whole = |words: &[&str]| {
        let mut cargo = cargo(words);
        cargo.args(["--workspace", "--all-features", "--quiet"]).current_dir(copy);
        cargo
    };
    let finder = match mutant.finder {
        Finder::Simulation(_) => build_simulation(copy, apart),
        Finder::Test(adapter, suite, test) => build_test(whole(&["test", "--test", suite]), adapter, test, apart),
        Finder::Unit(adapter, test) => build_test(whole(&["test", "--lib"]), adapter, test, apart),
        Finder::Storm(laws) => build_storm(whole(&["build", "--bins", "--example", "storm"]), laws, apart),
    };
    if !matches!(mutant.finder, Finder::Simulation(_)) {
        // Cargo takes what was built of the copy for the project's own, as long as no file of it is newer.
        touch(&root().join(mutant.file), SystemTime::now()).map_err(|error| format!("{}: {error}", mutant.file))?;
    }
    // A build that fails finds nothing: the mutant itself is wrong.
    finder.map_err(|error| format!("`{}` is not built: {error}", mutant.name))
}

/// It is slow without optimisation, and needs few crates. All others need many, which are built where the project itself is.
fn build_simulation(copy: &Path, apart: &Path) -> Result<Command, String> {
    let mut cargo = cargo(&["test", "--profile", "mutants", "--package", "chat-sim", "--test", "sim", "--quiet"]);
    cargo.env("CARGO_TARGET_DIR", copy.with_extension("target")).current_dir(copy);
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
    let mut finder = Command::new(storm::apart(apart)?);
    finder.args(STORM).args(laws.iter().flat_map(|law| ["--until", law])).stdin(Stdio::null());
    Ok(finder)
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

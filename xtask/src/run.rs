//! Running cargo and reading what it says.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Some tests hold thousands of connections: the soft limit of open files, often 1,024, is raised for them as far as it may be.
pub(crate) fn open_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it cannot be, a test that needs them says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Where this program was built, and the others with it.
pub(crate) fn built() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    here.parent().map(Path::to_path_buf).ok_or_else(|| format!("{} is in no directory", here.display()))
}

/// Where cargo puts all that it builds.
pub(crate) fn target() -> Result<PathBuf, String> {
    let built = built()?;
    built.parent().map(Path::to_path_buf).ok_or_else(|| format!("{} is no target directory", built.display()))
}

/// A command of cargo in the root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    in_root(Command::new(env!("CARGO")), arguments)
}

/// The same, while others have something to do that is measured: it takes what they leave of the cores.
pub(crate) fn cargo_behind(arguments: &[&str]) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "10", env!("CARGO")]);
    in_root(nice, arguments)
}

#[expect(clippy::disallowed_methods, reason = "these are no settings")]
fn in_root(mut command: Command, arguments: &[&str]) -> Command {
    command.current_dir(root()).args(arguments);
    // What cargo tells this program of its own package: build scripts that look at it would run again, other than from a shell.
    for (name, _) in std::env::vars_os().filter(|(name, _)| tells_of_a_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

fn tells_of_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| variable.starts_with(start))
}

/// When the first step began.
#[expect(clippy::disallowed_methods, reason = "it has no runtime")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Runs a step, and names it with the minutes that the steps before it took, and when it fails.
pub(crate) fn step(command: &mut Command) -> Result<(), String> {
    let shown = shown(command);
    let since = START.elapsed().as_secs();
    println!("\n==> {}:{:02} {shown}", since / 60, since % 60);
    let status = command.stdin(Stdio::null()).status().map_err(|error| format!("`{shown}` did not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed: {status}")) }
}

/// Builds the programs and examples, always in the same way: with other targets cargo would choose other features, and build
/// much again.
pub(crate) fn build() -> Result<(), String> {
    step(&mut cargo(&["build", "--workspace", "--all-features", "--bins", "--examples"]))
}

/// What a command prints.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("`{shown}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` failed: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("`{shown}`: {error}"))
}

/// The text of a file of the project.
pub(crate) fn read(name: &str) -> Result<String, String> {
    fs::read_to_string(root().join(name)).map_err(|error| format!("{name}: {error}"))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ").replace(env!("CARGO"), "cargo")
}

/// What `chromium` is told for nobody to see it, and to know nothing but what is in this folder.
pub(crate) fn unseen(profile: &Path) -> [String; 5] {
    let profile = format!("--user-data-dir={}", profile.display());
    ["--headless".into(), "--no-sandbox".into(), "--disable-gpu".into(), "--no-first-run".into(), profile]
}

/// Packages of Debian that are not called like the program in them.
const PACKAGES: &[(&str, &str)] = &[("java", "openjdk-17-jdk-headless"), ("mvn", "maven"), ("nginx", "nginx-light")];

/// Brings in programs that a step needs, from Debian's packages, where they are missing.
pub(crate) fn install(programs: &[&str]) -> Result<(), String> {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let package = |program| PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| *package);
    let missing: Vec<&str> =
        programs.iter().filter(|program| !there(program)).map(|program| package(*program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    step(Command::new("apt-get").arg("update"))?;
    step(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends"]).args(missing))
}

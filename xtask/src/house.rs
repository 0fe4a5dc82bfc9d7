//! The structure of the project, as far as a program can see it: arrows, lengths, who may name what, and what comes from others.

use crate::run::{read, root};
use crate::{arrows, supply};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest source file, in lines.
const LONGEST: usize = 400;
/// The longest `main.rs` of a program, in lines.
const LONGEST_MAIN: usize = 30;
/// The example of embedding.
const EMBED: &str = "ports/examples/embed.rs";
/// Files that the README has one make beside it, and that hold secrets.
const SECRETS: &[&str] = &["data", "key", "users"];
const PROGRAMS: &[&str] = &["app-http", "app-kit", "app-worker"];
const ADAPTERS: &[&str] = &[
    "chatcore_ai_demo",
    "chatcore_ai_http",
    "chatcore_auth",
    "chatcore_kafka",
    "chatcore_mongodb",
    "chatcore_redis",
    "chatcore_sqlite",
];

/// Checks all of it.
pub(crate) fn check() -> Result<(), String> {
    let mut faults = arrows::faults()?;
    faults.extend(supply::faults()?);
    faults.extend(readme_faults()?);
    for file in sources(&root())? {
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let name = file.strip_prefix(root()).unwrap_or(&file).to_string_lossy().into_owned();
        faults.extend(file_faults(&name, &text));
    }
    if faults.is_empty() {
        println!("the house stands as it was designed");
        return Ok(());
    }
    Err(format!("the house is not as it was designed:\n  {}", faults.join("\n  ")))
}

/// The README shows the example of embedding as it is run; what it has one do needs no Linux, and leaves no secret to be given away.
fn readme_faults() -> Result<Vec<String>, String> {
    let (readme, example) = (read("README.md")?, read(EMBED)?);
    let shown = example.split_once("\n\n").is_some_and(|(_, code)| readme.contains(code));
    let unshown = (!shown).then(|| format!("README.md does not show {EMBED} as it is"));
    let linux = readme.contains("/proc/").then(|| "README.md: not every system has /proc".to_owned());
    let mut faults: Vec<_> = unshown.into_iter().chain(linux).collect();
    for (ignored, root) in [(".gitignore", "/"), (".dockerignore", "")] {
        let lines = read(ignored)?;
        let open = SECRETS.iter().filter(|name| !lines.lines().any(|line| line == format!("{root}{name}")));
        faults.extend(open.map(|name| format!("{ignored}: `{name}`, which README.md has one make, is not in it")));
    }
    Ok(faults)
}

fn file_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        faults.push(format!("{name}: {lines} lines, more than {LONGEST}"));
    }
    let program = PROGRAMS.iter().find(|program| name.starts_with(&format!("{program}/src/")));
    if let Some(program) = program {
        if name == format!("{program}/src/main.rs") && lines > LONGEST_MAIN {
            faults.push(format!("{name}: {lines} lines, more than {LONGEST_MAIN}"));
        }
        let composes = name.starts_with(&format!("{program}/src/compose"));
        let named = ADAPTERS.iter().filter(|adapter| !composes && text.contains(**adapter));
        faults.extend(named.map(|adapter| format!("{name}: names {adapter}, which only compose.rs may")));
    }
    if !text.starts_with("//!") && !text.starts_with("#![doc") {
        faults.push(format!("{name}: does not say what it is about"));
    }
    faults
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path)?);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

//! What runs while others are built in its place runs from a folder of its own.

use crate::run::built;
use crate::storm;
use std::fs;
use std::path::{Path, PathBuf};

/// The programs that scenarios start and kill, as cargo would put them beside these.
const STARTED: [&str; 2] = ["app-http", "app-worker"];

/// Copies the programs, and the storm, to this folder, and answers it.
pub(crate) fn programs(folder: &Path) -> Result<&Path, String> {
    let built = built()?;
    for program in STARTED.into_iter().chain([storm::PROGRAM]) {
        copy(&built.join(program), &folder.join(program))?;
    }
    Ok(folder)
}

/// Copies a binary of tests to this folder; where it starts programs, it looks for them in the one around that.
pub(crate) fn tests(binary: &Path, folder: &Path) -> Result<PathBuf, String> {
    let to = folder.join("tests");
    copy(binary, &to)?;
    Ok(to)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    // One that still runs keeps what it has.
    drop(fs::remove_file(to));
    let copied = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(from, to));
    copied.map(drop).map_err(|error| format!("{} does not come to {}: {error}", from.display(), to.display()))
}

//! Packages of PyPI and npm, below `target`.

use crate::run::{install, step};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Brings them in once, and again when other versions are named than are there.
pub(crate) fn once(folder: &Path, wanted: &str, bring: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let told = folder.join("versions");
    if fs::read_to_string(&told).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    bring()?;
    fs::write(&told, wanted).map_err(|error| format!("{}: {error}", told.display()))
}

/// A Python of its own with these packages of PyPI.
pub(crate) fn python(at: &Path, packages: &[&str]) -> Result<(), String> {
    let venv = Command::new("python3").args(["-m", "ensurepip", "--version"]).output();
    if !venv.is_ok_and(|said| said.status.success()) {
        install(&["python3-venv"])?;
    }
    step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(at))?;
    let pip = ["install", "--quiet", "--disable-pip-version-check"];
    step(Command::new(at.join("bin/pip")).args(pip).args(packages))
}

/// In a folder of packages of npm: these ones, or those that its `package.json` names.
pub(crate) fn npm(folder: &Path, packages: &[&str]) -> Result<(), String> {
    install(&["npm"])?;
    let npm = ["install", "--no-audit", "--no-fund", "--no-package-lock"];
    step(Command::new("npm").arg("--prefix").arg(folder).args(npm).args(packages).current_dir(folder))
}

//! The tools that the API is checked with, from PyPI and npm.

use crate::packages;
use crate::run::{built, read, root, step};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// What the program shows the document with.
pub(super) const REDOC: &str = "redoc@2.5.4";
/// The client, which names its tools itself.
const CLIENT: [&str; 3] = ["package.json", "tsconfig.json", "walk.ts"];

/// Where they are.
pub(super) struct Tools {
    pub(super) folder: PathBuf,
    pub(super) python: PathBuf,
    /// A copy of the client, with its tools beside it.
    pub(super) client: PathBuf,
    /// The package of ReDoc.
    pub(super) redoc: PathBuf,
}

impl Tools {
    /// Brings them in once, and again when another version is named. The client is copied each time.
    pub(super) fn bring() -> Result<Self, String> {
        let folder = built()?.with_file_name("api");
        let (python, client) = (folder.join("python"), folder.join("client"));
        let redoc = folder.join("package");
        let tools = Self { folder, python, client, redoc };
        fs::create_dir_all(&tools.client).map_err(|error| format!("{}: {error}", tools.client.display()))?;
        for name in CLIENT {
            let from = root().join("tests/client").join(name);
            fs::copy(&from, tools.client.join(name)).map_err(|error| format!("{}: {error}", from.display()))?;
        }
        let wanted = format!("{SCHEMATHESIS} {REDOC} {}", read("tests/client/package.json")?);
        packages::once(&tools.folder, &wanted, || tools.install())?;
        Ok(tools)
    }

    fn install(&self) -> Result<(), String> {
        packages::python(&self.python, &[SCHEMATHESIS])?;
        packages::npm(&self.client, &[])?;
        step(Command::new("npm").args(["pack", "--silent", REDOC]).current_dir(&self.folder))?;
        let packed = format!("{}.tgz", REDOC.replace('@', "-"));
        step(Command::new("tar").args(["-xzf", &packed]).current_dir(&self.folder))
    }
}

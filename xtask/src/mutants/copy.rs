//! Copies of the project's sources to plant bugs in.

use super::planted::Mutant;
use crate::run::root;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where one is. It is no part of the directory in which cargo builds: what is built of files in there is not taken for that of
/// the project itself, and would have to be built again.
pub(super) struct Copy(pub(super) PathBuf);

impl Copy {
    pub(super) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("chatcore-mutants-{}-{name}", std::process::id())))
    }

    /// As the project is, without what was built. Files that are the same stay as they are, so that little is built again.
    pub(super) fn renew(&self) -> Result<(), String> {
        renew(&root(), &self.0).map_err(|error| format!("{}: {error}", self.0.display()))
    }

    pub(super) fn plant(&self, mutant: &Mutant) -> Result<(), String> {
        let file = self.0.join(mutant.file);
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", mutant.file))?;
        let places = text.matches(mutant.from).count();
        if places != 1 {
            return Err(format!("{}: there are {places} places to plant `{}` in", mutant.file, mutant.name));
        }
        fs::write(&file, text.replace(mutant.from, mutant.to)).map_err(|error| format!("{}: {error}", mutant.file))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn renew(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if ["target", ".git", "data"].iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if source.is_dir() {
            renew(&source, &target)?;
            continue;
        }
        let (text, before) = (fs::read(&source)?, fs::read(&target).ok());
        if before.as_ref() == Some(&text) {
            continue;
        }
        fs::write(&target, text)?;
        if before.is_none() {
            touch(&target, entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}

/// Makes it look as if the file was written then.
pub(super) fn touch(file: &Path, time: SystemTime) -> std::io::Result<()> {
    fs::File::options().append(true).open(file)?.set_modified(time)
}

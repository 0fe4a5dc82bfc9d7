//! Copies of the project's sources to plant bugs in.

use super::planted::Mutant;
use crate::run::root;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where one is. It is no part of the directory in which cargo builds: what is built of files in there is not taken for that of
/// the project itself, and would have to be built again. It stays there: tests that were built of it may look for its files.
pub(super) struct Copy(pub(super) PathBuf);

impl Copy {
    pub(super) fn new(name: &str) -> Self {
        let project = root().display().to_string().replace('/', "-");
        Self(std::env::temp_dir().join(format!("mutants-of{project}-{name}")))
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

fn renew(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)?.flatten().filter(|entry| !from.join(entry.file_name()).exists()) {
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
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
        let (text, changed) = (fs::read(&source)?, entry.metadata()?.modified()?);
        match fs::read(&target) {
            Ok(before) if before == text => {
                // It may have been otherwise in between, and built so.
                if fs::metadata(&target)?.modified()? < changed {
                    touch(&target, changed)?;
                }
            }
            Ok(_) => fs::write(&target, text)?,
            Err(_) => {
                fs::write(&target, text)?;
                touch(&target, changed)?;
            }
        }
    }
    Ok(())
}

/// Makes it look as if the file was written then.
pub(super) fn touch(file: &Path, time: SystemTime) -> std::io::Result<()> {
    fs::File::options().append(true).open(file)?.set_modified(time)
}

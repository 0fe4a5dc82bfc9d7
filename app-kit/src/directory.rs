//! Whether something can be written, told without writing anything.

use rustix::fs::{Access, access};
use std::path::Path;

/// Why no file can be made in this directory, which need not be there yet.
#[must_use]
pub fn unusable(directory: &Path) -> Option<String> {
    let there = directory.ancestors().find(|directory| directory.exists());
    // Of a relative path nothing is left at last.
    let there = there.filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = there.display();
    if !there.is_dir() {
        return Some(format!("{place} is no directory"));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).err().map(|error| format!("{place} cannot be written: {error}"))
}

/// Why a file that is there cannot be read and written.
pub(crate) fn unusable_file(file: &Path) -> Option<String> {
    access(file, Access::READ_OK | Access::WRITE_OK).err().map(|error| error.to_string())
}

//! The secret that tokens are signed with where none was given: random, made once, and for the owner of the process only.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

const NAME: &str = "jwt-secret";

/// A new secret: 32 random bytes.
///
/// # Errors
/// The system gives no random bytes.
#[expect(clippy::disallowed_methods, reason = "a secret is random, and no run has to make it again")]
pub(crate) fn random() -> io::Result<Vec<u8>> {
    let mut secret = vec![0; 32];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    Ok(secret)
}

/// The secret of this directory. Processes that ask at the same time get the same one.
///
/// # Errors
/// The directory cannot be written, or holds something else under the name.
pub(crate) fn made_once(directory: &Path) -> io::Result<Vec<u8>> {
    let path = directory.join(NAME);
    match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => return read,
    }
    fs::create_dir_all(directory)?;
    // Written in full before it gets its name, so that nobody reads half of it; the first to name it wins.
    let unnamed = directory.join(format!("{NAME}.{}", std::process::id()));
    write(&unnamed, &random()?)?;
    let named = fs::hard_link(&unnamed, &path);
    fs::remove_file(&unnamed)?;
    match named {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => read(&path),
    }
}

/// Looks at the secret that this directory keeps, if it keeps one; none is made.
///
/// # Errors
/// It holds something else under the name, or cannot be read.
pub(crate) fn check(directory: &Path) -> io::Result<()> {
    match read(&directory.join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        read => read.map(drop),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let secret = fs::read(path)?;
    let fault = || io::Error::new(ErrorKind::InvalidData, format!("{} is too short to be a secret", path.display()));
    if secret.len() >= 32 { Ok(secret) } else { Err(fault()) }
}

fn write(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

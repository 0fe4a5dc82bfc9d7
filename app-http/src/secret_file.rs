//! The secret that tokens are signed with where none was given: random, made once, and for the owner of the process only.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

const NAME: &str = "jwt-secret";

/// A new secret: 32 random bytes.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn random() -> io::Result<Vec<u8>> {
    bytes::<32>().map(Vec::from)
}

#[expect(clippy::disallowed_methods, reason = "a secret is random, and no run has to make it again")]
fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
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
    // Nobody else writes under the name that it has till then: in containers each process has the same number.
    let unnamed = directory.join(format!("{NAME}.{:016x}", u64::from_ne_bytes(bytes()?)));
    let named = write(&unnamed, &random()?).and_then(|()| fs::hard_link(&unnamed, &path));
    match fs::remove_file(&unnamed) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
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
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn all_that_ask_at_once_get_the_same_secret_and_nothing_is_left_over() {
        let (directory, together) = (tempfile::tempdir().unwrap(), Barrier::new(50));
        let secrets: Vec<Vec<u8>> = thread::scope(|scope| {
            let ask = || {
                together.wait();
                made_once(directory.path()).unwrap()
            };
            let asked: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert_eq!(secrets[0].len(), 32);
        assert!(secrets.iter().all(|secret| *secret == secrets[0]), "{secrets:?}");
        let kept: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(kept, [NAME]);
    }
}

//! The files of a partition: how they are called, which there are, and what stands in one.

use super::remembered::Mark;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Makes the directory so that it survives a crash, and sees that it has locks and can be written.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if let Some(parent) = fs::canonicalize(dir)?.parent() {
        File::open(parent)?.sync_all()?;
    }
    let path = dir.join(".archive.lock");
    match OpenOptions::new().create(true).append(true).open(path)?.try_lock() {
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(io::Error::new(error.kind(), format!("it has no locks: {error}"))),
    }
}

/// Leaves room for what stands around it: many file systems take names of 255 bytes.
pub(super) const LONGEST_TOPIC: usize = 200;

/// Whether a topic can be part of a file's name.
pub(super) fn is_name(topic: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LONGEST_TOPIC).contains(&topic.len()) && topic.bytes().all(plain)
}

/// The part of a file's name that is its own, in the order in which files are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) date: String,
    pub(super) number: u64,
}

impl Name {
    /// The first file of a day.
    pub(super) fn first(date: String) -> Self {
        Self { date, number: 1 }
    }

    /// The next file of the same day.
    pub(super) fn next(&self) -> Self {
        Self { date: self.date.clone(), number: self.number + 1 }
    }

    /// Reads what stands behind the name of the partition.
    fn parse(text: &str) -> Option<Self> {
        let (date, digits) = text.strip_suffix(".jsonl")?.rsplit_once('-')?;
        let good =
            |(index, byte): (usize, u8)| if matches!(index, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
        let is_date = date.len() == 10 && date.bytes().enumerate().all(good);
        let number = digits.parse().ok().filter(|number: &u64| number.to_string() == digits)?;
        is_date.then(|| Self { date: date.to_owned(), number })
    }
}

/// Where the files of one partition are.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    prefix: String,
}

impl Folder {
    pub(super) fn new(dir: &Path, topic: &str, partition: u32) -> Self {
        Self { dir: dir.to_owned(), prefix: format!("{topic}-{partition}") }
    }

    pub(super) fn path(&self, name: &Name) -> PathBuf {
        self.dir.join(format!("{}-{}-{}.jsonl", self.prefix, name.date, name.number))
    }

    /// The lock; it holds who wrote last.
    pub(super) fn open_lock(&self) -> io::Result<File> {
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(self.lock_path())
    }

    fn lock_path(&self) -> PathBuf {
        self.dir.join(format!(".{}.lock", self.prefix))
    }

    /// Puts another lock in the place of the one that is there. It is held already, and it holds the text. Of two that do
    /// so at once the later one has its lock in place.
    pub(super) fn replace_lock(&self, unlike_all_others: &str, text: &[u8]) -> io::Result<File> {
        let path = self.lock_path();
        let new = path.with_extension(unlike_all_others);
        let mut lock = OpenOptions::new().create_new(true).read(true).write(true).open(&new)?;
        let mut put = || {
            lock.lock()?;
            lock.write_all(text)?;
            lock.sync_all()?;
            fs::rename(&new, &path)
        };
        put().inspect_err(|_| drop(fs::remove_file(&new)))?;
        Ok(lock)
    }

    /// Whether the open lock still is the one that its name leads to.
    pub(super) fn has_lock(&self, lock: &File) -> io::Result<bool> {
        is_at(&self.lock_path(), lock)
    }

    /// All files, the oldest first.
    pub(super) fn names(&self) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let own = name.to_str().and_then(|name| name.strip_prefix(&self.prefix)?.strip_prefix('-'));
            names.extend(own.and_then(Name::parse));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Makes a file; its name survives a crash from now on.
    pub(super) fn create(&self, name: &Name) -> io::Result<File> {
        let file = OpenOptions::new().create_new(true).append(true).read(true).open(self.path(name))?;
        self.sync()?;
        Ok(file)
    }

    pub(super) fn open(&self, name: &Name) -> io::Result<File> {
        OpenOptions::new().append(true).read(true).open(self.path(name))
    }

    /// Whether the open file still is what its name leads to.
    pub(super) fn leads_to(&self, name: &Name, file: &File) -> io::Result<bool> {
        match is_at(&self.path(name), file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => found,
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

fn is_at(path: &Path, file: &File) -> io::Result<bool> {
    let (found, open) = (fs::metadata(path)?, file.metadata()?);
    Ok((found.dev(), found.ino()) == (open.dev(), open.ino()))
}

/// Reads the lines from a place on, and where the last whole one ends. Where whoever wrote them was killed they may not be
/// on the disk yet: afterwards they are.
pub(super) fn read_lines(file: &File, from: u64) -> io::Result<(Vec<Mark>, u64)> {
    let (mut reader, mut end) = (BufReader::with_capacity(1 << 16, file), from);
    reader.seek(SeekFrom::Start(from))?;
    let (mut marks, mut line) = (Vec::new(), Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 && line.last() == Some(&b'\n') {
        match Mark::read(&line) {
            Some(mark) => marks.push(mark),
            None => tracing::warn!(at = end, "a line of the archive cannot be read; it is left as it is"),
        }
        end += line.len() as u64;
        line.clear();
    }
    file.sync_all()?;
    Ok((marks, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_date_and_a_number() {
        let name = |date: &str, number| Name { date: date.to_owned(), number };
        assert_eq!(Name::parse("2025-01-31-12.jsonl"), Some(name("2025-01-31", 12)));
        for other in
            ["2025-01-31-.jsonl", "0-2025-01-31-1.jsonl", "2025-01-31-1.json", "2025-01-31-01.jsonl", "x.jsonl"]
        {
            assert_eq!(Name::parse(other), None, "{other}");
        }
        assert!(name("2025-01-31", 9) < name("2025-01-31", 10));
        assert!(name("2025-01-31", 10) < name("2025-02-01", 1));
    }
}

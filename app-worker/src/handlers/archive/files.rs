//! The files of a partition: how they are called, which there are, and what stands in one.

use super::remembered::Mark;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
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

/// Whether a topic can be part of a file's name.
pub(super) fn is_name(topic: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=200).contains(&topic.len()) && topic.bytes().all(plain)
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
        let path = self.dir.join(format!(".{}.lock", self.prefix));
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
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
        match fs::metadata(self.path(name)) {
            Ok(found) => Ok((found.dev(), found.ino()) == file.metadata().map(|open| (open.dev(), open.ino()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// Reads the lines from a place on, and takes away a last one that was cut off. Where whoever wrote them was killed they may
/// not be on the disk yet: afterwards they are.
pub(super) fn read_and_mend(file: &File, from: u64) -> io::Result<(Vec<Mark>, u64)> {
    let (mut reader, mut end) = (BufReader::with_capacity(1 << 16, file), from);
    reader.seek(SeekFrom::Start(from))?;
    let (mut marks, mut line) = (Vec::new(), Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        if line.last() != Some(&b'\n') {
            tracing::warn!(bytes = line.len(), "the archive's last line was cut off; it is taken away");
            file.set_len(end)?;
            break;
        }
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

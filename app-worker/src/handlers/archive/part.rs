//! The archive of one partition.

use super::files::{Folder, Name, read_lines};
use super::remembered::{Mark, REMEMBERED, Remembered};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Stands in a lock that was put in the place of another, until a file is begun under it.
const TAKEN_OVER: &[u8] = b"taken over";

/// What is to be written.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) mark: Mark,
    /// With its line feed.
    pub(super) text: String,
}

/// Whether anything could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    /// All of it is on the disk, once.
    Done,
    /// Another worker is writing.
    Busy,
}

/// When files end.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) today: String,
    pub(super) max_bytes: u64,
}

/// The files of one partition. After an error it is not to be used any more: another one reads what is there. Dropping it
/// sets its lock free.
///
/// Another may take the lock over, see [`Part::take_over`]. A file is written to only if its lock was still in place after it
/// was seen or made: so who takes over later sees it too, and begins one behind it. No two write to the same file.
#[derive(Debug)]
pub(super) struct Part {
    folder: Folder,
    lock: File,
    /// Names this value, unlike all others in all processes.
    writer: String,
    newest: Option<Newest>,
    remembered: Remembered,
}

#[derive(Debug)]
struct Newest {
    name: Name,
    file: File,
    /// How much of it is on the disk.
    length: u64,
}

impl Part {
    pub(super) fn open(folder: Folder, writer: String) -> io::Result<Self> {
        let lock = folder.open_lock()?;
        Ok(Self { folder, lock, writer, newest: None, remembered: Remembered::default() })
    }

    /// Writes what is not there yet. Each file that it touches is synced once. Fails where another took the lock over, also
    /// if that was after all was written: the other may not have seen it.
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a Record>, cut: &Cut) -> io::Result<Appended> {
        match self.lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return self.see_lock().map(|()| Appended::Busy),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        self.catch_up(cut)?;
        let written = self.write(records, cut);
        if let (Err(_), Some(newest)) = (&written, &self.newest)
            && self.see_lock().is_ok()
        {
            // What the disk did not confirm would be taken for written by who reads it next.
            let _ = newest.file.set_len(newest.length);
        }
        self.lock.unlock()?;
        written.map(|()| Appended::Done)
    }

    /// Puts a lock of its own in the place of the one that another holds, who may be frozen. He may go on at any time and
    /// write to the end what he has begun: hence nobody goes on with his file.
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        self.lock = self.folder.replace_lock(&self.writer, TAKEN_OVER)?;
        Ok(())
    }

    /// Fails where another took the lock over.
    fn see_lock(&self) -> io::Result<()> {
        if self.folder.has_lock(&self.lock)? {
            return Ok(());
        }
        Err(io::Error::other("another worker took the partition over"))
    }

    /// Reads what others wrote since this one did, and takes away a last line that was cut off.
    fn catch_up(&mut self, cut: &Cut) -> io::Result<()> {
        self.see_lock()?;
        let last = self.last_writer()?;
        if let Some(newest) = &self.newest
            && !self.folder.leads_to(&newest.name, &newest.file)?
        {
            self.newest = None;
        } else if last == self.writer.as_bytes() {
            return Ok(());
        }
        match self.newest.take() {
            Some(known) => self.read_on(&known)?,
            None => self.read_back()?,
        }
        self.folder.sync()?;
        if last == TAKEN_OVER {
            self.begin(self.next_name(cut))?;
        } else if let Some(newest) = &self.newest {
            newest.mend()?;
        }
        // Before the first line: should this process die over it, the next one sees that it has to read.
        self.lock.set_len(0)?;
        self.lock.seek(SeekFrom::Start(0))?;
        self.lock.write_all(self.writer.as_bytes())
    }

    fn last_writer(&mut self) -> io::Result<Vec<u8>> {
        let mut writer = Vec::new();
        self.lock.seek(SeekFrom::Start(0))?;
        (&self.lock).take(64).read_to_end(&mut writer)?;
        Ok(writer)
    }

    /// All files, the oldest first, of which none was begun by one who took the lock over.
    fn names(&self) -> io::Result<Vec<Name>> {
        let names = self.folder.names()?;
        self.see_lock()?;
        Ok(names)
    }

    /// The rest of the file that was the newest, and those after it.
    fn read_on(&mut self, known: &Newest) -> io::Result<()> {
        for name in self.names()?.into_iter().filter(|name| *name >= known.name) {
            let from = if name == known.name { known.length } else { 0 };
            self.read(name, from)?.into_iter().for_each(|mark| self.remembered.add(mark));
        }
        Ok(())
    }

    /// The newest files, as many as hold what is to be remembered.
    fn read_back(&mut self) -> io::Result<()> {
        let (mut piles, mut count, mut newest) = (Vec::new(), 0, None);
        for name in self.names()?.into_iter().rev() {
            let marks = self.read(name, 0)?;
            newest = newest.or(self.newest.take());
            count += marks.len();
            piles.push(marks);
            if count >= REMEMBERED {
                break;
            }
        }
        self.newest = newest;
        piles.into_iter().rev().flatten().for_each(|mark| self.remembered.add(mark));
        Ok(())
    }

    /// Reads a file, which is the newest from now on.
    fn read(&mut self, name: Name, from: u64) -> io::Result<Vec<Mark>> {
        let file = self.folder.open(&name)?;
        let (marks, length) = read_lines(&file, from)?;
        self.newest = Some(Newest { name, file, length });
        Ok(marks)
    }

    fn write<'a>(&mut self, records: impl Iterator<Item = &'a Record>, cut: &Cut) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            if self.remembered.has(record.mark) {
                continue;
            }
            self.remembered.add(record.mark);
            if let Some(next) = self.next_file(text.len(), record.text.len(), cut) {
                self.flush(&mut text)?;
                self.begin(next)?;
            }
            text.extend_from_slice(record.text.as_bytes());
        }
        self.flush(&mut text)
    }

    /// The file to go on with, if not the newest.
    fn next_file(&self, waiting: usize, more: usize, cut: &Cut) -> Option<Name> {
        let ends = |newest: &Newest| {
            let held = newest.length + waiting as u64;
            newest.name.date < cut.today || (held > 0 && held + more as u64 > cut.max_bytes)
        };
        self.newest.as_ref().is_none_or(ends).then(|| self.next_name(cut))
    }

    /// What comes behind the newest file. A clock that went back opens no older one.
    fn next_name(&self, cut: &Cut) -> Name {
        match &self.newest {
            Some(Newest { name, .. }) if name.date >= cut.today => name.next(),
            _ => Name::first(cut.today.clone()),
        }
    }

    /// Makes a file, which is the newest from now on.
    fn begin(&mut self, name: Name) -> io::Result<()> {
        let file = self.folder.create(&name)?;
        self.newest = Some(Newest { name, file, length: 0 });
        self.see_lock()
    }

    /// Puts it on the disk.
    fn flush(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let Some(newest) = self.newest.as_mut().filter(|_| !text.is_empty()) else { return Ok(()) };
        newest.file.write_all(text)?;
        newest.file.sync_data()?;
        newest.length += text.len() as u64;
        text.clear();
        self.see_lock()
    }
}

impl Newest {
    /// Takes away a last line that was cut off.
    fn mend(&self) -> io::Result<()> {
        let bytes = self.file.metadata()?.len().saturating_sub(self.length);
        if bytes > 0 {
            tracing::warn!(bytes, "the archive's last line was cut off; it is taken away");
            self.file.set_len(self.length)?;
            self.file.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn record(offset: u64) -> Record {
        let text = format!("{{\"offset\":{offset},\"event\":{{\"event_id\":\"{offset}\"}}}}\n");
        Record { mark: Mark::new(offset, &offset.to_string()), text }
    }

    fn part(dir: &Path, writer: &str) -> Part {
        Part::open(Folder::new(dir, "t", 0), writer.to_owned()).unwrap()
    }

    #[test]
    fn who_was_taken_over_in_the_middle_of_a_write_does_not_touch_the_files_of_the_other() {
        // The frozen one would go on with its file, or begin another one.
        for (max_bytes, in_its_own) in [(1 << 20, [0, 1].as_slice()), (1, &[0])] {
            let dir = tempfile::tempdir().unwrap();
            let cut = Cut { today: "2025-01-31".to_owned(), max_bytes };
            let mut frozen = part(dir.path(), "frozen");
            let records: Vec<_> = (0..4).map(record).collect();
            assert_eq!(frozen.append([&records[0]].into_iter(), &cut).unwrap(), Appended::Done);
            // It is asked for what it writes while it holds the lock: for as long as that takes it is frozen.
            let freeze = std::iter::once_with(|| {
                let mut killed = part(dir.path(), "killed");
                assert_eq!(killed.append([&records[2]].into_iter(), &cut).unwrap(), Appended::Busy);
                killed.take_over().unwrap();
                drop(killed);
                let mut other = part(dir.path(), "other");
                assert_eq!(other.append([&records[2]].into_iter(), &cut).unwrap(), Appended::Done);
                &records[1]
            });
            assert!(frozen.append(freeze, &cut).is_err(), "nobody may rely on what the other did not see");
            assert!(frozen.append([&records[3]].into_iter(), &cut).is_err(), "it stays aside");
            let offsets = |number: u64| {
                let text = fs::read_to_string(dir.path().join(format!("t-0-2025-01-31-{number}.jsonl"))).unwrap();
                text.lines().map(|line| records.iter().position(|record| record.text.trim() == line).unwrap()).collect()
            };
            let files: [Vec<usize>; 2] = [1, 2].map(offsets);
            assert_eq!(files, [in_its_own.to_vec(), vec![2]]);
            // Anew it is like any other, and finds what both of them wrote.
            let mut thawed = part(dir.path(), "thawed");
            assert_eq!(thawed.append(records.iter(), &Cut { max_bytes: 1 << 20, ..cut }).unwrap(), Appended::Done);
            let missing: Vec<_> = (0..4).filter(|offset| !in_its_own.contains(offset) && *offset != 2).collect();
            assert_eq!(offsets(2), [vec![2], missing].concat());
        }
    }
}

//! The archive of one partition.

use super::files::{Folder, Name, read_and_mend};
use super::remembered::{Mark, REMEMBERED, Remembered};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};

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

    /// Writes what is not there yet. Each file that it touches is synced once.
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a Record>, cut: &Cut) -> io::Result<Appended> {
        match self.lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Appended::Busy),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        self.catch_up()?;
        let written = self.write(records, cut);
        if let (Err(_), Some(newest)) = (&written, &self.newest) {
            // What the disk did not confirm would be taken for written by who reads it next.
            let _ = newest.file.set_len(newest.length);
        }
        self.lock.unlock()?;
        written.map(|()| Appended::Done)
    }

    /// Reads what others wrote since this one did.
    fn catch_up(&mut self) -> io::Result<()> {
        if let Some(newest) = &self.newest
            && !self.folder.leads_to(&newest.name, &newest.file)?
        {
            self.newest = None;
        } else if self.wrote_last()? {
            return Ok(());
        }
        match self.newest.take() {
            Some(known) => self.read_on(&known)?,
            None => self.read_back()?,
        }
        self.folder.sync()?;
        // Before the first line: should this process die over it, the next one sees that it has to read.
        self.lock.set_len(0)?;
        self.lock.seek(SeekFrom::Start(0))?;
        self.lock.write_all(self.writer.as_bytes())
    }

    fn wrote_last(&mut self) -> io::Result<bool> {
        let mut writer = Vec::new();
        self.lock.seek(SeekFrom::Start(0))?;
        (&self.lock).take(64).read_to_end(&mut writer)?;
        Ok(writer == self.writer.as_bytes())
    }

    /// The rest of the file that was the newest, and those after it.
    fn read_on(&mut self, known: &Newest) -> io::Result<()> {
        for name in self.folder.names()?.into_iter().filter(|name| *name >= known.name) {
            let from = if name == known.name { known.length } else { 0 };
            self.read(name, from)?.into_iter().for_each(|mark| self.remembered.add(mark));
        }
        Ok(())
    }

    /// The newest files, as many as hold what is to be remembered.
    fn read_back(&mut self) -> io::Result<()> {
        let (mut piles, mut count, mut newest) = (Vec::new(), 0, None);
        for name in self.folder.names()?.into_iter().rev() {
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
        let (marks, length) = read_and_mend(&file, from)?;
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
                let file = self.folder.create(&next)?;
                self.newest = Some(Newest { name: next, file, length: 0 });
            }
            text.extend_from_slice(record.text.as_bytes());
        }
        self.flush(&mut text)
    }

    /// The file to go on with, if not the newest. A clock that went back opens no older one.
    fn next_file(&self, waiting: usize, more: usize, cut: &Cut) -> Option<Name> {
        let Some(newest) = &self.newest else { return Some(Name::first(cut.today.clone())) };
        if newest.name.date < cut.today {
            return Some(Name::first(cut.today.clone()));
        }
        let held = newest.length + waiting as u64;
        (held > 0 && held + more as u64 > cut.max_bytes).then(|| newest.name.next())
    }

    /// Puts it on the disk.
    fn flush(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let Some(newest) = self.newest.as_mut().filter(|_| !text.is_empty()) else { return Ok(()) };
        newest.file.write_all(text)?;
        newest.file.sync_data()?;
        newest.length += text.len() as u64;
        text.clear();
        Ok(())
    }
}

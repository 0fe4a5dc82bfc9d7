//! The handler `archive`: each event as a line of JSON in files that grow under one directory.
//!
//! The files are called `<topic>-<partition>-<date>-<n>.jsonl`: another one begins with each day (UTC) and when the newest
//! would grow beyond its size. A line is `{"topic", "partition", "offset", "event": {...}}`. It is on the disk before the
//! event is acknowledged, and it is there **once**, also where the worker was killed between the two: before a worker adds to
//! the files of a partition it reads what others added last, and what stands there is not written again. A last line that a
//! crash cut off is taken away first.
//!
//! Several workers may share a directory, if its file system has locks. Who writes holds the lock of the partition while he
//! does, and reads what others wrote since he last held it. So it does not matter which of them has the partition, nor that
//! one was frozen meanwhile: when he goes on, he finds that the line is there. Only the lines of the last
//! [`REMEMBERED`] events of a partition are known: what comes again after so many others is written again.
//!
//! A worker that is frozen while it holds the lock, so in the middle of a write, keeps the others of that partition waiting for
//! 8 s, which is longer than it is a member of its group. Then another takes the partition over: it puts a new lock in the place
//! of the old one, and begins a new file. The frozen one finds that out when it goes on: it ends the write that it had begun, in
//! its own file, acknowledges nothing for it, and begins anew. So what it had in hand may stand twice then; and where it is
//! killed instead, its file may end in the middle of a line.
//!
//! Workers with a directory each know nothing of one another: a worker that was frozen until another had its partition, or
//! that had no time left to acknowledge, may then write again what it had in hand. A dead letter that is replayed is a new
//! record of the bus, with a new offset and so a line of its own. Who wants each event once for all of that goes by
//! `event_id`.
//!
//! Old files may be moved away at any time, but not the newest of a partition with what is to be remembered of it.

mod files;
mod part;
mod remembered;
mod writer;

pub use remembered::REMEMBERED;

use async_trait::async_trait;
use chatcore::consume::{EventHandler, Unhandled};
use chatcore::event::Event;
use chatcore::port::{Place, Runtime};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;
use writer::{Line, Writer};

/// Where the archive is, and how it is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// The directory; it is made if it is not there.
    pub dir: PathBuf,
    /// How large a file may become, in bytes. A longer line has a file of its own.
    pub max_bytes: u64,
}

/// Keeps each event in files. One thread writes for all lanes of a partition, so that they share the waiting for the disk, and
/// no partition waits for what another has to read.
#[derive(Debug)]
pub struct Archive {
    config: ArchiveConfig,
    runtime: Arc<dyn Runtime>,
    writers: Mutex<BTreeMap<(String, u32), Sender<Line>>>,
}

impl Archive {
    /// How long the name of a topic may be that files are called by.
    pub const LONGEST_TOPIC: usize = files::LONGEST_TOPIC;

    /// Opens the directory. Blocks for a moment.
    ///
    /// # Errors
    /// The directory cannot be made or has no locks.
    pub fn open(config: ArchiveConfig, runtime: Arc<dyn Runtime>) -> io::Result<Self> {
        files::prepare(&config.dir)?;
        Ok(Self { config, runtime, writers: Mutex::default() })
    }

    /// Is done when the line is on the disk.
    async fn write(&self, event: &Event, place: &Place) -> Result<(), String> {
        let (tell, told) = oneshot::channel();
        self.send(place, Line::new(event, place, tell)).map_err(|error| error.to_string())?;
        told.await.map_err(|error| error.to_string())?
    }

    /// To the partition's thread, which begins with its first line, and anew where it broke off.
    fn send(&self, place: &Place, line: Line) -> io::Result<()> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let (topic, partition) = (place.topic.clone(), place.partition);
        let Err(SendError(line)) = (match writers.get(&(topic.clone(), partition)) {
            Some(lines) => lines.send(line),
            None => Err(SendError(line)),
        }) else {
            return Ok(());
        };
        let (lines, to_write) = channel();
        let (config, runtime) = (self.config.clone(), self.runtime.clone());
        let writer = Writer { config, runtime, topic: topic.clone(), partition, part: None };
        thread::Builder::new().name("archive".into()).spawn(move || writer.run(&to_write))?;
        lines.send(line).map_err(io::Error::other)?;
        writers.insert((topic, partition), lines);
        Ok(())
    }
}

#[async_trait]
impl EventHandler for Archive {
    async fn handle(&self, event: &Event, place: &Place) -> Result<(), Unhandled> {
        if !files::is_name(&place.topic) {
            return Err(Unhandled::Refused("the topic's name cannot be part of a file's name".into()));
        }
        // A disk that is full is no fault of the event.
        let written = self.write(event, place).await;
        written.map_err(|error| Unhandled::away(format!("the archive cannot be written: {error}")))
    }
}

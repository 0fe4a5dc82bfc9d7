//! The thread that writes for all lanes of a partition: what waits there shares a write and a wait for the disk.

use super::ArchiveConfig;
use super::files::Folder;
use super::part::{Appended, Cut, Part, Record};
use super::remembered::Mark;
use chatcore::event::Event;
use chatcore::port::{Place, Runtime};
use chatcore::stamp::rfc3339;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long it waits before it asks again for a lock that another worker holds.
const LOCK_PAUSE: Duration = Duration::from_millis(1);
/// From when on it takes a lock over. Who is frozen for 6 s is a member of his group no longer, whichever the bus; and
/// 2 s more for one that goes on just then, to end his write.
const PATIENCE: Duration = Duration::from_secs(8);
/// After so long without a line it forgets what stands in the files: the partition may be another worker's now.
const IDLE: Duration = Duration::from_secs(600);

/// A line, and who waits for it to be on the disk.
#[derive(Debug)]
pub(super) struct Line {
    record: Record,
    tell: oneshot::Sender<Result<(), String>>,
}

impl Line {
    pub(super) fn new(event: &Event, place: &Place, tell: oneshot::Sender<Result<(), String>>) -> Self {
        let Place { topic, partition, offset } = place;
        // The topic has no letter that JSON would write otherwise: `files::is_name`.
        let event_json = event.to_json();
        let text =
            format!("{{\"topic\":\"{topic}\",\"partition\":{partition},\"offset\":{offset},\"event\":{event_json}}}\n");
        Self { record: Record { mark: Mark::new(*offset, &event.id().to_string()), text }, tell }
    }
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) config: ArchiveConfig,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) topic: String,
    pub(super) partition: u32,
    /// None before the first line, after an error, and after a while without a line.
    pub(super) part: Option<Part>,
}

impl Writer {
    /// Works until nobody can send any more.
    pub(super) fn run(mut self, lines: &Receiver<Line>) {
        while self.turn(lines, IDLE) {}
    }

    /// Writes all lines that are there; waits for the first of them. Answers whether there may be more.
    fn turn(&mut self, lines: &Receiver<Line>, idle: Duration) -> bool {
        let mut waiting = match lines.recv_timeout(idle) {
            Ok(line) => vec![line],
            Err(RecvTimeoutError::Timeout) => {
                self.part = None;
                return true;
            }
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        let since = self.runtime.elapsed();
        loop {
            waiting.extend(lines.try_iter());
            match self.append(&waiting, since) {
                Ok(Appended::Busy) => match lines.recv_timeout(LOCK_PAUSE) {
                    Ok(line) => waiting.push(line),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return false,
                },
                Ok(Appended::Done) => return answer(waiting, &Ok(())),
                Err(error) => {
                    self.part = None;
                    return answer(waiting, &Err(error.to_string()));
                }
            }
        }
    }

    /// Takes the lock over where it waited for it for too long.
    fn append(&mut self, lines: &[Line], since: Duration) -> io::Result<Appended> {
        let mut today = rfc3339(self.runtime.now());
        today.truncate("2025-01-31".len());
        let cut = Cut { today, max_bytes: self.config.max_bytes };
        let part = match &mut self.part {
            Some(part) => part,
            None => {
                let folder = Folder::new(&self.config.dir, &self.topic, self.partition);
                self.part.insert(Part::open(folder, self.runtime.new_id().to_string())?)
            }
        };
        let appended = part.append(lines.iter().map(|line| &line.record), &cut)?;
        if appended == Appended::Busy && self.runtime.elapsed() > since + PATIENCE {
            let (topic, partition) = (&self.topic, self.partition);
            tracing::warn!(topic, partition, "another worker held the archive's lock for too long; it is taken over");
            part.take_over()?;
        }
        Ok(appended)
    }
}

fn answer(lines: Vec<Line>, done: &Result<(), String>) -> bool {
    for line in lines {
        // Who waited for it may have been told to stop.
        let _ = line.tell.send(done.clone());
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::event::EventBody;
    use chatcore::id::UserId;
    use chatcore::owner::Owner;
    use chatcore_ports::tokio::TokioRuntime;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn what_stands_in_the_files_is_forgotten_after_a_while_and_read_again() {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), Arc::new(TokioRuntime::current()));
        let (session, owner) = (runtime.new_id().into(), Owner::User(UserId::parse("u").unwrap()));
        let event =
            Event { session, owner, seq: 1, at: runtime.now(), request_id: None, body: EventBody::SessionDeleted };
        let place = Place { topic: "chat-sessions".into(), partition: 0, offset: 1 };
        let config = ArchiveConfig { dir: dir.path().to_owned(), max_bytes: 1 << 20 };
        let mut writer = Writer { config, runtime, topic: place.topic.clone(), partition: 0, part: None };
        let (send, lines) = channel();
        for _ in 0..2 {
            let (tell, told) = oneshot::channel();
            send.send(Line::new(&event, &place, tell)).unwrap();
            assert!(writer.turn(&lines, Duration::ZERO) && writer.part.is_some());
            assert_eq!(told.await.unwrap(), Ok(()));
            assert!(writer.turn(&lines, Duration::ZERO) && writer.part.is_none(), "nobody knows that it comes again");
        }
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()));
        assert_eq!(
            files.map(|text| text.unwrap().lines().filter(|line| line.contains("event_id")).count()).sum::<usize>(),
            1
        );
    }
}

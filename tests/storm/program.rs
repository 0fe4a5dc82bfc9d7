//! A server or a worker as a process that faults are done to.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::lane::Suffers;
use crate::plan::Fault;
use crate::process::{command, signal};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;
use tokio::time::Instant;

/// How long a program may take to end that was told to: its grace, and a little.
const ENDS_WITHIN: Duration = Duration::from_secs(7);

/// A server or a worker.
pub(crate) struct Program {
    name: &'static str,
    folder: PathBuf,
    settings: Vec<(&'static str, String)>,
    output: PathBuf,
    process: Child,
    freezes: Arc<AtomicU64>,
}

impl Program {
    /// Starts it. What it prints goes to the end of this file, and stays there.
    pub(crate) fn start(
        name: &'static str,
        folder: &Path,
        settings: Vec<(&'static str, String)>,
        output: &Path,
    ) -> Self {
        let process = spawn(name, folder, &settings, output);
        let (folder, output) = (folder.to_owned(), output.to_owned());
        Self { name, folder, settings, output, process, freezes: Arc::default() }
    }

    /// How often it was frozen or went on: odd while it is frozen.
    pub(crate) fn freezes(&self) -> Arc<AtomicU64> {
        self.freezes.clone()
    }

    fn spawn(&self) -> Child {
        spawn(self.name, &self.folder, &self.settings, &self.output)
    }

    fn ends(&mut self) -> Result<(), String> {
        let end = Instant::now() + ENDS_WITHIN;
        while self.process.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                self.process.kill().unwrap();
                self.process.wait().unwrap();
                return Err(format!("hang: {} did not end within its grace", self.name));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Suffers for Program {
    fn suffer(&mut self, fault: Fault, lasts: Duration) -> Result<(), String> {
        if let Some(status) = self.process.try_wait().unwrap() {
            self.process = self.spawn();
            return Err(format!("crash: {} ended by itself: {status}", self.name));
        }
        match fault {
            Fault::Freeze => {
                self.freezes.fetch_add(1, Ordering::SeqCst);
                signal(&self.process, "-STOP");
                sleep(lasts);
                signal(&self.process, "-CONT");
                self.freezes.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            Fault::Terminate => signal(&self.process, "-TERM"),
            _ => self.process.kill().unwrap(),
        }
        let ended = self.ends();
        sleep(lasts);
        self.process = self.spawn();
        ended
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(name: &str, folder: &Path, settings: &[(&'static str, String)], output: &Path) -> Child {
    let mut command = command(name, folder);
    command.envs(settings.iter().map(|(name, value)| (*name, value)));
    command.stdout(appended(output)).stderr(appended(&output.with_extension("log")));
    command.spawn().unwrap()
}

fn appended(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

//! Real processes with a folder of their own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// A running `app-http`. It keeps its folder and its port when it is started again.
pub(crate) struct Server {
    folder: TempDir,
    settings: Vec<(String, String)>,
    process: Child,
    port: u16,
}

impl Server {
    /// Starts one on a free port, with an empty folder.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (process, port) = spawn(folder.path(), &settings, 0);
        Self { folder, settings, process, port }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM; the status that it ends with.
    pub(crate) fn end(&mut self) -> Option<i32> {
        signal(&self.process, "-TERM");
        self.process.wait().unwrap().code()
    }

    /// `-STOP`, `-CONT`.
    #[allow(dead_code, reason = "the measure of streams sends none")]
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    pub(crate) fn restart(&mut self) {
        (self.process, self.port) = spawn(self.folder.path(), &self.settings, self.port);
    }

    #[allow(dead_code, reason = "the measure of streams asks")]
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A program beside the test's own, where cargo puts both.
pub(crate) fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let program = here.parent().unwrap().parent().unwrap().join(name);
    assert!(program.exists(), "{} is missing: cargo build --workspace --bins", program.display());
    program
}

/// A program with these settings alone.
pub(crate) fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(program(name));
    command.env_clear().current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    command.env("DATA_DIR", folder.join("data")).env("LOG_FORMAT", "json").env("WORKER_PORT", "off");
    command
}

/// Sends a signal: `-TERM`, `-STOP`.
pub(crate) fn signal(process: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
}

/// What the system tells of a process's memory under this name, in kB.
#[allow(dead_code, reason = "few measure it")]
pub(crate) fn memory(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(folder: &Path, settings: &[(String, String)], port: u16) -> (Child, u16) {
    let mut command = command("app-http", folder);
    command.env("PORT", port.to_string()).envs(settings.iter().cloned());
    let mut process = command.spawn().unwrap();
    let stdout = process.stdout.take().unwrap();
    let (told, port) = mpsc::channel();
    // Read to its end, so that the process never waits for its log.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == "listening" {
                let _ = told.send(line["port"].as_u64().unwrap_or_default());
            }
        }
    });
    match port.recv_timeout(Duration::from_secs(30)) {
        Ok(port) => (process, u16::try_from(port).unwrap()),
        Err(_) => panic!("the server did not start: {:?}", process.try_wait()),
    }
}

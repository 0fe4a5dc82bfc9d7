//! What runs in the background while other steps do, and what it prints.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A script in the background.
pub(crate) struct Beside {
    name: &'static str,
    shell: Child,
    log: PathBuf,
}

impl Beside {
    /// Runs these lines one after the other; the first that fails ends it.
    pub(crate) fn start(name: &'static str, lines: &[String]) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{name} did not start: {error}");
        let log = std::env::temp_dir().join(format!("{}-{}.log", name.replace(' ', "-"), std::process::id()));
        let file = File::create(&log).map_err(failed)?;
        println!("\n==> {name}, beside what follows: {} steps", lines.len());
        // Told to end, it ends what it runs.
        let lines: Vec<String> = lines.iter().map(|line| format!("{{ {line} & wait $!; }}")).collect();
        let script = format!("trap 'kill $!; exit 1' TERM; {}", lines.join(" && "));
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).env("CHAT_TEST_REQUIRE", "1");
        let shell = shell.stdin(Stdio::null()).stdout(file.try_clone().map_err(failed)?).stderr(file).spawn();
        Ok(Self { name, shell: shell.map_err(failed)?, log })
    }

    /// Waits for their end, and shows what they printed.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let status = self.shell.wait().map_err(|error| error.to_string())?;
        println!("\n==> {}\n{}", self.name, fs::read_to_string(&self.log).unwrap_or_default());
        if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", self.name)) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It has ended, unless something else failed first.
        if let Ok(None) = self.shell.try_wait() {
            _ = kill_process(Pid::from_child(&self.shell), Signal::TERM);
            drop(self.shell.wait());
        }
        drop(fs::remove_file(&self.log));
    }
}

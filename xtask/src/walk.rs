//! The README's walk: its shell, run as it stands there, against a server with empty folders.

use crate::run::{cargo, root, step};
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Marks the block of shell in the README that is run; the line before the block.
const MARK: &str = "<!-- walk -->";

/// A server and its folder, both gone afterwards.
struct Server {
    process: Child,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Runs it: every command has to succeed.
pub(crate) fn walk() -> Result<(), String> {
    let readme = fs::read_to_string(root().join("README.md")).map_err(|error| format!("README.md: {error}"))?;
    let script = marked(&readme).ok_or("README.md has no marked walk")?;
    step(&mut cargo(&["build", "--workspace", "--all-features", "--bins"]))?;
    let server = start()?;
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", script]).current_dir(&server.folder);
    step(&mut shell)
}

fn marked(readme: &str) -> Option<&str> {
    let (_, after) = readme.split_once(MARK)?;
    let (_, after) = after.split_once("```sh\n")?;
    Some(after.split_once("```")?.0)
}

/// Starts the server as the README says, on its usual port, in a folder of its own.
fn start() -> Result<Server, String> {
    let folder = std::env::temp_dir().join(format!("chatcore-walk-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let target = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = target.with_file_name("app-http");
    let process = Command::new(&program)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let mut server = Server { process, folder };
    for _ in 0..100 {
        if let Ok(Some(status)) = server.process.try_wait() {
            return Err(format!("the server ended: {status}"));
        }
        if TcpStream::connect("127.0.0.1:8000").is_ok() {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("the server did not come up within 10 s".into())
}

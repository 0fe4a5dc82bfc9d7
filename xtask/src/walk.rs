//! The README's walk: its shell, run as it stands there, against a server with empty folders.

use crate::run::{cargo, install, root, step};
use serde_json::Value;
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Marks the block of shell in the README that is run; the line before the block.
const WALK: &str = "<!-- walk -->\n```sh\n";
/// Marks the answer that the README shows.
const ANSWER: &str = "<!-- walk: answer -->\n```json\n";
/// What is another each time.
const VARIES: [&str; 3] = ["message_id", "session_id", "timestamp"];

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
    let (script, shown) = (block(&readme, WALK)?, block(&readme, ANSWER)?);
    install(&["curl", "jq"])?;
    step(&mut cargo(&["build", "--workspace", "--all-features", "--bins"]))?;
    let server = start()?;
    let mut shell = Command::new("bash");
    let kept = format!("{script}\necho \"$ANSWER\" > answer.json");
    step(shell.args(["-euo", "pipefail", "-c", &kept]).current_dir(&server.folder))?;
    let answer = fs::read_to_string(server.folder.join("answer.json")).map_err(|error| error.to_string())?;
    let (shown, answer) = (without_ids(shown)?, without_ids(&answer)?);
    if shown == answer { Ok(()) } else { Err(format!("README.md shows\n{shown}\nbut the answer was\n{answer}")) }
}

fn block<'a>(readme: &'a str, mark: &str) -> Result<&'a str, String> {
    let after = readme.split_once(mark).map(|(_, after)| after);
    after.and_then(|after| Some(after.split_once("```")?.0)).ok_or(format!("README.md has no `{}`", mark.trim()))
}

fn without_ids(json: &str) -> Result<Value, String> {
    let mut value: Value = serde_json::from_str(json).map_err(|error| format!("{error} in {json}"))?;
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, _| !VARIES.contains(&name.as_str()));
    }
    Ok(value)
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
        .stdout(Stdio::null())
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

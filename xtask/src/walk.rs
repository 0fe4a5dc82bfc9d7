//! The README's walk: its shell, run as it stands there, against a server with an empty store; once for each kind.

use crate::run::{cargo, install, read, step};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Marks the block of shell in the README that is run; the line before the block.
const WALK: &str = "<!-- walk -->\n```sh\n";
/// Marks the answer that the README shows.
const ANSWER: &str = "<!-- walk: answer -->\n```json\n";
/// What is another each time.
const VARIES: [&str; 3] = ["message_id", "session_id", "timestamp"];
/// Where the walk looks for the server.
const PORT: u16 = 8000;

/// Runs it on the embedded store, and then on a Redis: every command has to succeed.
pub(crate) fn walk() -> Result<(), String> {
    let readme = read("README.md")?;
    install(&["curl", "jq", "redis-server"])?;
    step(&mut cargo(&["build", "--workspace", "--all-features", "--bins"]))?;
    on(&readme, &[])?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.map_err(|error| format!("no free port: {error}"))?.port();
    let text = port.to_string();
    let _redis = Started::start(
        Command::new("redis-server").args(["--bind", "127.0.0.1", "--port", &text, "--save", ""]),
        port,
    )?;
    on(&readme, &[("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &text)])?;
    let keys = keys(port).map_err(|error| format!("Redis: {error}"))?;
    if keys == ":0" { Err("the walk was not on Redis: nothing is there".into()) } else { Ok(()) }
}

/// Runs it against a server with these settings alone.
fn on(readme: &str, settings: &[(&str, &str)]) -> Result<(), String> {
    let (script, shown) = (block(readme, WALK)?, block(readme, ANSWER)?);
    println!("\n==> the walk, with {settings:?}");
    let program = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("app-http");
    let server = Started::start(Command::new(program).env_clear().envs(settings.iter().copied()), PORT)?;
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

/// How many keys this Redis has, as it says it.
fn keys(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"DBSIZE\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// A program and its folder, both gone afterwards.
struct Started {
    process: Child,
    folder: PathBuf,
}

impl Started {
    /// Starts it in an empty folder, and waits until it listens on the port.
    fn start(command: &mut Command, port: u16) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Err(format!("port {port} is not free for {name}"));
        }
        let folder = std::env::temp_dir().join(format!("chatcore-walk-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let process = command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut started = Self { process: process.map_err(|error| format!("{name}: {error}"))?, folder };
        for _ in 0..100 {
            if let Ok(Some(status)) = started.process.try_wait() {
                return Err(format!("{name} ended: {status}"));
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(started);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("{name} did not come up within 10 s"))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

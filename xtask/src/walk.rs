//! The README's walk: its shell, run as it stands there, against a server with an empty store; once for each kind, and
//! once with its events on Kafka. And its script for a browser.

mod browser;
mod kafka;

use crate::run::{build, install, read, step};
use kafka::Broker;
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
/// Marks the block of shell that makes users.
const USERS: &str = "<!-- walk: users -->\n```sh\n";
/// Before that block: what cargo runs is built.
const BUILT: &str = r#"cargo() { while [ "$1" != -- ]; do shift; done; shift; "$PROGRAM" "$@"; }"#;
/// What is another each time.
const VARIES: [&str; 3] = ["message_id", "session_id", "timestamp"];
/// Where the walk looks for the server.
const PORT: u16 = 8000;

/// Runs it on the embedded store, on a Redis, and then with a Kafka behind the Redis: every command has to succeed.
pub(crate) fn walk() -> Result<(), String> {
    let readme = read("README.md")?;
    install(&["curl", "jq", "chromium", "redis-server", "java", "mvn"])?;
    build()?;
    users(&readme, &on(&readme, &[])?)?;
    browser::browse(&readme, &program()?)?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.map_err(|error| format!("no free port: {error}"))?.port();
    let text = port.to_string();
    let mut redis = Command::new("redis-server");
    redis.args(["--bind", "127.0.0.1", "--port", &text, "--save", ""]);
    let _redis = Started::start(&mut redis, port, Ends::Killed)?;
    let redis = [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &text)];
    drop(on(&readme, &redis)?);
    let keys = keys(port).map_err(|error| format!("Redis: {error}"))?;
    if keys == ":0" {
        return Err("the walk was not on Redis: nothing is there".into());
    }
    let broker = Broker::start()?;
    // In a database of its own: what the last walk left in its outbox would go to Kafka too.
    let kafka = [
        ("REDIS_DB", "1"),
        ("KAFKA_BOOTSTRAP_SERVERS", &*broker.server),
        ("KAFKA_TOPIC_PARTITIONS", kafka::PARTITIONS),
    ];
    // The server lives as long as its events are looked for: it is the one that brings them there.
    let walked = on(&readme, &[&redis[..], &kafka].concat())?;
    broker.has(&walked.answer)
}

/// A walk that succeeded.
struct Walked {
    server: Started,
    /// To the README's question.
    answer: Value,
}

/// Runs it against a server with these settings alone.
fn on(readme: &str, settings: &[(&str, &str)]) -> Result<Walked, String> {
    let (script, shown) = (block(readme, WALK)?, block(readme, ANSWER)?);
    println!("\n==> the walk, with {settings:?}");
    let mut server = Command::new(program()?);
    let server = Started::start(server.env_clear().envs(settings.iter().copied()), PORT, Ends::Killed)?;
    let mut shell = Command::new("bash");
    let kept = format!("{script}\necho \"$ANSWER\" > answer.json");
    step(shell.args(["-euo", "pipefail", "-c", &kept]).current_dir(&server.folder))?;
    let answer = fs::read_to_string(server.folder.join("answer.json")).map_err(|error| error.to_string())?;
    let (shown, answer) = (json(shown)?, json(&answer)?);
    match without_ids(&shown) == without_ids(&answer) {
        true => Ok(Walked { server, answer }),
        false => Err(format!("README.md shows\n{shown}\nbut the answer was\n{answer}")),
    }
}

/// Makes users, beside a server that has none.
fn users(readme: &str, walked: &Walked) -> Result<(), String> {
    let folder = walked.server.folder.join("users");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let script = format!("{BUILT}\n{}", block(readme, USERS)?);
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).env("PROGRAM", program()?);
    step(shell.current_dir(folder))
}

/// The server, which cargo puts beside this program.
fn program() -> Result<PathBuf, String> {
    Ok(std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("app-http"))
}

fn block<'a>(readme: &'a str, mark: &str) -> Result<&'a str, String> {
    let after = readme.split_once(mark).map(|(_, after)| after);
    after.and_then(|after| Some(after.split_once("```")?.0)).ok_or(format!("README.md has no `{}`", mark.trim()))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
}

fn without_ids(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Some(members) = answer.as_object_mut() {
        members.retain(|name, _| !VARIES.contains(&name.as_str()));
    }
    answer
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
    ends: Ends,
}

/// How a program is made to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Killed,
    /// By the end of its standard input: a script that would leave a server behind.
    WithItsInput,
}

impl Started {
    /// Starts it in an empty folder, and waits until it listens on the port.
    fn start(command: &mut Command, port: u16, ends: Ends) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Err(format!("port {port} is not free for {name}"));
        }
        let folder = std::env::temp_dir().join(format!("chatcore-walk-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let process = command.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut started = Self { process: process.map_err(|error| format!("{name}: {error}"))?, folder, ends };
        let seconds = match ends {
            Ends::Killed => 10,
            // The script may have to fetch its server first.
            Ends::WithItsInput => 300,
        };
        for _ in 0..seconds * 10 {
            if let Ok(Some(status)) = started.process.try_wait() {
                return Err(format!("{name} ended: {status}"));
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(started);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("{name} did not come up within {seconds} s"))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        match self.ends {
            Ends::Killed => drop(self.process.kill()),
            Ends::WithItsInput => drop(self.process.stdin.take()),
        }
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

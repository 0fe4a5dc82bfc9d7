//! Members of a group that are processes, whatever client they use.

use crate::brokers::Broker;
use crate::worker_process::eventually;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A process that prints a line of JSON for each event that it reads. It is killed when it is dropped.
pub(super) struct Member {
    process: Child,
    printed: Lines,
    logged: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

/// What a member leaves behind.
pub(super) struct Left {
    /// `None`: it ended by the signal.
    pub(super) code: Option<i32>,
    /// The ids of the events that it has read.
    pub(super) read: Vec<String>,
    pub(super) log: String,
}

impl Member {
    /// In a process group of its own: Kafka's tools are a shell with a Java below it.
    pub(super) fn start(command: &mut Command) -> Self {
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (printed, logged) = (gather(process.stdout.take().unwrap()), gather(process.stderr.take().unwrap()));
        Self { process, printed, logged }
    }

    /// The ids of the events that it has read.
    pub(super) fn read(&self) -> Vec<String> {
        let id = |line: &String| serde_json::from_str::<Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned();
        self.printed.lock().unwrap().iter().filter(|line| is_event(line)).map(id).collect()
    }

    pub(super) fn log(&self) -> String {
        let printed = self.printed.lock().unwrap();
        let logged = self.logged.lock().unwrap();
        printed.iter().filter(|line| !is_event(line)).chain(&*logged).cloned().collect::<Vec<_>>().join("\n")
    }

    /// SIGTERM. It is over when all of its processes have closed what they print to.
    pub(super) async fn leave(mut self) -> Left {
        self.signal("-TERM");
        let over = || [&self.printed, &self.logged].iter().all(|lines| Arc::strong_count(lines) == 1).then_some(());
        eventually(over, || self.log()).await;
        let code = self.process.wait().unwrap().code();
        Left { code, read: self.read(), log: self.log() }
    }

    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.process.id());
        drop(Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.signal("-KILL");
        drop(self.process.wait());
    }
}

/// Reads to the end, so that the process never waits for who reads.
fn gather(from: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let gathered = lines.clone();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).for_each(|line| gathered.lock().unwrap().push(line));
    });
    lines
}

/// Kafka's tools may print a line of their log between the records.
pub(super) fn is_event(line: &str) -> bool {
    line.starts_with('{')
}

/// Kafka's own console consumer, as a member.
pub(super) fn console_consumer(broker: &Broker, group: &str, protocol: &str, topics: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/kafka/tests/broker/broker.sh");
    let mut command = Command::new(script);
    command.arg("tool").arg(&broker.dir).env("KAFKA_LIBS", env!("CARGO_TARGET_TMPDIR"));
    command.args(["consume", "--from-beginning", "--group", group, "--include", &topics.join("|")]);
    command.args(["--command-property", "client.id=java", "--command-property", &format!("group.protocol={protocol}")]);
    if protocol == "classic" {
        // Nobody takes it for dead so soon that it would look as if it had left. By the newer protocol brokers say how
        // soon.
        command.args(["--command-property", "session.timeout.ms=180000"]);
    }
    command
}

/// A group as Kafka's own tool tells of it.
pub(crate) struct Group<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) name: String,
}

impl Group<'_> {
    /// Waits until it has these clients for members, and each of them a share of so many partitions.
    pub(super) async fn is_shared_by(&self, clients: &[&str], partitions: usize) {
        let mut members = BTreeMap::new();
        for _ in 0..40 {
            members = self.members().await;
            let all: usize = members.values().sum();
            if members.keys().eq(clients) && members.values().all(|count| *count > 0) && all == partitions {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("{clients:?} never shared {partitions} partitions: {members:?}");
    }

    /// Its members, and how many partitions each has.
    pub(super) async fn members(&self) -> BTreeMap<String, usize> {
        // GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS
        let rows = self.described(&["--members"]).await;
        rows.into_iter().map(|row| (row[3].clone(), row[4].parse().unwrap())).collect()
    }

    /// How many events of each partition wait.
    pub(crate) async fn lags(&self) -> Vec<String> {
        // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
        self.described(&[]).await.into_iter().map(|row| row[5].clone()).collect()
    }

    async fn described(&self, more: &[&str]) -> Vec<Vec<String>> {
        let told = self.broker.tool(&[&["groups", "--describe", "--group", &self.name], more].concat()).await;
        let rows = told.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        rows.filter(|row| row.first() == Some(&self.name)).collect()
    }
}

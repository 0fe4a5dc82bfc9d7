//! The processes that the faults are done to.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::guests;
use crate::kafka::Kafka;
use crate::lane::Lanes;
use crate::ledger::Ledger;
use crate::options::{Options, Store};
use crate::plan::{Kind, Plan};
use crate::process::free_port;
use crate::program::Program;
use crate::servers::Server as Redis;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::sleep;
use std::time::Duration;
use tokio::time::Instant;

/// How many servers share the store. The last of them has the demo's AI, which answers word by word.
pub(crate) const SERVERS: usize = 3;
const WORKERS: usize = 2;
/// Behind those of all others, whose plans so are the same on every bus.
const LANE_OF_KAFKA: u64 = 100;
/// What tokens are signed with.
pub(crate) const SECRET: &str = "a secret of the storm, known to all of it";
/// What stands in for an answer.
pub(crate) const FALLBACK: &str = "nobody answers";

/// All processes, each with its plan.
pub(crate) struct Field {
    /// Those that a pause needs.
    lanes: Lanes,
    /// Those that the chat does well without, so that they suffer in pauses too.
    beside: Lanes,
    ports: Vec<u16>,
    freezes: Vec<Arc<AtomicU64>>,
    output: PathBuf,
}

impl Field {
    /// Starts all of them, and waits until the servers listen.
    pub(crate) fn start(options: &Options, folder: &Path, ai: &str, kafka: Option<&Kafka>) -> Self {
        let (mut lanes, mut beside) = (Lanes::default(), Lanes::default());
        let mut shared = match options.store {
            Store::Redis => {
                // With `everysec` Redis may answer before it has written, while an earlier fsync is under way: what it then
                // had acknowledged would be lost with the process.
                let redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]);
                let url = redis.url();
                lanes.add("redis", redis, Plan::new(options.seed, 0, Kind::Redis));
                vec![("REDIS_URL", url)]
            }
            Store::Sqlite => vec![("STORE", "sqlite".to_owned())],
        };
        shared.extend(kafka.iter().flat_map(|kafka| kafka.settings()));
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let users = guests::users_file(folder);
        let mut freezes = Vec::new();
        for (server, (port, lane)) in ports.iter().zip(1..).enumerate() {
            let mut settings = server_settings(*port, if server + 1 == SERVERS { None } else { Some(ai) });
            settings.push(("USERS_FILE", users.display().to_string()));
            settings.extend(shared.clone());
            let log = folder.join(format!("server-{server}"));
            let program = Program::start("app-http", folder, settings, &log);
            freezes.push(program.freezes());
            lanes.add("server", program, Plan::new(options.seed, lane, Kind::Server));
        }
        let output = folder.join("events");
        for lane in (1 + SERVERS as u64..).take(WORKERS) {
            let mut settings = vec![("WORKER_HANDLERS", "log".to_owned()), ("SHUTDOWN_GRACE", "4s".to_owned())];
            settings.extend(shared.clone());
            let program = Program::start("app-worker", folder, settings, &output);
            match kafka {
                Some(_) => beside.add("worker", program, Plan::new(options.seed, lane, Kind::Member)),
                None => lanes.add("worker", program, Plan::new(options.seed, lane, Kind::Worker)),
            }
        }
        if let Some(kafka) = kafka {
            beside.add("kafka", kafka.clone(), Plan::new(options.seed, LANE_OF_KAFKA, Kind::Kafka));
        }
        let field = Self { lanes, beside, ports, freezes, output };
        field.ports.iter().for_each(|port| listens(*port));
        field
    }

    /// Where the servers are.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect()
    }

    /// What the workers print: all into one file, so that their lines stand in the order in which they were written.
    pub(crate) fn worker_output(&self) -> PathBuf {
        self.output.clone()
    }

    /// How often each server was frozen or went on.
    pub(crate) fn freezes(&self) -> Vec<Arc<AtomicU64>> {
        self.freezes.clone()
    }

    /// What suffers beside the rounds: to be taken away for the whole storm, and brought back.
    pub(crate) fn beside(&mut self) -> &mut Lanes {
        &mut self.beside
    }

    /// Faults for so long, or until it is enough. Afterwards everything runs that a pause needs.
    pub(crate) fn storm(&mut self, length: Duration, ledger: &Ledger) {
        self.lanes.storm(length, ledger);
        self.ports.iter().for_each(|port| listens(*port));
    }

    /// How often each fault was done to what.
    pub(crate) fn counts(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for done in self.lanes.done().chain(self.beside.done()) {
            *counts.entry(done).or_default() += 1;
        }
        let all: usize = counts.values().sum();
        let each: Vec<_> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        format!("{all} ({})", each.join(", "))
    }
}

fn server_settings(port: u16, ai: Option<&str>) -> Vec<(&'static str, String)> {
    let lease = format!("{}ms", crate::LEASE.as_millis());
    let mut settings = vec![
        ("PORT", port.to_string()),
        ("JWT_SECRET_KEY", SECRET.to_owned()),
        ("MESSAGE_QUOTA", "off".to_owned()),
        ("GUEST_QUOTA", "off".to_owned()),
        ("LOGIN_QUOTA", "off".to_owned()),
        ("TURN_LEASE", lease),
        ("HTTP_WORKERS", "2".to_owned()),
        ("SHUTDOWN_GRACE", "5s".to_owned()),
        ("AI_FALLBACK_MESSAGE", FALLBACK.to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
    ];
    match ai {
        Some(url) => settings.push(("AI_API_URL", url.to_owned())),
        None => settings.push(("AI_DEMO_DELAY", "200ms".to_owned())),
    }
    settings
}

fn listens(port: u16) {
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "a server does not come up");
        sleep(Duration::from_millis(20));
    }
}

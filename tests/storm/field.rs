//! The processes that the faults are done to.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::ledger::Ledger;
use crate::options::{Options, Store};
use crate::plan::{Fault, Kind, Plan, Step};
use crate::process::free_port;
use crate::program::Program;
use crate::servers::Server as Redis;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{scope, sleep};
use std::time::Duration;
use tokio::time::Instant;

/// How many servers share the store. The last of them has the demo's AI, which answers word by word.
pub(crate) const SERVERS: usize = 3;
const WORKERS: usize = 2;
/// What tokens are signed with.
pub(crate) const SECRET: &str = "a secret of the storm, known to all of it";
/// What stands in for an answer.
pub(crate) const FALLBACK: &str = "nobody answers";
/// All processes, each with its plan.
pub(crate) struct Field {
    redis: Option<Lane<Redis>>,
    programs: Vec<Lane<Program>>,
    ports: Vec<u16>,
    output: PathBuf,
}

impl Field {
    /// Starts all of them, and waits until the servers listen.
    pub(crate) fn start(options: &Options, folder: &Path, ai: &str) -> Self {
        let redis = (options.store == Store::Redis).then(|| {
            // With `everysec` Redis may answer before it has written, while an earlier fsync is under way: what it then had
            // acknowledged would be lost with the process.
            let redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]);
            Lane::new(redis, "redis", Plan::new(options.seed, 0, Kind::Redis))
        });
        let output = folder.join("events");
        let store = match &redis {
            Some(redis) => vec![("REDIS_URL", redis.process.url())],
            None => vec![("STORE", "sqlite".to_owned())],
        };
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let mut programs = Vec::new();
        for (server, port) in ports.iter().enumerate() {
            let mut settings = server_settings(*port, if server + 1 == SERVERS { None } else { Some(ai) });
            settings.extend(store.clone());
            let log = folder.join(format!("server-{server}"));
            programs.push((Program::start("app-http", folder, settings, &log), Kind::Server));
        }
        for _ in 0..WORKERS {
            let mut settings = vec![("WORKER_HANDLERS", "log".to_owned()), ("SHUTDOWN_GRACE", "4s".to_owned())];
            settings.extend(store.clone());
            programs.push((Program::start("app-worker", folder, settings, &output), Kind::Worker));
        }
        let lanes = programs.into_iter().zip(1..).map(|((program, kind), lane)| {
            let name = if matches!(kind, Kind::Server) { "server" } else { "worker" };
            Lane::new(program, name, Plan::new(options.seed, lane, kind))
        });
        let field = Self { redis, programs: lanes.collect(), ports, output };
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
        self.programs.iter().take(SERVERS).map(|lane| lane.process.freezes()).collect()
    }

    /// Faults for so long, or until it is enough. Afterwards everything runs.
    pub(crate) fn storm(&mut self, length: Duration, ledger: &Ledger, until_found: bool) {
        let until = Instant::now() + length;
        let goes_on = &|after| Instant::now() + after < until && !(until_found && ledger.found());
        scope(|lanes| {
            if let Some(redis) = &mut self.redis {
                lanes.spawn(move || redis.storm(goes_on, ledger));
            }
            for program in &mut self.programs {
                lanes.spawn(move || program.storm(goes_on, ledger));
            }
        });
        self.ports.iter().for_each(|port| listens(*port));
    }

    /// How often each fault was done to what.
    pub(crate) fn counts(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let of_redis = self.redis.iter().flat_map(|lane| &lane.done);
        for done in of_redis.chain(self.programs.iter().flat_map(|lane| &lane.done)) {
            *counts.entry(format!("{} {:?}", done.0, done.1)).or_default() += 1;
        }
        let all: usize = counts.values().sum();
        let each: Vec<_> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        format!("{all} ({})", each.join(", "))
    }
}

/// A process, its plan, and what was done to it.
struct Lane<P> {
    process: P,
    name: &'static str,
    plan: Plan,
    next: Option<Step>,
    done: Vec<(&'static str, Fault)>,
}

impl<P: Suffers> Lane<P> {
    fn new(process: P, name: &'static str, plan: Plan) -> Self {
        Self { process, name, plan, next: None, done: Vec::new() }
    }

    fn storm(&mut self, goes_on: &(dyn Fn(Duration) -> bool + Sync), ledger: &Ledger) {
        loop {
            // What the round has no time for is what the next one begins with.
            let step = self.next.take().unwrap_or_else(|| self.plan.next());
            if !goes_on(step.after) {
                self.next = Some(step);
                return;
            }
            sleep(step.after);
            self.process.suffer(step.fault, step.lasts).unwrap_or_else(|wrong| ledger.violation(wrong));
            self.done.push((self.name, step.fault));
        }
    }
}

/// Something that faults can be done to. Afterwards it runs.
pub(crate) trait Suffers: Send {
    /// # Errors
    /// What is wrong with how it took it.
    fn suffer(&mut self, fault: Fault, lasts: Duration) -> Result<(), String>;
}

impl Suffers for Redis {
    fn suffer(&mut self, fault: Fault, lasts: Duration) -> Result<(), String> {
        match fault {
            Fault::Freeze => {
                self.signal("STOP");
                sleep(lasts);
                self.signal("CONT");
            }
            Fault::Flush => drop(self.ask(&["SCRIPT", "FLUSH", "SYNC"])),
            Fault::Cut => drop(self.ask(&["CLIENT", "KILL", "TYPE", "normal"])),
            Fault::CutListeners => drop(self.ask(&["CLIENT", "KILL", "TYPE", "pubsub"])),
            Fault::Kill | Fault::Terminate => {
                self.kill();
                sleep(lasts);
                self.run();
            }
        }
        Ok(())
    }
}

fn server_settings(port: u16, ai: Option<&str>) -> Vec<(&'static str, String)> {
    let lease = format!("{}ms", crate::LEASE.as_millis());
    let mut settings = vec![
        ("PORT", port.to_string()),
        ("JWT_SECRET_KEY", SECRET.to_owned()),
        ("MESSAGE_QUOTA", "off".to_owned()),
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

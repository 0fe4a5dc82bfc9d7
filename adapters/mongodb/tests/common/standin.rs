//! What stands in for a MongoDB, since none can be had on the machines that test: it ends with the test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// A running stand-in. What it holds is gone once it is killed.
pub(crate) struct StandIn {
    pub(crate) port: u16,
    /// Where its certificate is, where it takes TLS alone.
    folder: Option<PathBuf>,
    run: Option<Run>,
}

struct Run {
    /// It lives as long as its standard input is open.
    shell: Child,
    pid: String,
}

impl StandIn {
    /// Starts one; `None` where there is no Java or no Maven to run it with. The first start may have to fetch the jars.
    pub(crate) fn start() -> Option<Self> {
        let mut standin = Self::prepare()?;
        standin.run();
        Some(standin)
    }

    /// The same, with TLS alone.
    pub(crate) fn start_with_tls(folder: &Path) -> Option<Self> {
        let mut standin = Self::prepare()?;
        standin.folder = Some(folder.to_owned());
        standin.run();
        Some(standin)
    }

    /// One that is not started yet.
    pub(crate) fn prepare() -> Option<Self> {
        let there = ["java", "mvn", "keytool", "flock"].iter().all(|program| is_there(program));
        #[expect(clippy::disallowed_methods, reason = "a test without its server must not pass unseen in CI")]
        let required = std::env::var_os("CHAT_TEST_REQUIRE").is_some();
        assert!(there || !required, "there is no java or no mvn to run the stand-in for MongoDB with");
        if !there {
            eprintln!("skipped: there is no java or no mvn to run the stand-in for MongoDB with");
        }
        there.then(|| Self { port: free_port(), folder: None, run: None })
    }

    /// Starts it, also after it was killed; it is empty then.
    pub(crate) fn run(&mut self) {
        let mut shell = Command::new(script());
        shell.arg(self.port.to_string()).args(&self.folder).env("STANDIN_LIBS", env!("CARGO_TARGET_TMPDIR"));
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("standin.sh starts");
        let mut told = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut told).unwrap();
        let pid = told.trim().strip_prefix("ready ").expect("the stand-in comes up").to_owned();
        self.run = Some(Run { shell, pid });
    }

    /// SIGKILL; it is gone afterwards.
    pub(crate) fn kill(&mut self) {
        if let Some(mut run) = self.run.take() {
            drop(run.shell.stdin.take());
            run.shell.wait().unwrap();
        }
    }

    /// SIGSTOP: connections stay, but nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
        // On a busy machine a thread may answer a request before it sees the signal.
        while !self.is_frozen() {
            std::thread::yield_now();
        }
    }

    fn is_frozen(&self) -> bool {
        let pid = &self.run.as_ref().expect("it runs").pid;
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
        // The state stands behind the name, which ends with the last parenthesis.
        let stands = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T"));
        threads.flatten().all(|thread| std::fs::read_to_string(thread.path().join("stat")).is_ok_and(stands))
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = &self.run.as_ref().expect("it runs").pid;
        assert!(Command::new("kill").args([signal, pid]).status().unwrap().success(), "kill {signal}");
    }

    pub(crate) fn uri(&self) -> String {
        match &self.folder {
            Some(folder) => {
                format!("mongodb://localhost:{}/?tls=true&tlsCAFile={}/ca.pem", self.port, folder.display())
            }
            None => format!("mongodb://127.0.0.1:{}", self.port),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_there(program: &str) -> bool {
    let run = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok()
}

/// Found from any package of the project.
fn script() -> PathBuf {
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut scripts = roots.map(|root| root.join("adapters/mongodb/tests/standin/standin.sh"));
    scripts.find(|script| script.exists()).expect("standin.sh is there")
}

/// One that is started again needs the same port, so it is no ephemeral one.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + u16::try_from(std::process::id() % 700).unwrap() * 10;
    loop {
        let port = first + TAKEN.fetch_add(1, Ordering::Relaxed);
        assert!(port < 20_000, "free ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

//! A real Apache Kafka without a container, ended with the test's process at the latest.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// A real Kafka. It ends when it is dropped, or with the test's process.
pub(crate) struct Broker {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    /// Their standard input is open as long as this process lives.
    runs: Mutex<Vec<Child>>,
}

/// The broker of this test binary, once it answers. `None` where there is no Java or no Maven to make one with.
pub(crate) async fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    answering(BROKER.get_or_init(Broker::start).as_ref()).await
}

/// The same for one test alone, which may break it.
pub(crate) async fn own_broker() -> Option<Broker> {
    let broker = Broker::start();
    answering(broker.as_ref()).await?;
    broker
}

async fn answering(broker: Option<&Broker>) -> Option<&Broker> {
    match broker {
        Some(broker) => broker.answers().await,
        None => eprintln!("skipped: there is no java or no mvn to run a Kafka with"),
    }
    broker
}

fn is_there(program: &str) -> bool {
    let run = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok()
}

impl Broker {
    fn start() -> Option<Self> {
        let there = ["java", "mvn", "keytool", "flock"].iter().all(|program| is_there(program));
        #[expect(clippy::disallowed_methods, reason = "a test without its server must not pass unseen in CI")]
        let required = std::env::var_os("CHAT_TEST_REQUIRE").is_some();
        assert!(there || !required, "there is no java or no mvn to run a Kafka with");
        let (port, dir) = there.then(free_place)?;
        let broker = Self { dir, port, runs: Mutex::default() };
        broker.run();
        Some(broker)
    }

    /// Starts it, also after it was killed: its data is still there.
    pub(crate) fn run(&self) {
        // What watched over the broker that was killed would end a process with its number later, whichever has it then.
        for mut before in self.runs.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            drop(before.kill());
            drop(before.wait());
        }
        _ = std::fs::remove_file(self.dir.join("pid"));
        let mut run = Command::new(script());
        run.arg("run").arg(&self.dir).arg(self.port.to_string()).env("KAFKA_LIBS", folder());
        let run = run.stdin(Stdio::piped()).spawn().expect("broker.sh starts");
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
    }

    /// Waits until it takes connections. The first start may have to fetch the jars.
    pub(crate) async fn answers(&self) {
        for _ in 0..3000 {
            let port_of_tls = self.port + 2;
            if [self.port, port_of_tls].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(self.dir.join("broker.log")).unwrap_or_default();
        panic!("the broker does not answer:\n{log}");
    }

    /// Where the far end of a line to it is, for whoever comes by its last listener; that listener is one below.
    pub(crate) fn line(&self) -> u16 {
        self.port + 4
    }

    /// The id of the broker's own process.
    pub(crate) fn pid(&self) -> String {
        std::fs::read_to_string(self.dir.join("pid")).expect("the broker runs").trim().to_owned()
    }

    /// Sends a signal to the broker itself: `KILL`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.pid()).status();
        assert!(sent.expect("kill runs").success(), "kill -{signal}");
        // On a busy machine a thread may answer a request before it sees the signal.
        while signal == "STOP" && !self.is_frozen() {
            std::thread::yield_now();
        }
    }

    fn is_frozen(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the broker runs");
        // The state stands behind the name, which ends with the last parenthesis.
        let stands = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T"));
        threads.flatten().all(|thread| std::fs::read_to_string(thread.path().join("stat")).is_ok_and(stands))
    }

    pub(crate) async fn kill(&self) {
        self.signal("KILL");
        self.is_gone().await;
    }

    /// Waits until it takes no more connections.
    pub(crate) async fn is_gone(&self) {
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// What one of Kafka's own tools says.
    pub(crate) async fn tool(&self, args: &[&str]) -> String {
        let mut tool = Command::new(script());
        tool.arg("tool").arg(&self.dir).args(args).env("KAFKA_LIBS", folder());
        let run = tokio::task::spawn_blocking(move || tool.output()).await.unwrap().expect("the tool runs");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let runs = self.runs.get_mut().unwrap_or_else(PoisonError::into_inner);
        runs.iter_mut().for_each(|run| drop(run.stdin.take()));
        runs.iter_mut().for_each(|run| drop(run.wait()));
    }
}

/// Where jars and data are: `tmp` of the target directory, which cargo names to tests alone and not to examples.
fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    let folder = program.ancestors().nth(3).expect("it is in the target directory").join("tmp");
    std::fs::create_dir_all(&folder).expect("a folder in the target directory");
    folder
}

/// Found from any package of the project.
fn script() -> PathBuf {
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let scripts = roots.map(|root| root.join("adapters/kafka/tests/broker/broker.sh"));
    scripts.into_iter().find(|script| script.exists()).expect("broker.sh is there")
}

/// The first of five ports that are free, and a new directory, by which no two brokers get the same ports while they
/// start. A broker that is started again needs the same, so they are no ephemeral ones.
fn free_place() -> (u16, PathBuf) {
    let first = u16::try_from(std::process::id() % 1000).unwrap() * 10 + 20_000;
    let dir = |port: u16| folder().join(format!("kafka-{port}"));
    let free = |port: &u16| {
        let bound = (0..5).all(|next| TcpListener::bind(("127.0.0.1", port + next)).is_ok());
        bound && std::fs::create_dir(dir(*port)).is_ok()
    };
    let port = (first..31_000).step_by(10).find(free).expect("free ports");
    (port, dir(port))
}

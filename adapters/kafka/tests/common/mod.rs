//! What the tests share: one real broker for each test binary, and short ways to ask and answer.
#![allow(dead_code, reason = "no test binary uses all of it")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test says why it is skipped")]

use chatcore::event::{Event, EventBody};
use chatcore::id::{MessageId, SessionId, UserId};
use chatcore::message::Message;
use chatcore::owner::Owner;
use chatcore::port::{Acked, Delivery, EventBus, Published, Runtime, Subscription};
use chatcore::stamp::{from_micros, micros};
use chatcore_kafka::{Kafka, KafkaConfig};
use chatcore_ports::tokio::TokioRuntime;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A real Kafka. It ends with the test's process.
pub(crate) struct Broker {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    /// Their standard input is open as long as this process lives.
    runs: Mutex<Vec<Child>>,
}

/// The broker of this test binary, once it answers. `None` where there is no Java or no Maven to make one with.
pub(crate) async fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    let broker = BROKER.get_or_init(|| {
        let there = ["java", "mvn", "keytool", "flock"].iter().all(|program| is_there(program));
        #[expect(clippy::disallowed_methods, reason = "a test without its server must not pass unseen in CI")]
        let required = std::env::var_os("CHAT_TEST_REQUIRE").is_some();
        assert!(there || !required, "there is no java or no mvn to run a Kafka with");
        there.then(Broker::start)
    });
    match broker {
        Some(broker) => broker.answers().await,
        None => eprintln!("skipped: there is no java or no mvn to run a Kafka with"),
    }
    broker.as_ref()
}

fn is_there(program: &str) -> bool {
    let run = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok()
}

impl Broker {
    fn start() -> Self {
        let port = free_port();
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-{port}"));
        let broker = Self { dir, port, runs: Mutex::default() };
        broker.run();
        broker
    }

    /// Starts it, also after it was killed: its data is still there.
    pub(crate) fn run(&self) {
        _ = std::fs::remove_file(self.dir.join("pid"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broker/broker.sh");
        let mut run = Command::new(script);
        run.arg("run").arg(&self.dir).arg(self.port.to_string()).env("KAFKA_LIBS", env!("CARGO_TARGET_TMPDIR"));
        let run = run.stdin(Stdio::piped()).spawn().expect("broker.sh starts");
        self.runs.lock().unwrap().push(run);
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
        panic!("the broker does not answer; see {}", self.dir.display());
    }

    /// Sends a signal to the broker itself: `KILL`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.dir.join("pid")).expect("the broker runs");
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.trim()).status();
        assert!(sent.expect("kill runs").success(), "kill -{signal}");
    }

    pub(crate) async fn kill(&self) {
        self.signal("KILL");
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// What one of Kafka's own tools says.
    pub(crate) async fn tool(&self, args: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broker/broker.sh");
        let mut tool = Command::new(script);
        tool.arg("tool").arg(&self.dir).args(args).env("KAFKA_LIBS", env!("CARGO_TARGET_TMPDIR"));
        let run = tokio::task::spawn_blocking(move || tool.output()).await.unwrap().expect("the tool runs");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    }

    /// Settings with topics and groups of their own.
    pub(crate) fn config(&self) -> KafkaConfig {
        let mut config = KafkaConfig::new(vec![format!("127.0.0.1:{}", self.port)]);
        let name = TokioRuntime::current().new_id().simple().to_string();
        let topics = &mut config.topics;
        for topic in [&mut topics.requests, &mut topics.responses, &mut topics.sessions, &mut topics.dlq] {
            *topic = format!("{topic}-{name}");
        }
        config.group_prefix = format!("{name}-");
        config.session_timeout = Duration::from_secs(1);
        config
    }
}

/// The first of three ports that are free. A broker that is started again needs the same, so they are no ephemeral ones.
fn free_port() -> u16 {
    let first = u16::try_from(std::process::id() % 1000).unwrap() * 10 + 20_000;
    let free = |port: &u16| (0..3).all(|next| TcpListener::bind(("127.0.0.1", port + next)).is_ok());
    (first..31_000).step_by(10).find(free).expect("free ports")
}

/// Opens the bus as another process would.
pub(crate) fn open(config: KafkaConfig) -> Kafka {
    Kafka::open(config, Arc::new(TokioRuntime::current())).expect("good settings")
}

pub(crate) fn new_session() -> SessionId {
    SessionId::from(TokioRuntime::current().new_id())
}

/// Question number `seq` of a session.
pub(crate) fn question(session: SessionId, seq: u64, text: &str) -> Event {
    let runtime = TokioRuntime::current();
    let (turn, at) = (MessageId::from(runtime.new_id()), from_micros(micros(runtime.now())));
    let body = EventBody::ChatRequested(Box::new(Message::question(turn, seq, text.to_owned(), at)));
    Event { session, owner: Owner::User(UserId::parse("ann").unwrap()), seq, at, request_id: None, body }
}

/// Publishes events as a relay does: again and again, until all are done.
pub(crate) async fn publish(bus: &Kafka, events: &[Event]) {
    let mut left = events.to_vec();
    while !left.is_empty() {
        match bus.publish(&left).await {
            Ok(results) => {
                let pairs = left.into_iter().zip(results);
                left = pairs.filter(|(_, result)| !matches!(result, Published::Done)).map(|(event, _)| event).collect();
            }
            Err(error) => assert!(error.may_pass(), "{error:?}"),
        }
        if !left.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) async fn next(member: &Arc<dyn Subscription>) -> Delivery {
    let next = timeout(Duration::from_secs(30), member.next()).await.expect("next comes back in time");
    next.expect("next answers").expect("it is open")
}

/// The event of the next delivery, which is worked off.
pub(crate) async fn take(member: &Arc<dyn Subscription>) -> Event {
    let delivery = next(member).await;
    assert_eq!(member.ack(&delivery.id).await.unwrap(), Acked::Done);
    delivery.event.expect("an event")
}

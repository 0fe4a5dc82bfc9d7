//! Relays of several processes, of which one at a time has a partition: no event is published twice while all are well.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::policy::OutboxFull;
use chatcore::port::{EventBus, Outbox, Published, Subscription};
use chatcore::relay::Relay;
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{Redis, RedisConfig};
use common::events::{event, publish, session};
use common::{Server, config, open};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const SESSIONS: u128 = 40;
/// How long a relay that died keeps the others away, and how soon they look then.
const LEASE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_secs(1);

/// A bus that takes its time.
#[derive(Debug, Default)]
struct Slow {
    taken: Mutex<Vec<Event>>,
    takes: Duration,
}

#[async_trait]
impl EventBus for Slow {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        sleep(self.takes).await;
        self.taken.lock().unwrap().extend_from_slice(events);
        Ok(vec![Published::Done; events.len()])
    }

    async fn subscribe(&self, _group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        Err(BackendError::never("slow", "nobody reads it"))
    }
}

impl Slow {
    fn taking(millis: u64) -> Arc<Self> {
        Arc::new(Self { takes: Duration::from_millis(millis), ..Self::default() })
    }

    /// Waits until each session's events up to this one were taken: each once, and in order.
    async fn has(&self, last: u64, soon: Duration) {
        let count = usize::try_from(SESSIONS).unwrap() * usize::try_from(last).unwrap();
        let all = async {
            while self.taken.lock().unwrap().len() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let came = timeout(soon, all).await;
        let mut seen: BTreeMap<SessionId, Vec<u64>> = BTreeMap::new();
        self.taken.lock().unwrap().iter().for_each(|event| seen.entry(event.session).or_default().push(event.seq));
        assert!(came.is_ok(), "after {soon:?} {} of {count} events were published", seen.values().flatten().count());
        for (session, seen) in &seen {
            assert_eq!(*seen, (1..=last).collect::<Vec<_>>(), "what was published of session {session}");
        }
    }
}

/// A bus that fails altogether, or leaves each event for later.
#[derive(Debug, Default)]
struct Away(AtomicUsize);

#[async_trait]
impl EventBus for Away {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        let away = BackendError::later("away", "no way to it from here");
        match self.0.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => Err(away),
            _ => Ok(vec![Published::Later(away); events.len()]),
        }
    }

    async fn subscribe(&self, _group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        Err(BackendError::never("away", "nobody reads it"))
    }
}

/// A server, and how its outbox is reached.
struct Field {
    server: Server,
    config: RedisConfig,
    writer: Arc<Redis>,
}

impl Field {
    async fn new() -> Self {
        let server = Server::start();
        let mut config = config(&[server.url()]);
        config.limits.outbox_full = OutboxFull::Refuse;
        let writer = open(&config).await;
        Self { server, config, writer }
    }

    /// A relay at work, as a program has it.
    async fn relay(&self, bus: &Arc<impl EventBus>) -> Process {
        let outbox = open(&self.config).await;
        let runtime = Arc::new(TokioRuntime::current());
        let mut relay = Relay::new(outbox.clone(), bus.clone(), runtime, 100, Duration::from_secs(10));
        let work = tokio::spawn(async move {
            loop {
                if relay.step().await.is_err() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        });
        Process { outbox, work }
    }

    /// The event of this number of each session.
    async fn write(&self, seq: u64) {
        let events: Vec<Event> = (0..SESSIONS).map(|number| event(session(number), seq)).collect();
        publish(&self.writer, &events).await;
    }

    /// Waits until the store knows of all that it was published: what a relay has published and not told yet, the next one
    /// publishes again.
    async fn is_settled(&self) {
        let settled = async {
            while self.writer.backlog().await.unwrap().events > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LEASE, settled).await.unwrap();
    }

    /// How many commands were run, those of scripts too.
    fn commands(&self) -> u64 {
        self.server.commands().iter().filter(|(name, _)| name != "info").map(|(_, count)| count).sum()
    }
}

struct Process {
    outbox: Arc<Redis>,
    work: JoinHandle<()>,
}

impl Process {
    /// It comes no more, and says nothing.
    fn dies(self) {
        self.work.abort();
    }

    async fn leaves(self) {
        self.work.abort();
        self.outbox.leave().await.unwrap();
    }
}

/// While thousands are written, and after a time in which nobody had anything.
#[tokio::test(flavor = "multi_thread")]
async fn three_relays_at_once_publish_each_event_once() {
    let (field, bus) = (Field::new().await, Slow::taking(5));
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(field.relay(&bus).await);
    }
    for seq in 1..=120 {
        field.write(seq).await;
        sleep(if seq == 80 { LEASE + LOOK } else { Duration::from_millis(40) }).await;
    }
    bus.has(120, Duration::from_secs(20)).await;
    // Nor does one come later that has waited.
    sleep(LEASE + LOOK).await;
    bus.has(120, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_a_lease_is_published_once() {
    let (field, bus) = (Field::new().await, Slow::taking(5000));
    let _relays = (field.relay(&bus).await, field.relay(&bus).await);
    field.write(1).await;
    sleep(LEASE).await;
    field.write(2).await;
    bus.has(2, Duration::from_secs(20)).await;
    sleep(LEASE + LOOK).await;
    bus.has(2, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_had_others_have_soon_after_it_died_and_at_once_when_it_left() {
    let (field, bus) = (Field::new().await, Slow::taking(50));
    let first = field.relay(&bus).await;
    field.write(1).await;
    bus.has(1, LOOK).await;
    // The second one sees that the first has everything.
    let second = field.relay(&bus).await;
    sleep(LOOK).await;
    field.write(2).await;
    bus.has(2, LOOK).await;
    field.is_settled().await;
    first.dies();
    field.write(3).await;
    bus.has(3, LEASE + LOOK + Duration::from_millis(500)).await;
    let _third = field.relay(&bus).await;
    sleep(LOOK).await;
    field.write(4).await;
    bus.has(4, LOOK).await;
    field.is_settled().await;
    second.leaves().await;
    field.write(5).await;
    bus.has(5, Duration::from_millis(800)).await;
}

/// It keeps on trying, and would keep the others away for as long as it does.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_bus_does_not_take_of_one_relay_another_publishes() {
    let (field, bus) = (Field::new().await, Slow::taking(5));
    let away = Arc::new(Away::default());
    let _fails = field.relay(&away).await;
    field.write(1).await;
    while away.0.load(Ordering::SeqCst) < 4 {
        sleep(Duration::from_millis(5)).await;
    }
    let _works = field.relay(&bus).await;
    bus.has(1, 2 * LEASE).await;
    field.write(2).await;
    bus.has(2, 2 * LEASE).await;
}

#[tokio::test]
async fn who_leaves_takes_nothing_from_another() {
    let field = Field::new().await;
    let (holds, leaves) = (open(&field.config).await, open(&field.config).await);
    field.write(1).await;
    assert_eq!(holds.claim(100, Duration::ZERO).await.unwrap().len(), 40);
    leaves.leave().await.unwrap();
    assert_eq!(leaves.claim(100, LOOK).await.unwrap(), [], "another has it");
}

/// A message all 20 ms, and what each costs: once with one relay and once with three.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_has_nothing_costs_nothing_for_a_message() {
    const MESSAGES: u64 = 200;
    let (field, bus) = (Field::new().await, Slow::taking(5));
    let _first = field.relay(&bus).await;
    let cost = async |from: u64| {
        let before = field.commands();
        let began = Instant::now();
        for message in 0..MESSAGES {
            let message = from + message;
            let of = session(u128::from(message) % SESSIONS);
            publish(&field.writer, &[event(of, 1 + message / u64::try_from(SESSIONS).unwrap())]).await;
            sleep(Duration::from_millis(20)).await;
        }
        ((field.commands() - before) as f64 / MESSAGES as f64, began.elapsed())
    };
    let (alone, _) = cost(0).await;
    let _others = (field.relay(&bus).await, field.relay(&bus).await);
    sleep(LOOK).await;
    let (amid, took) = cost(MESSAGES).await;
    let each = (amid - alone) / 2.0;
    println!("a message costs {alone:.1} commands with one relay, {amid:.1} with three: {each:.1} more for each");
    // Now and then each looks at what may be free, in 16 partitions.
    let now_and_then = 40.0 * took.as_secs_f64() / MESSAGES as f64;
    assert!(each < now_and_then, "{each:.2} commands more for each, {now_and_then:.2} at most");
}

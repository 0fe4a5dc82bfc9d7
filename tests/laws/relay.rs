//! Laws of `Relay`: what the bus cannot take now holds back its own sessions, and nothing else.

use crate::Bench;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::event::{Event, EventBody};
use chatcore::id::{AttemptId, Key, MessageId, SessionId, UserId};
use chatcore::message::{AiReply, Answer, Status};
use chatcore::owner::Owner;
use chatcore::port::{EventBus, Outbox, Published, Runtime, SessionStore, Subscription};
use chatcore::relay::Relay;
use chatcore::turn::{Began, NewTurn, Target};
use chatcore_ports::memory::MemoryStore;
use chatcore_ports::sim::{Sim, SimRuntime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a relay takes at once: much less than what is stuck, and not a whole number of turns.
const BATCH: usize = 7;
/// As long as a relay waits for the first event.
const WAIT: Duration = Duration::from_secs(10);

/// A bus, perhaps one that takes its time, that does not take what these sessions ask, as one whose topic of questions cannot be had in some partitions.
#[derive(Debug, Clone, Default)]
struct Picky(Arc<Mutex<Taken>>, Option<SimRuntime>);

/// Which sessions it does not take, what it took, and whether it fails altogether the next time.
type Taken = (BTreeSet<SessionId>, Vec<Event>, bool);

#[async_trait]
impl EventBus for Picky {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        if let Some(runtime) = &self.1 {
            runtime.sleep(Duration::from_millis(10)).await;
        }
        let (stuck, taken, fails) = &mut *self.0.lock().unwrap();
        if std::mem::take(fails) {
            return Err(BackendError::later("picky", "its topics are not known"));
        }
        let mut failed = BTreeSet::new();
        let take = events.iter().map(|event| {
            let asks = matches!(event.body, EventBody::ChatRequested(_));
            if failed.contains(&event.session) || asks && stuck.contains(&event.session) {
                failed.insert(event.session);
                return Published::Later(BackendError::later("picky", "its leader is away"));
            }
            taken.push(event.clone());
            Published::Done
        });
        Ok(take.collect())
    }

    async fn subscribe(&self, _: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        Err(BackendError::never("picky", "nobody reads it"))
    }
}

impl Picky {
    /// Up to which event each session was taken, without a gap and in order.
    fn sessions(&self) -> BTreeMap<SessionId, u64> {
        let mut sessions = BTreeMap::new();
        for event in &self.0.lock().unwrap().1 {
            let last = sessions.entry(event.session).or_default();
            assert_eq!(event.seq, *last + 1, "an event overtook another of its session, or came twice");
            *last = event.seq;
        }
        sessions
    }
}

struct Chats {
    store: MemoryStore,
    runtime: SimRuntime,
}

impl Chats {
    async fn turn(&self, target: Target) -> SessionId {
        let new = NewTurn {
            owner: Owner::User(UserId::parse("u").unwrap()),
            target,
            key: Key::parse(self.runtime.new_id().to_string()).unwrap(),
            body_hash: 1,
            attempt: AttemptId::from(self.runtime.new_id()),
            message: MessageId::from(self.runtime.new_id()),
            text: "?".into(),
            request_id: None,
            quota: None,
            window: 0,
            lease: Duration::from_secs(1),
            ttl: Duration::from_secs(86_400),
        };
        let began = self.store.begin_turn(&new).await.unwrap();
        let Began::Started(started) = began else { unreachable!("not started: {began:?}") };
        let answer = Answer { status: Status::Completed, content: "!".into(), reply: AiReply::default() };
        self.store.finish_turn(&started.turn, &answer).await.unwrap();
        started.turn.id.session
    }

    /// Twice in each of so many sessions: in all once, and then again.
    async fn talk(&self, sessions: usize) -> BTreeSet<SessionId> {
        let mut of = BTreeSet::new();
        for _ in 0..sessions {
            of.insert(self.turn(Target::New).await);
        }
        for session in &of {
            self.turn(Target::Existing(*session)).await;
        }
        of
    }
}

/// A relay at work, as a program has it.
fn relay(sim: &Sim, store: &MemoryStore, bus: &Picky) {
    let runtime = sim.runtime(2);
    let (outbox, bus) = (Arc::new(store.clone()), Arc::new(bus.clone()));
    let mut relay = Relay::new(outbox, bus, Arc::new(runtime.clone()), BATCH, WAIT);
    sim.spawn(2, async move {
        loop {
            if relay.step().await.is_err() {
                runtime.sleep(Duration::from_millis(100)).await;
            }
        }
    });
}

#[test]
fn what_the_bus_cannot_take_holds_back_its_own_sessions_alone_and_in_their_order() {
    let (bench, bus) = (Bench::new(), Picky::default());
    let (sim, runtime) = (bench.sim.clone(), bench.sim.runtime(0));
    let chats = Chats { store: bench.store.clone(), runtime: runtime.clone() };
    bench.run(async move {
        let stuck = chats.talk(5 * BATCH).await;
        bus.0.lock().unwrap().0 = stuck.clone();
        let free = chats.talk(2 * BATCH).await;
        relay(&sim, &chats.store, &bus);
        runtime.sleep(Duration::from_secs(5)).await;
        assert_eq!(
            bus.sessions(),
            free.iter().map(|session| (*session, 4)).collect(),
            "all that can be taken, and no more"
        );
        // For as long as it lasts.
        for minute in 1..=3 {
            runtime.sleep(Duration::from_secs(60)).await;
            chats.turn(Target::Existing(*stuck.first().unwrap())).await;
            let new = chats.turn(Target::New).await;
            runtime.sleep(Duration::from_millis(200)).await;
            assert_eq!(bus.sessions().get(&new), Some(&2), "new events go out at once, also in minute {minute}");
        }
        bus.0.lock().unwrap().0.clear();
        runtime.sleep(Duration::from_secs(5)).await;
        assert_eq!(chats.store.backlog().await.unwrap().events, 0, "what was stuck goes out soon after");
        let seen = bus.sessions();
        assert_eq!(seen.values().sum::<u64>(), 4 * 7 * BATCH as u64 + 3 * 4, "each event once");
        assert_eq!(seen[stuck.first().unwrap()], 10);
    });
}

/// Else it would go a little further each time, as at first, and with the longest pauses in between.
#[test]
fn after_an_error_the_relay_is_soon_behind_what_the_bus_cannot_take() {
    let (bench, bus) = (Bench::new(), Picky::default());
    let (sim, runtime) = (bench.sim.clone(), bench.sim.runtime(0));
    let chats = Chats { store: bench.store.clone(), runtime: runtime.clone() };
    bench.run(async move {
        bus.0.lock().unwrap().0 = chats.talk(10 * BATCH).await;
        relay(&sim, &chats.store, &bus);
        runtime.sleep(Duration::from_secs(20)).await;
        for at in [0, 500, 1900] {
            runtime.sleep(Duration::from_millis(10_000 + at)).await;
            bus.0.lock().unwrap().2 = true;
            let new = chats.turn(Target::New).await;
            runtime.sleep(Duration::from_millis(500)).await;
            assert!(!bus.0.lock().unwrap().2, "it failed");
            assert_eq!(bus.sessions().get(&new), Some(&2));
        }
        // And in the end all goes out.
        bus.0.lock().unwrap().0.clear();
        runtime.sleep(Duration::from_secs(10)).await;
        assert_eq!(chats.store.backlog().await.unwrap().events, 0);
    });
}

/// There is no moment in which nothing new is there.
#[test]
fn what_was_left_goes_out_amid_traffic_that_never_ends() {
    let bench = Bench::new();
    let (sim, runtime) = (bench.sim.clone(), bench.sim.runtime(0));
    let bus = Picky(Arc::default(), Some(bench.sim.runtime(2)));
    let chats = Chats { store: bench.store.clone(), runtime: runtime.clone() };
    let others = Chats { store: bench.store.clone(), runtime: runtime.clone() };
    bench.run(async move {
        let stuck = chats.talk(3).await;
        bus.0.lock().unwrap().0 = stuck.clone();
        relay(&sim, &chats.store, &bus);
        sim.spawn(3, async move {
            loop {
                others.turn(Target::New).await;
                others.runtime.sleep(Duration::from_millis(5)).await;
            }
        });
        runtime.sleep(Duration::from_secs(20)).await;
        assert!(bus.sessions().len() > 3000, "the others' events go out");
        bus.0.lock().unwrap().0.clear();
        runtime.sleep(Duration::from_secs(15)).await;
        let seen = bus.sessions();
        assert!(stuck.iter().all(|session| seen.get(session) == Some(&4)), "what was stuck goes out, too");
        sim.kill(3);
    });
}

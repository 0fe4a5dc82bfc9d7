//! A world of one seed: servers that crash and come back, owners with their clients, a storm and the calm after it.

use crate::ai::SimAi;
use crate::check::{Findings, check};
use crate::client::{Ack, Errand, Outcome};
use async_trait::async_trait;
use chat_sim::net::{Far, Net};
use chatcore::ChatService;
use chatcore::consume::{Consumer, EventHandler, Unhandled};
use chatcore::event::Event;
use chatcore::id::{DeviceId, SessionId, UserId};
use chatcore::owner::Owner;
use chatcore::policy::{ChatPolicy, OutboxFull, Quota, StoreLimits};
use chatcore::port::{EventBus, Place, Runtime, SessionStore};
use chatcore::relay::Relay;
use chatcore::sweep::Sweeper;
use chatcore::turn::Target;
use chatcore_ports::memory::{MemoryBus, MemoryStore, Plant};
use chatcore_ports::sim::{Group, Sim};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a turn of a dead server stays open.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
const SERVERS: usize = 3;
const OWNERS: usize = 3;
const MESSAGES: usize = 3;
/// How many questions an owner may start.
pub(crate) const QUOTA: Quota = Quota { limit: 4, window: Duration::from_secs(2) };
/// How many events may wait for the bus.
const OUTBOX: u64 = 24;

/// Everything that a seed makes.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Time, order, chance.
    pub(crate) sim: Sim,
    /// What the servers share.
    pub(crate) store: MemoryStore,
    /// Where events go.
    pub(crate) bus: MemoryBus,
    /// What lies between.
    pub(crate) net: Net,
    state: Arc<Mutex<State>>,
}

/// What a seed is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sky {
    /// Only a slow AI and impatient clients.
    Fair,
    /// Now and then a call fails, never two in a row.
    Drizzle,
    /// Faults, outages, crashes.
    #[default]
    Storm,
}

#[derive(Debug, Default)]
struct State {
    servers: Vec<Option<(Group, ChatService)>>,
    /// How each of them reaches the store and the bus.
    links: Vec<Net>,
    groups: Group,
    crashes: u64,
    calm: bool,
    acks: Vec<Ack>,
    deleted: Vec<SessionId>,
    sky: Sky,
    handled: Vec<Event>,
}

/// Runs one seed to its end and checks it.
///
/// # Errors
/// What was violated.
pub(crate) fn run(seed: u64, plant: Plant) -> Result<Findings, String> {
    let sim = Sim::new(seed);
    let runtime = Arc::new(sim.runtime(0));
    let world = World {
        store: MemoryStore::planted(runtime.clone(), limits(), plant),
        bus: MemoryBus::new(runtime),
        net: Net::new(sim.clone()),
        state: Arc::default(),
        sim,
    };
    world.lock().sky = [Sky::Fair, Sky::Drizzle, Sky::Storm, Sky::Storm][seed as usize % 4];
    let finished = world.sim.run(world.clone().live());
    let findings = if finished { check(&world) } else { Err("all tasks wait for each other".into()) };
    world.sim.end();
    world.lock().servers.clear();
    findings
}

fn limits() -> StoreLimits {
    let mut limits = StoreLimits::default();
    (limits.outbox_events, limits.outbox_full) = (OUTBOX, OutboxFull::Refuse);
    limits
}

impl World {
    async fn live(self) {
        let sky = self.sky();
        self.net.set(|weather| match sky {
            Sky::Fair => {}
            Sky::Drizzle => (weather.before, weather.after, weather.spacing) = (50, 50, Duration::from_millis(1200)),
            Sky::Storm => {
                (weather.before, weather.after, weather.late) = (30, 30, 20);
                (weather.slow, weather.part) = (20, 100);
            }
        });
        (0..SERVERS).for_each(|slot| self.start(slot));
        let storm = self.sim.spawn(0, self.clone().storm());
        let done = Arc::new(chatcore::watch::Watch::new(0));
        for owner in 0..OWNERS {
            let (world, done) = (self.clone(), done.clone());
            self.sim.spawn(0, async move {
                world.owner(owner).await;
                done.update(|count| *count += 1);
            });
        }
        done.wait(|count| (*count == OWNERS).then_some(())).await;
        self.sim.abort(storm);
        self.calm().await;
    }

    /// Fair weather until everything that is promised has come.
    async fn calm(&self) {
        self.net.set(|weather| *weather = Default::default());
        self.lock().links.iter().for_each(|link| link.sever(false));
        self.lock().calm = true;
        (0..SERVERS).filter(|slot| self.lock().servers[*slot].is_none()).for_each(|slot| self.start(slot));
        self.sim.runtime(0).sleep(LEASE + Duration::from_secs(12)).await;
    }

    async fn storm(self) {
        while self.sky() == Sky::Storm {
            self.nap(100, 2500).await;
            match self.sim.below(10) {
                0 => self.outage().await,
                1..6 => self.crash(self.sim.below(SERVERS as u64) as usize),
                6 => self.drain(self.sim.below(SERVERS as u64) as usize),
                7..9 => self.cut_off(self.sim.below(SERVERS as u64) as usize),
                _ => {}
            }
            (0..SERVERS)
                .filter(|slot| self.sim.chance(500) && self.lock().servers[*slot].is_none())
                .for_each(|slot| self.start(slot));
        }
    }

    async fn outage(&self) {
        self.net.set(|weather| weather.outage = true);
        self.nap(100, 4000).await;
        self.net.set(|weather| weather.outage = false);
    }

    /// A server that the others and the store do not hear of for a while. It goes on, and comes back with what it has.
    fn cut_off(&self, slot: usize) {
        let (world, link) = (self.clone(), self.lock().links[slot].clone());
        link.sever(true);
        self.sim.spawn(0, async move {
            world.nap(1000, 6000).await;
            link.sever(false);
        });
    }

    fn crash(&self, slot: usize) {
        let server = self.lock().servers[slot].take();
        if let Some((group, _)) = &server {
            self.lock().crashes += 1;
            self.sim.kill(*group);
        }
    }

    fn drain(&self, slot: usize) {
        let Some((group, service)) = self.lock().servers[slot].take() else { return };
        let world = self.clone();
        self.sim.spawn(0, async move {
            service.drain(Duration::from_secs(1)).await;
            world.sim.kill(group);
        });
    }

    fn start(&self, slot: usize) {
        let group = {
            let mut state = self.lock();
            state.servers.resize(SERVERS, None);
            state.links.resize(SERVERS, self.net.link());
            state.links[slot] = self.net.link();
            state.groups += 1;
            state.groups
        };
        let runtime = Arc::new(self.sim.runtime(group));
        let link = self.lock().links[slot].clone();
        let store = Arc::new(Far::new(self.store.clone(), link.clone()));
        let ai = Arc::new(SimAi::new(self.sim.clone(), self.sim.runtime(group)));
        let mut policy = ChatPolicy::default();
        (policy.lease, policy.ai_timeout, policy.settle) = (LEASE, Duration::from_secs(6), Duration::from_secs(20));
        policy.quota = Some(QUOTA);
        let service = ChatService::new(store.clone(), ai, runtime, policy);
        self.lock().servers[slot] = Some((group, service));
        self.spawn_loops(group, store, link);
    }

    fn spawn_loops(&self, group: Group, store: Arc<Far<MemoryStore>>, link: Net) {
        let (sessions, runtime) = (store.clone() as Arc<dyn SessionStore>, Arc::new(self.sim.runtime(group)));
        let mut sweeper = Sweeper::new(sessions, runtime, LEASE, 10);
        let bus = Arc::new(Far::new(self.bus.clone(), link));
        let mut relay = Relay::new(store, bus, Arc::new(self.sim.runtime(group)), 16, Duration::from_secs(1));
        let world = self.clone();
        self.sim.spawn(group, async move {
            loop {
                if let Ok(wait) = sweeper.step().await {
                    world.sim.runtime(group).sleep(wait).await;
                }
                world.nap(0, 500).await;
            }
        });
        let world = self.clone();
        self.sim.spawn(group, async move {
            loop {
                if relay.step().await.is_err() {
                    world.nap(100, 300).await;
                }
            }
        });
        self.sim.spawn(group, self.clone().consume(group));
    }

    async fn consume(self, group: Group) {
        let Ok(subscription) = self.bus.subscribe("workers").await else { return };
        let runtime = Arc::new(self.sim.runtime(group));
        let consumer = Consumer::new(subscription, vec![Arc::new(self.clone())], runtime, 10);
        loop {
            drop(consumer.step().await);
        }
    }

    /// A first message opens the session; then two clients talk in it at once, and perhaps it is deleted under them. Some
    /// owners begin as guests: their session becomes a user's while one of their messages may be running.
    async fn owner(&self, number: usize) {
        let user = UserId::parse(format!("user {number}")).expect("a short id");
        let guest = DeviceId::parse(format!("device {number}")).expect("a short id");
        let begins_as_guest = self.sim.chance(250);
        let owner = if begins_as_guest { Owner::Guest(guest.clone()) } else { Owner::User(user.clone()) };
        let first = Errand::new(self.clone(), owner.clone(), Target::New, format!("{number}/first"));
        let Outcome::Acked(ack) = self.errand(first.clone()).await else { return };
        let target = Target::Existing(ack.session);
        if begins_as_guest {
            let last = Errand::new(self.clone(), owner, target, format!("{number}/guest"));
            futures_util::future::join(self.errand(last), self.adopt(&guest, &user)).await;
        }
        let owner = Owner::User(user);
        let talk = |client: usize| {
            let (world, owner) = (self.clone(), owner.clone());
            async move {
                for message in 0..MESSAGES {
                    let name = format!("{number}/{client}/{message}");
                    world.errand(Errand::new(world.clone(), owner.clone(), target, name)).await;
                }
            }
        };
        let delete = async {
            if self.sim.chance(150) {
                self.nap(100, 5000).await;
                self.delete(&owner, ack.session).await;
            }
        };
        futures_util::future::join3(talk(0), talk(1), delete).await;
        if self.sim.chance(300) {
            // A first message that comes again, long after.
            self.errand(first).await;
        }
    }

    async fn adopt(&self, guest: &DeviceId, user: &UserId) {
        self.nap(0, 1000).await;
        loop {
            // Through any server, which may die on the way; the adoption is complete once one call went through.
            if let Some((_, service)) = self.any_server()
                && self
                    .within(Duration::from_secs(3), service.adopt(guest, user))
                    .await
                    .is_some_and(|done| done.is_ok())
            {
                return;
            }
            self.nap(50, 500).await;
        }
    }

    async fn errand(&self, errand: Errand) -> Outcome {
        if self.sim.chance(150) {
            let (world, errand) = (self.clone(), errand.clone());
            self.sim.spawn(0, async move { world.stop_later(errand).await });
        }
        let outcome = errand.run().await;
        if let Outcome::Acked(ack) = &outcome {
            self.lock().acks.push((**ack).clone());
        }
        outcome
    }

    async fn stop_later(&self, errand: Errand) {
        self.nap(50, 1500).await;
        if let (Some(turn), Some((_, service))) = (errand.turn(), self.any_server()) {
            drop(service.stop(errand.owner(), &turn).await);
        }
    }

    async fn delete(&self, owner: &Owner, session: SessionId) {
        let store = Far::new(self.store.clone(), self.net.clone());
        while store.delete(owner, &session, None).await.is_err() {
            self.nap(50, 500).await;
        }
        self.lock().deleted.push(session);
    }

    /// A server that is up.
    pub(crate) fn any_server(&self) -> Option<(Group, ChatService)> {
        let slot = self.sim.below(SERVERS as u64) as usize;
        self.lock().servers[slot].clone()
    }

    /// What clients were told.
    pub(crate) fn acks(&self) -> Vec<Ack> {
        self.lock().acks.clone()
    }

    /// The sessions whose deletion was acknowledged.
    pub(crate) fn deleted(&self) -> Vec<SessionId> {
        self.lock().deleted.clone()
    }

    /// What consumers handled.
    pub(crate) fn handled(&self) -> Vec<Event> {
        self.lock().handled.clone()
    }

    /// What it was like.
    pub(crate) fn sky(&self) -> Sky {
        self.lock().sky
    }

    /// How many servers died.
    pub(crate) fn crashes(&self) -> u64 {
        self.lock().crashes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventHandler for World {
    async fn handle(&self, event: &Event, _: &Place) -> Result<(), Unhandled> {
        self.nap(0, 5).await;
        if !self.lock().calm && self.sim.chance(50) {
            return Err("a handler that fails".into());
        }
        self.lock().handled.push(event.clone());
        Ok(())
    }
}

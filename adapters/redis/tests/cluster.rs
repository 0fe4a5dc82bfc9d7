//! What happens when a part of a cluster misbehaves: it is told soon, over soon, and nothing to what lies elsewhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use Named::{All, One};
use chatcore::error::AccessError;
use chatcore::message::MessagesPage;
use chatcore::policy::Quota;
use chatcore::port::{EventBus, Health, Outbox, Probe, SessionStore, Throttle};
use chatcore::sweep::Sweeper;
use chatcore::turn::{Cursor, NewTurn, Piece, Position, Started, Target};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{OpenError, Redis, RedisConfig};
use common::chat::{finish, one_of_each, question, start};
use common::faults::{BACK, SOON, config, is_back_soon, now};
use common::{Cluster, NODE, Server, certificate, free_port, open};
use futures_util::future::{Either, select};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How soon after its lease an orphan is closed, with some room for a busy machine.
const CLOSED_WITHIN: Duration = Duration::from_millis(2500);
/// How long a sweeper rests between two looks.
const REST: Duration = Duration::from_millis(250);

/// A cluster and a store on it, with open turns on each node.
struct Field {
    cluster: Cluster,
    config: RedisConfig,
    store: Arc<Redis>,
    turns: [Vec<(NewTurn, Started)>; 3],
}

/// Which nodes a configuration names: the others are learned from it.
#[derive(Clone, Copy)]
enum Named {
    All,
    One,
}

impl Field {
    async fn of(cluster: Cluster, named: Named) -> Self {
        let mut config = config(cluster.nodes[0].url());
        if let All = named {
            config.urls = cluster.urls();
        }
        let store = open(&config).await;
        let (mut turns, mut number) = ([const { Vec::new() }; 3], 0);
        while turns.iter().any(|turns| turns.len() < 2) {
            number += 1;
            let owner = format!("user:user{number}").parse().unwrap();
            let new = NewTurn { owner, ..question(Target::New, "k0") };
            let started = start(&*store, &new).await;
            let (_, node) = cluster.slot_of(&started.turn.id.session.to_string());
            turns[node].push((new, started));
        }
        Self { cluster, config, store, turns }
    }

    /// The turns on all nodes but one.
    fn but(&self, away: usize) -> impl Iterator<Item = &(NewTurn, Started)> + Clone {
        self.turns.iter().enumerate().filter(move |(node, _)| *node != away).flat_map(|(_, turns)| turns)
    }

    /// Callers of what lies on a node that is away: each call is refused soon, or answered once the node is back.
    fn callers_of(&self, away: usize) -> Callers {
        let stop = Arc::new(AtomicBool::new(false));
        let call = |(new, lost): &(NewTurn, Started)| {
            let (store, owner, session) = (self.store.clone(), new.owner.clone(), lost.turn.id.session);
            let stop = stop.clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let began = now();
                    let told = store.session(&owner, &session).await;
                    let took = began.elapsed();
                    let is_as_it_should = match &told {
                        Ok(_) => true,
                        Err(AccessError::Backend(error)) => error.may_pass(),
                        Err(_) => false,
                    };
                    assert!(is_as_it_should && took < SOON, "{told:?} after {took:?}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        let tasks = self.turns[away].iter().cycle().take(4).map(call).collect();
        Callers { stop, tasks }
    }

    /// What lies on the other nodes is answered as soon as ever, also while many wait for what does not; and the probe tells
    /// how much is away.
    async fn others_are_well(&self, away: usize) {
        let callers = self.callers_of(away);
        let mut took = Vec::new();
        for (new, started) in self.but(away).cycle().take(400) {
            let began = now();
            self.store.session(&new.owner, &started.turn.id.session).await.unwrap();
            took.push(began.elapsed());
        }
        took.sort();
        assert!(took[380] < SOON / 4, "of others' calls one in twenty took {:?} or longer", took[380]);
        let began = now();
        let told = self.store.check().await.unwrap();
        assert!(matches!(&told, Health::Partly(what) if what.contains(" of 16 partitions: ")), "{told:?}");
        assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
        callers.end().await;
    }
}

struct Callers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Callers {
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_down() {
    for named in [All, One] {
        let mut field = Field::of(Cluster::start(), named).await;
        // Also the one by which the others were found.
        field.cluster.nodes[0].kill();
        field.others_are_well(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_frozen() {
    for named in [All, One] {
        let field = Field::of(Cluster::start(), named).await;
        field.cluster.nodes[0].signal("STOP");
        field.others_are_well(0).await;
        field.cluster.nodes[0].signal("CONT");
        is_back_soon(&field.store).await;
        finish(&*field.store, &field.turns[0][0].1).await;
    }
}

/// Nobody waits for it, and once it is back its servers come before the sweeper.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_keeps_no_orphan_of_another_open() {
    let field = Field::of(Cluster::start(), All).await;
    for (_, started) in field.turns.iter().flatten() {
        let piece = Piece { offset: 0, text: "Mu".into() };
        field.store.extend_turn(&started.turn, &piece, Duration::from_millis(1)).await.unwrap();
    }
    field.cluster.nodes[0].signal("STOP");
    let others = async {
        let page = MessagesPage { before: None, limit: 9 };
        for (new, started) in field.but(0) {
            let history = async || field.store.messages(&new.owner, &started.turn.id.session, &page).await.unwrap();
            while history().await.len() < 2 {}
        }
    };
    let sweep = field.store.close_orphans(Duration::ZERO, 100);
    match select(pin!(others), pin!(sweep)).await {
        Either::Left(((), sweep)) => assert_eq!(sweep.await.unwrap().closed, field.but(0).count()),
        Either::Right((swept, _)) => panic!("orphans of others waited for the frozen node: {swept:?}"),
    }
    field.cluster.nodes[0].signal("CONT");
    is_back_soon(&field.store).await;
    let (back, orphans) = (now(), field.turns[0].len());
    loop {
        let swept = field.store.close_orphans(Duration::ZERO, 100).await.unwrap();
        if swept.closed > 0 {
            assert_eq!(swept.closed, orphans);
            break;
        }
        assert_eq!(swept.quiet, Some(Duration::ZERO), "there is more to see");
        tokio::time::sleep(REST).await;
    }
    assert!(back.elapsed() >= Duration::from_secs(1), "closed {:?} after the node was back", back.elapsed());
}

/// However long it is frozen: its own clock is not told, and orphans of others are closed as soon as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_delays_no_sweep_of_the_others() {
    let (field, lease) = (Field::of(Cluster::start(), All).await, Duration::from_secs(1));
    let mut sweeper = Sweeper::new(field.store.clone(), Arc::new(TokioRuntime::current()), lease, 100);
    let there: Vec<u8> = (0..16).filter(|slot| field.cluster.node_of(&format!("{{p{slot}}}")) > 0).collect();
    field.cluster.nodes[0].signal("STOP");
    let began = now();
    while began.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(sweeper.step().await.unwrap()).await;
    }
    let told = field.store.close_orphans(Duration::MAX, 100).await.unwrap().clocks;
    assert_eq!(told.into_keys().collect::<Vec<u8>>(), there, "a clock of each slot that is there");
    for (_, started) in field.but(0) {
        let piece = Piece { offset: 0, text: "Mu".into() };
        field.store.extend_turn(&started.turn, &piece, Duration::from_millis(1)).await.unwrap();
    }
    let (over, page) = (now(), MessagesPage { before: None, limit: 9 });
    for (new, started) in field.but(0) {
        while field.store.messages(&new.owner, &started.turn.id.session, &page).await.unwrap().len() < 2 {
            tokio::time::sleep(sweeper.step().await.unwrap()).await;
        }
    }
    assert!(over.elapsed() < CLOSED_WITHIN, "closed {:?} after their leases", over.elapsed());
}

/// Every second look finds the node frozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_answers_seldom_keeps_no_orphan_open() {
    let field = Field::of(Cluster::start(), All).await;
    let history = async |(new, started): &(NewTurn, Started)| {
        let page = MessagesPage { before: None, limit: 9 };
        field.store.messages(&new.owner, &started.turn.id.session, &page).await
    };
    for (_, started) in field.turns.iter().flatten() {
        let piece = Piece { offset: 0, text: "Mu".into() };
        field.store.extend_turn(&started.turn, &piece, Duration::from_millis(1)).await.unwrap();
    }
    let clock = Arc::new(TokioRuntime::current());
    let mut sweeper = Sweeper::new(field.store.clone(), clock, Duration::from_secs(1), 100);
    let began = now();
    loop {
        field.cluster.nodes[0].signal("STOP");
        sweeper.step().await.unwrap();
        field.cluster.nodes[0].signal("CONT");
        is_back_soon(&field.store).await;
        tokio::time::sleep(REST).await;
        sweeper.step().await.unwrap();
        if history(&field.turns[0][0]).await.is_ok_and(|messages| messages.len() > 1) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "still open");
    }
}

/// Whichever it is: also the one that says over how many slots the sessions are spread.
#[tokio::test]
async fn a_program_that_is_started_while_a_node_is_frozen() {
    let field = Field::of(Cluster::start(), All).await;
    for away in 0..3 {
        field.cluster.nodes[away].signal("STOP");
        let late = open(&field.config).await;
        for (new, started) in field.but(away) {
            let began = now();
            while late.session(&new.owner, &started.turn.id.session).await.is_err() {
                assert!(
                    began.elapsed() < BACK,
                    "{away} is away, and another's are not there after {:?}",
                    began.elapsed()
                );
            }
        }
        field.cluster.nodes[away].signal("CONT");
        is_back_soon(&late).await;
    }
}

/// Its connections stay open and say nothing, so only who looks elsewhere learns that another node has its slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_whose_replica_took_its_place() {
    for named in [All, One] {
        let field = Field::of(Cluster::with_replicas(), named).await;
        field.cluster.are_alike(0);
        field.cluster.nodes[0].signal("STOP");
        let callers = field.callers_of(0);
        let frozen = now();
        while !field.cluster.replicas[0].ask(&["INFO", "replication"]).contains("role:master") {
            assert!(frozen.elapsed() < 30 * SOON, "nobody takes its place");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        callers.stop.store(true, Ordering::Relaxed);
        is_back_soon(&field.store).await;
        let (new, begun) = &field.turns[0][0];
        finish(&*field.store, begun).await;
        let more = NewTurn { owner: new.owner.clone(), ..question(Target::Existing(begun.turn.id.session), "k1") };
        finish(&*field.store, &start(&*field.store, &more).await).await;
    }
}

/// The relay and the consumers of a local log go on with what lies on the other nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_the_other_nodes_go_on() {
    let field = Field::of(Cluster::start(), All).await;
    let sessions: BTreeSet<_> = field.but(1).map(|(_, started)| started.turn.id.session).collect();
    let member = field.store.subscribe("group").await.unwrap();
    field.cluster.nodes[1].signal("STOP");
    let callers = field.callers_of(1);
    let claimed = timeout(BACK, field.store.claim(1000, BACK)).await.unwrap().unwrap();
    let claimed: BTreeSet<_> = claimed.iter().map(|entry| entry.event.session).collect();
    assert!(sessions.is_subset(&claimed), "{claimed:?} without some of {sessions:?}");
    let (mut delivered, began) = (BTreeSet::new(), now());
    while !sessions.is_subset(&delivered) {
        let delivery = timeout(2 * BACK, member.next()).await.unwrap().unwrap().unwrap();
        delivered.insert(delivery.event.as_ref().unwrap().session);
        member.ack(&delivery.id).await.unwrap();
        assert!(began.elapsed() < 2 * BACK, "{delivered:?} after {:?}", began.elapsed());
    }
    callers.end().await;
}

#[tokio::test]
async fn what_is_throttled_on_the_other_nodes_goes_on() {
    let field = Field::of(Cluster::start(), All).await;
    let quota = Quota { limit: 1000, window: Duration::from_secs(60) };
    field.cluster.nodes[1].signal("STOP");
    let keys: Vec<String> = (0..30).map(|number| format!("address:{number}")).collect();
    for _ in 0..3 {
        for key in &keys {
            let node = field.cluster.node_of(&format!("{{l:{key}}}"));
            let (began, taken) = (now(), field.store.take(key, &quota).await);
            assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
            assert_eq!(taken.is_ok(), node != 1, "{key} on node {node}: {taken:?}");
        }
    }
}

/// As while a password is changed node by node: whom one node denies the others let in, and it itself once that is mended.
#[tokio::test]
async fn a_node_that_lets_the_user_in_no_more() {
    let cluster = Cluster::start();
    let all = |words: &[&str]| cluster.nodes.iter().for_each(|node| drop(node.ask(words)));
    all(&["ACL", "SETUSER", "chat", "on", ">secret", "~*", "&*", "+@all"]);
    let mut config = config(String::new());
    config.urls = cluster.nodes.iter().map(|node| format!("redis://chat:secret@127.0.0.1:{}", node.port)).collect();
    let store = open(&config).await;
    cluster.nodes[2].ask(&["ACL", "SETUSER", "chat", "resetpass", ">other"]);
    cluster.nodes[2].ask(&["CLIENT", "KILL", "USER", "chat"]);
    for _ in 0..3 {
        assert!(matches!(store.check().await, Ok(Health::Partly(_))), "the others let it in");
    }
    cluster.nodes[2].ask(&["ACL", "SETUSER", "chat", ">secret"]);
    is_back_soon(&store).await;
}

/// Also where one node alone is named, and nothing may be asked that is not needed.
#[tokio::test]
async fn the_user_of_the_readme_may_do_all_that_is_needed_on_a_cluster() {
    let cluster = Cluster::start();
    let readme = include_str!("../README.md").lines().find(|line| line.starts_with("ACL SETUSER")).unwrap();
    for (more, is_enough) in [("+cluster|slots +asking -info -config|get", true), ("+asking", false)] {
        let words: Vec<&str> = readme.split(' ').chain(more.split(' ')).collect();
        for node in &cluster.nodes {
            node.ask(&["ACL", "DELUSER", "chat"]);
            assert_eq!(node.ask(&words), "OK");
        }
        for node in &cluster.nodes {
            cluster.nodes.iter().for_each(|node| drop(node.ask(&["FLUSHALL"])));
            let mut config = config(format!("redis://chat:secret@127.0.0.1:{}", node.port));
            config.key_prefix = "c:".into();
            match Redis::open(config, Arc::new(TokioRuntime::current())).await {
                Ok(store) => one_of_each(&store).await,
                Err(refused) => assert!(!is_enough && matches!(refused, OpenError::Denied { .. }), "{more}: {refused}"),
            }
        }
    }
}

#[tokio::test]
async fn a_cluster_with_tls() {
    let files = tempfile::tempdir().unwrap();
    let pem = certificate(files.path(), "nodes");
    let (ca, key) = (pem.to_str().unwrap(), pem.with_extension("key"));
    let node = || {
        let port = free_port().to_string();
        let tls = ["--tls-port", &port, "--tls-cluster", "yes", "--tls-replication", "yes", "--tls-auth-clients", "no"];
        let files = ["--tls-cert-file", ca, "--tls-key-file", key.to_str().unwrap(), "--tls-ca-cert-file", ca];
        (port.parse::<u16>().unwrap(), Server::with(&[NODE, &tls, &files].concat()))
    };
    let (ports, nodes): (Vec<u16>, Vec<Server>) = (0..3).map(|_| node()).unzip();
    let cluster = Cluster::of(nodes, ports[0]);
    let urls: Vec<String> = ports.iter().map(|port| format!("rediss://127.0.0.1:{port}")).collect();
    let mut config = common::config(&urls);
    config.ca_file = Some(pem);
    let (store, elsewhere) = (open(&config).await, open(&config).await);
    one_of_each(&*store).await;
    // What is told on a channel comes through it, too.
    let (first, asker) = (start(&*store, &question(Target::New, "k")).await, question(Target::New, "k").owner);
    let cursor = Cursor { turn: first.turn.id, from: Position::default() };
    let follower = tokio::spawn(async move { elsewhere.follow(&asker, &cursor, Duration::from_secs(20)).await });
    let began = now();
    while cluster.nodes.iter().all(|node| node.ask(&["PUBSUB", "CHANNELS"]).is_empty()) {
        assert!(began.elapsed() < BACK, "nobody listens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let piece = Piece { offset: 0, text: "Mu".into() };
    store.extend_turn(&first.turn, &piece, Duration::from_secs(15)).await.unwrap();
    assert_eq!(follower.await.unwrap().unwrap().text, "Mu");
    let clients: Vec<String> = cluster.nodes.iter().map(|node| node.ask(&["CLIENT", "LIST"])).collect();
    let ours = |line: &&str| line.contains("laddr=") && !line.contains("cmd=client");
    let secured = |line: &&&str| ports.iter().any(|port| line.contains(&format!("laddr=127.0.0.1:{port} ")));
    let ours: Vec<&str> = clients.iter().flat_map(|list| list.lines()).filter(ours).collect();
    assert!(ours.len() > 3 && ours.iter().filter(secured).count() == ours.len(), "{ours:?}");
}

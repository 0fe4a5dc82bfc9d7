//! What happens when a part of a cluster misbehaves: it is told soon, over soon, and nothing to what lies elsewhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::message::MessagesPage;
use chatcore::owner::Owner;
use chatcore::port::{Outbox, Probe, SessionStore};
use chatcore::turn::{Began, Cursor, Finished, NewTurn, Piece, Position, Started, Target};
use chatcore_redis::Redis;
use common::chat::{answer, finish, one_of_each, question, start};
use common::faults::{BACK, SOON, config, goes_on, is_back_soon, now, patiently};
use common::{Cluster, NODE, Server, certificate, free_port, open};
use std::time::Duration;

/// As a program opens it, which is given all nodes.
async fn opened(cluster: &Cluster) -> std::sync::Arc<Redis> {
    let mut config = config(cluster.nodes[0].url());
    config.urls = cluster.urls();
    open(&config).await
}

fn owner(name: &str) -> Owner {
    format!("user:{name}").parse().unwrap()
}

/// Open turns on each node.
async fn turns(cluster: &Cluster, store: &Redis) -> [Vec<(NewTurn, Started)>; 3] {
    let (mut turns, mut number) = ([const { Vec::new() }; 3], 0);
    while turns.iter().any(|turns| turns.len() < 2) {
        number += 1;
        let new = NewTurn { owner: owner(&format!("user{number}")), ..question(Target::New, "k0") };
        let started = start(store, &new).await;
        let (_, node) = cluster.slot_of(&started.turn.id.session.to_string());
        turns[node].push((new, started));
    }
    turns
}

/// While its keys move one by one, questions and answers are taken whole or not at all.
#[tokio::test]
async fn a_slot_moved() {
    let cluster = Cluster::start();
    let store = opened(&cluster).await;
    let first = start(&*store, &question(Target::New, "k0")).await;
    finish(&*store, &first).await;
    let session = first.turn.id.session;
    let (slot, from) = cluster.slot_of(&session.to_string());
    let (mut number, mut told) = (0, Vec::new());
    for () in cluster.move_slot(&slot, from, (from + 1) % 3) {
        number += 1;
        let new = question(Target::Existing(session), &format!("k{number}"));
        if let Ok(Began::Started(started)) = store.begin_turn(&new).await {
            told.push(store.finish_turn(&started.turn, &answer("Much.")).await.is_ok());
        }
    }
    assert!(number > 5 && told.len() < number, "a slot that moves refuses: {told:?} of {number}");
    is_back_soon(&store).await;
    goes_on(&store, Target::Existing(session), "last").await;
    let page = MessagesPage { before: None, limit: 1000 };
    let history = store.messages(&question(Target::New, "k").owner, &session, &page).await.unwrap();
    let events = store.claim(1000, Duration::ZERO).await.unwrap();
    let events: Vec<_> = events.iter().filter_map(|entry| entry.event.message()).collect();
    assert!(history.iter().map(|message| message.seq).eq(1..=history.len() as u64), "{history:?}");
    assert_eq!(events, history.iter().collect::<Vec<_>>(), "each message has its event");
}

#[tokio::test]
async fn a_node_that_is_down() {
    let mut cluster = Cluster::start();
    let store = opened(&cluster).await;
    let turns = turns(&cluster, &store).await;
    cluster.nodes[2].kill();
    its_sessions_alone_are_away(&store, &turns).await;
}

#[tokio::test]
async fn a_node_that_is_frozen() {
    let cluster = Cluster::start();
    let store = opened(&cluster).await;
    let turns = turns(&cluster, &store).await;
    cluster.nodes[2].signal("STOP");
    its_sessions_alone_are_away(&store, &turns).await;
    cluster.nodes[2].signal("CONT");
    is_back_soon(&store).await;
    finish(&*store, &turns[2][0].1).await;
}

/// What lies on the other nodes is answered as soon as ever, and the probe tells how much is away.
async fn its_sessions_alone_are_away(store: &Redis, turns: &[Vec<(NewTurn, Started)>; 3]) {
    for _ in 0..3 {
        let (_, lost) = &turns[2][0];
        let began = now();
        let told = store.finish_turn(&lost.turn, &answer("Much.")).await;
        assert!(told.is_err_and(|error| error.may_pass()) && began.elapsed() < SOON, "after {:?}", began.elapsed());
    }
    let began = now();
    let told = store.check().await.unwrap_err();
    assert!(told.may_pass() && began.elapsed() < SOON, "after {:?}", began.elapsed());
    assert!(told.source.to_string().contains(" of 16 partitions: "), "{}", told.source);
    for (_, started) in turns[..2].iter().flatten() {
        let began = now();
        let turn = &started.turn;
        let finished = patiently(async || store.finish_turn(turn, &answer("Much.")).await).await;
        assert!(matches!(finished, Finished::Stored(_)) && began.elapsed() < SOON, "after {:?}", began.elapsed());
    }
}

/// Its connections stay open and say nothing, so only who looks elsewhere learns that another node has its slots.
#[tokio::test]
async fn a_frozen_node_whose_replica_took_its_place() {
    let cluster = Cluster::with_replicas();
    let store = opened(&cluster).await;
    let turns = turns(&cluster, &store).await;
    let (new, begun) = &turns[2][0];
    cluster.are_alike(2);
    cluster.nodes[2].signal("STOP");
    let frozen = now();
    while !cluster.replicas[2].ask(&["INFO", "replication"]).contains("role:master") {
        let began = now();
        let told = store.finish_turn(&begun.turn, &answer("Much.")).await;
        assert!(told.map_err(|error| error.may_pass()).err() != Some(false));
        assert!(
            began.elapsed() < SOON && frozen.elapsed() < 30 * SOON,
            "{:?}, {:?}",
            began.elapsed(),
            frozen.elapsed()
        );
    }
    is_back_soon(&store).await;
    finish(&*store, begun).await;
    let here = Target::Existing(begun.turn.id.session);
    finish(&*store, &start(&*store, &NewTurn { owner: new.owner.clone(), ..question(here, "k1") }).await).await;
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
    let mut config = config(String::new());
    config.urls = ports.iter().map(|port| format!("rediss://127.0.0.1:{port}")).collect();
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

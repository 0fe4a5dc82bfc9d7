//! A slot of a cluster is moved to another node, key by key: what is refused meanwhile may pass, and what is answered is so.

mod common;

use chatcore::error::BackendError;
use chatcore::id::{DeviceId, UserId};
use chatcore::message::MessagesPage;
use chatcore::owner::Owner;
use chatcore::port::{Outbox, SessionStore};
use chatcore::session::SessionsPage;
use chatcore::turn::{Began, Cursor, Finished, NewTurn, Piece, Position, Refusal, Target};
use chatcore_redis::Redis;
use common::chat::{answer, finish, question, start};
use common::faults::{config, goes_on, is_back_soon, patiently};
use common::{Cluster, NODE, Server, open};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

async fn on_a_cluster() -> (Cluster, Arc<Redis>) {
    let cluster = Cluster::start();
    let mut config = config(cluster.nodes[0].url());
    config.urls = cluster.urls();
    let store = open(&config).await;
    (cluster, store)
}

/// While its keys move one by one, questions and answers are taken whole or not at all.
#[tokio::test]
async fn a_slot_moved() {
    let (cluster, store) = on_a_cluster().await;
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
    let of_session = events.iter().filter(|entry| entry.event.session == session);
    let events: Vec<_> = of_session.filter_map(|entry| entry.event.message()).collect();
    assert!(history.iter().map(|message| message.seq).eq(1..=history.len() as u64), "{history:?}");
    assert_eq!(events, history.iter().collect::<Vec<_>>(), "each message has its event");
}

/// Where all keys of a session are still where they were, it is deleted as ever: with its event, and for good.
#[tokio::test]
async fn a_session_deleted_while_its_slot_begins_to_move() {
    let (cluster, store) = on_a_cluster().await;
    let started = start(&*store, &question(Target::New, "k0")).await;
    let (owner, session) = (question(Target::New, "k").owner, started.turn.id.session);
    let piece = Piece { offset: 0, text: "Mu".into() };
    store.extend_turn(&started.turn, &piece, Duration::from_secs(15)).await.unwrap();
    let (slot, from) = cluster.slot_of(&session.to_string());
    let moving = cluster.move_slot(&slot, from, (from + 1) % 3);
    store.delete(&owner, &session, None).await.unwrap();
    moving.for_each(drop);
    is_back_soon(&store).await;
    assert_eq!(store.finish_turn(&started.turn, &answer("Much.")).await.unwrap(), Finished::Gone);
    store.delete(&owner, &session, None).await.unwrap();
    assert_eq!(store.begin_turn(&question(Target::New, "k0")).await.unwrap(), Began::Refused(Refusal::NotFound));
    let events = store.claim(9, Duration::ZERO).await.unwrap();
    assert!(events.iter().map(|entry| entry.event.seq).eq([1, 2]), "{events:?}");
}

/// The indexes of owners go first, so that what they name seems not to exist where they are.
#[tokio::test]
async fn a_slot_moved_away_from_under_its_indexes() {
    let (cluster, store) = on_a_cluster().await;
    let user = UserId::parse("ann").unwrap();
    let ann = Owner::User(user.clone());
    let open = async |owner: &Owner, key: String| {
        let new = NewTurn { owner: owner.clone(), ..question(Target::New, &key) };
        let started = start(&*store, &new).await;
        finish(&*store, &started).await;
        started.turn.id.session
    };
    let mut all = BTreeSet::from([open(&ann, "k0".into()).await, open(&ann, "k1".into()).await]);
    let (slot, from) = cluster.slot_of(&all.first().unwrap().to_string());
    let phones = (0..).map(|number| DeviceId::parse(format!("phone-{number:04}")).unwrap());
    let mut phone = None;
    for device in phones {
        let session = open(&Owner::Guest(device.clone()), "k0".into()).await;
        if cluster.slot_of(&session.to_string()).0 == slot {
            all.insert(session);
            phone = Some(device);
            break;
        }
    }
    let phone = phone.unwrap();
    let guest = Owner::Guest(phone.clone());
    all.insert(open(&guest, "k1".into()).await);
    let page = SessionsPage { after: None, limit: 9 };
    let listed = async |owner: &Owner| store.sessions(owner, &page).await;
    let (mut refused, mut steps) = (0, 0);
    for () in cluster.move_slot_from(&slot, from, (from + 1) % 3, "ue") {
        steps += 1;
        let (of_ann, of_guest) = (listed(&ann).await, listed(&guest).await);
        if let (Ok(of_ann), Ok(of_guest)) = (&of_ann, &of_guest) {
            let seen: Vec<_> = of_ann.iter().chain(of_guest).map(|session| session.id).collect();
            assert!(seen.len() == all.len() && seen.iter().all(|id| all.contains(id)), "step {steps}: {seen:?}");
        }
        let errors = [of_ann.err(), of_guest.err(), store.adopt(&phone, &user).await.err()];
        assert!(errors.iter().flatten().all(BackendError::may_pass), "step {steps}: {errors:?}");
        refused += errors.iter().flatten().count();
    }
    assert!(steps > 10 && refused > steps, "a slot that moves refuses: {refused} of {steps} steps");
    is_back_soon(&store).await;
    while patiently(async || store.adopt(&phone, &user).await).await.moved > 0 {}
    let of_ann = patiently(async || listed(&ann).await).await;
    assert_eq!(of_ann.iter().map(|session| session.id).collect::<BTreeSet<_>>(), all);
    assert_eq!(patiently(async || listed(&guest).await).await, []);
}

/// A node that has left the cluster answers, and takes who listens; but what is told in the cluster is not told there.
#[tokio::test]
async fn nobody_listens_to_a_node_that_is_no_part_of_the_cluster() {
    let (cluster, left) = (Cluster::start(), Server::with(NODE));
    let mut config = config(left.url());
    config.urls.extend(cluster.urls());
    let (here, elsewhere) = (open(&config).await, open(&config).await);
    let (first, asker) = (start(&*here, &question(Target::New, "k")).await, question(Target::New, "k").owner);
    for number in 0..4 {
        let cursor = Cursor { turn: first.turn.id, from: Position { fence: first.turn.fence, offset: number } };
        let (elsewhere, asker) = (elsewhere.clone(), asker.clone());
        let follower = tokio::spawn(async move { elsewhere.follow(&asker, &cursor, Duration::from_secs(20)).await });
        let listens = async {
            while cluster.nodes.iter().all(|node| node.ask(&["PUBSUB", "CHANNELS"]).is_empty()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), listens).await.expect("a node of the cluster is listened to");
        let piece = Piece { offset: number, text: "a".into() };
        here.extend_turn(&first.turn, &piece, Duration::from_secs(60)).await.unwrap();
        let told = timeout(Duration::from_secs(5), follower).await.expect("it is told").unwrap().unwrap();
        assert_eq!((told.text.as_str(), told.restarted), ("a", false));
    }
}

/// All slots of the node that is listened to get to another one, as before it leaves: it is listened to no longer.
#[tokio::test]
async fn a_node_that_gives_up_its_slots_is_listened_to_no_longer() {
    let cluster = Cluster::start();
    let mut config = config(cluster.nodes[0].url());
    let here = open(&config).await;
    let (first, asker) = (start(&*here, &question(Target::New, "k")).await, question(Target::New, "k").owner);
    let (_, has) = cluster.slot_of(&first.turn.id.session.to_string());
    let (leaves, heir) = ((has + 1) % 3, (has + 2) % 3);
    // The first that is named is listened to.
    config.urls = [leaves, heir, has].map(|node| cluster.nodes[node].url()).into();
    let elsewhere = open(&config).await;
    let cursor = Cursor { turn: first.turn.id, from: Position { fence: first.turn.fence, offset: 0 } };
    let reader = elsewhere.clone();
    let follower = tokio::spawn(async move { reader.follow(&asker, &cursor, Duration::from_secs(60)).await });
    let is_heard = |node: usize| !cluster.nodes[node].ask(&["PUBSUB", "CHANNELS"]).is_empty();
    let moment = || tokio::time::sleep(Duration::from_millis(20));
    let listens = async {
        while !is_heard(leaves) {
            moment().await
        }
    };
    timeout(Duration::from_secs(5), listens).await.expect("a reader listens");
    cluster.give_all(leaves, heir);
    let listens = async {
        for number in 0_u64.. {
            // Calls find out that the slots are elsewhere.
            let guest = Owner::Guest(DeviceId::parse(format!("device {number}")).unwrap());
            drop(elsewhere.sessions(&guest, &SessionsPage { after: None, limit: 1 }).await);
            moment().await;
            if is_heard(has) || is_heard(heir) {
                break;
            }
        }
    };
    timeout(Duration::from_secs(10), listens).await.expect("it listens to another node");
    let piece = Piece { offset: 0, text: "a".into() };
    here.extend_turn(&first.turn, &piece, Duration::from_secs(60)).await.unwrap();
    let told = timeout(Duration::from_secs(5), follower).await.expect("it is told").unwrap().unwrap();
    assert_eq!((told.text.as_str(), told.restarted), ("a", false));
}

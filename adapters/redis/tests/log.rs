//! The log at its edges: who dies, what is lost on the way.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::policy::Quota;
use chatcore::port::{
    Acked, DeadLetters, DeadLettersPage, EventBus, Outbox, Published, Replay, Settled, Subscription, Taken, Throttle,
};
use common::events::{count, event, next, publish, seq, session};
use common::{Server, config, open, user_of_the_readme};
use futures_util::future::select_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, timeout};

#[test]
fn a_killed_members_delivery_comes_back() {
    let server = Server::start();
    let mut config = config(&[server.url()]);
    config.come_back = Duration::from_millis(400);
    let process = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (killed, living) = (process(), process());
    let held = killed.block_on(async {
        let store = open(&config).await;
        publish(&store, &[event(session(1), 1), event(session(1), 2)]).await;
        let member = store.subscribe("group").await.unwrap();
        let held = next(&member).await;
        // It lives for some time, and then everything of it is gone in the middle of its work.
        tokio::time::sleep(config.come_back * 2).await;
        std::mem::forget(member);
        held
    });
    killed.shutdown_background();
    living.block_on(async {
        let store = open(&config).await;
        let member = store.subscribe("group").await.unwrap();
        let again = next(&member).await;
        assert_eq!((again.attempt, again.event.as_ref()), (2, held.event.as_ref()));
        assert_eq!(member.ack(&held.id).await.unwrap(), Acked::Revoked, "the name that the dead one had");
        assert_eq!(member.ack(&again.id).await.unwrap(), Acked::Done);
        assert_eq!(seq(&next(&member).await), 2, "the session goes on");
    });
}

/// What was delivered, in order, and whether it was acknowledged.
type Deliveries = Arc<Mutex<Vec<(Event, bool)>>>;

/// Works everything off, whatever fails meanwhile.
async fn work_off(member: Arc<dyn Subscription>, deliveries: Deliveries) {
    loop {
        match member.next().await {
            Ok(None) => return,
            Ok(Some(delivery)) => {
                // Here, since the next of its session may have come before the reply to an acknowledgement is read.
                let place = {
                    let mut deliveries = deliveries.lock().unwrap();
                    deliveries.push((delivery.event.unwrap(), false));
                    deliveries.len() - 1
                };
                tokio::time::sleep(Duration::from_millis(2)).await;
                let acked = member.ack(&delivery.id).await;
                deliveries.lock().unwrap()[place].1 = matches!(acked, Ok(Acked::Done));
            }
            Err(error) => {
                assert!(error.may_pass(), "{error:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_deliveries_loses_nothing_and_keeps_the_order() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut config = config(&[server.url()]);
    (config.come_back, config.call_timeout) = (Duration::from_millis(500), Duration::from_millis(500));
    let stores = [open(&config).await, open(&config).await];
    let sessions: Vec<SessionId> = (1..=20).map(session).collect();
    let all: Vec<Event> = (1..=20).flat_map(|seq| sessions.iter().map(move |session| event(*session, seq))).collect();
    publish(&stores[0], &all).await;
    let (deliveries, mut members, mut lanes) = (Deliveries::default(), Vec::new(), Vec::new());
    for store in &stores {
        let member = store.subscribe("group").await.unwrap();
        lanes.extend([0, 1, 2].map(|_| tokio::spawn(work_off(member.clone(), deliveries.clone()))));
        members.push(member);
    }
    for round in 0..4 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if round % 2 == 0 {
            server.kill();
            server.run();
        } else {
            server.ask(&["SCRIPT", "FLUSH"]);
            server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
    }
    let until = Instant::now() + Duration::from_secs(30);
    while !matches!(members[0].lag().await, Ok(0)) {
        assert!(Instant::now() < until, "something is stuck: {:?} are left", members[0].lag().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for member in members {
        member.close().await.unwrap();
    }
    for lane in lanes {
        lane.await.unwrap();
    }
    let mut last: BTreeMap<SessionId, u64> = BTreeMap::new();
    let done: Vec<Event> =
        deliveries.lock().unwrap().drain(..).filter_map(|(event, done)| done.then_some(event)).collect();
    for event in &done {
        let last = last.entry(event.session).or_default();
        // An acknowledgement may have been taken and its reply lost: then its event is not among those.
        assert!(event.seq > *last, "event {} of a session came after {last}", event.seq);
        *last = event.seq;
    }
    let missing = all.len() - done.len();
    assert!(missing <= 4 * 6, "{missing} acknowledgements without a reply, of six lanes in four outages");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_come_and_go_lose_nothing() {
    let server = Server::start();
    let mut config = config(&[server.url()]);
    config.come_back = Duration::from_millis(300);
    let stores = [open(&config).await, open(&config).await];
    let sessions: Vec<SessionId> = (1..=12).map(session).collect();
    let all: Vec<Event> = (1..=15).flat_map(|seq| sessions.iter().map(move |session| event(*session, seq))).collect();
    publish(&stores[0], &all).await;
    let seen: Arc<Mutex<BTreeMap<SessionId, u64>>> = Arc::default();
    let lanes = [0, 1, 2, 3, 4, 5].map(|lane| {
        let (store, seen) = (stores[lane % 2].clone(), seen.clone());
        tokio::spawn(async move {
            let mut round = lane;
            while seen.lock().unwrap().values().sum::<u64>() < 180 {
                let member = store.subscribe("group").await.unwrap();
                for _ in 0..12 {
                    round += 1;
                    // Some calls are dropped in the middle, some deliveries are left where they are.
                    let patience = if round % 3 == 0 { 300 } else { 20_000 };
                    let Ok(next) = timeout(Duration::from_micros(patience), member.next()).await else { continue };
                    let delivery = next.unwrap().unwrap();
                    let event = delivery.event.as_ref().unwrap();
                    let before = seen.lock().unwrap().get(&event.session).copied().unwrap_or(0);
                    assert_eq!(event.seq, before + 1, "{delivery:?} is in two hands, or out of order");
                    if round % 11 != 0 {
                        *seen.lock().unwrap().entry(event.session).or_default() += 1;
                        assert_eq!(member.ack(&delivery.id).await.unwrap(), Acked::Done);
                    }
                }
                if round % 2 == 0 {
                    member.close().await.unwrap();
                }
            }
        })
    });
    for lane in lanes {
        timeout(Duration::from_secs(40), lane).await.expect("nothing is stuck").unwrap();
    }
    assert_eq!(stores[1].subscribe("group").await.unwrap().lag().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_woken_and_costs_one_look_a_second() {
    let server = Server::start();
    let config = config(&[server.url()]);
    let (store, writer) = (open(&config).await, open(&config).await);
    publish(&writer, &[event(session(0x100), 1)]).await;
    let member = store.subscribe("group").await.unwrap();
    member.ack(&next(&member).await.id).await.unwrap();
    let waits = |()| {
        let member = member.clone();
        tokio::spawn(async move { next(&member).await })
    };
    let mut waiting = vec![(); 8].into_iter().map(waits).collect::<Vec<_>>();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = count(&server, "evalsha");
    tokio::time::sleep(Duration::from_millis(2000)).await;
    let looks = count(&server, "evalsha") - before;
    assert!(looks <= 3 * 16, "{looks} looks in two seconds, by eight calls that wait");
    let start = Instant::now();
    for number in 1..=8 {
        publish(&writer, &[event(session(number), 1)]).await;
        let (delivery, _, left) = select_all(waiting).await;
        assert_eq!(delivery.unwrap().key, session(number).to_string());
        waiting = left;
    }
    assert!(start.elapsed() < Duration::from_millis(900), "each was woken, not found by the look of a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_member_frees_another_gets_at_once() {
    let server = Server::start();
    let config = config(&[server.url()]);
    let (store, elsewhere) = (open(&config).await, open(&config).await);
    publish(&store, &(1..=6).map(|seq| event(session(1), seq)).collect::<Vec<_>>()).await;
    let mut members = [store.subscribe("group").await.unwrap(), elsewhere.subscribe("group").await.unwrap()];
    let mut held = next(&members[0]).await;
    let start = Instant::now();
    for expected in 2..=6 {
        let work = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            members[0].ack(&held.id).await.unwrap()
        };
        let (got, acked) = tokio::join!(next(&members[1]), work);
        assert_eq!((seq(&got), acked), (expected, Acked::Done));
        held = got;
        members.swap(0, 1);
    }
    assert!(start.elapsed() < Duration::from_millis(900), "each was told, and found nothing by the look of a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_wake_up_costs_a_second() {
    let server = Server::start();
    let config = config(&[server.url()]);
    let store = open(&config).await;
    let member = store.subscribe("group").await.unwrap();
    let waits = tokio::spawn(async move { next(&member).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let log = format!("{}{{p1}}:ox", config.key_prefix);
    // Written by nobody who would tell of it.
    server.ask(&["XADD", &log, "*", "s", &session(1).to_string()]);
    let delivery = timeout(Duration::from_millis(2500), waits).await.expect("a look each second").unwrap();
    assert_eq!(delivery.key, session(1).to_string());
    assert!(delivery.event.is_err(), "it has no other field");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_of_the_readme_may_do_all_that_the_log_and_the_throttle_need() {
    let server = Server::start();
    let config = user_of_the_readme(&server);
    let store = open(&config).await;
    let member = store.subscribe("group").await.unwrap();
    let waits = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        publish(&store, &[1, 2].map(|seq| event(session(1), seq))).await;
    };
    let (first, ()) = tokio::join!(next(&member), waits);
    assert_eq!(member.park(&first.id, "a reason", 1).await.unwrap(), Acked::Done);
    let letters = store.list(&DeadLettersPage { after: None, limit: 9 }).await.unwrap();
    assert_eq!(store.replay(&letters[0].id).await.unwrap(), Replay::Queued);
    assert_eq!(member.ack(&next(&member).await.id).await.unwrap(), Acked::Done);
    assert_eq!(member.lag().await.unwrap(), 1);
    member.close().await.unwrap();
    let claimed = store.claim(9, Duration::from_millis(100)).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().events, 2);
    let settled = [Settled::Published, Settled::Refused("too large".into())];
    let settled: Vec<_> = claimed.into_iter().map(|entry| entry.id).zip(settled).collect();
    store.settle(&settled).await.unwrap();
    assert_eq!(store.claim(9, Duration::from_millis(100)).await.unwrap(), []);
    let taken = store.take("ann", &Quota { limit: 1, window: Duration::from_secs(9) }).await.unwrap();
    let Taken::Granted { ticket, .. } = taken else { panic!("{taken:?}") };
    store.give_back("ann", &ticket).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_events_and_gives_those_that_it_took() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    let of = |seq| [1, 2, 3].map(|number| event(session(number << 4), seq));
    publish(&store, &[of(1), of(2), of(3)].concat()).await;
    assert_eq!(server.ask(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let refused = store.publish(&of(4)).await.unwrap();
    assert!(refused.iter().all(|refused| matches!(refused, Published::Later(_))), "{refused:?}");
    let member = store.subscribe("group").await.unwrap();
    for left in (0..9).rev() {
        assert_eq!(member.ack(&next(&member).await.id).await.unwrap(), Acked::Done);
        assert_eq!(member.lag().await.unwrap(), left);
    }
    member.close().await.unwrap();
}

/// Until then its place is kept; whoever comes later begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_nobody_asks_for_is_forgotten_after_30_days() {
    let server = Server::start();
    let mut config = config(&[server.url()]);
    config.partitions = 1;
    let store = open(&config).await;
    let days = |days: u64| days * 86_400_000;
    let key = |kind: &str| format!("{}{{p0}}:{kind}:group", config.key_prefix);
    let keys = ["gc", "gl", "gb", "gt", "gr"].map(key);
    let left = || keys.each_ref().map(|key| server.ask(&["PTTL", key]).parse::<i64>().unwrap());
    let is_kept = |left: i64| u64::try_from(left).is_ok_and(|left| left > days(29) && left <= days(30));
    publish(&store, &[1, 2].map(|seq| event(session(0x10), seq))).await;
    publish(&store, &[event(session(0x20), 1)]).await;
    let member = store.subscribe("group").await.unwrap();
    let held = [next(&member).await, next(&member).await];
    member.park(&held[1].id, "no use", 1).await.unwrap();
    let letter = store.list(&DeadLettersPage { after: None, limit: 1 }).await.unwrap().remove(0);
    assert_eq!(store.replay(&letter.id).await.unwrap(), Replay::Queued);
    let until = || keys.each_ref().map(|key| server.ask(&["PEXPIRETIME", key]));
    let go_together = || until().iter().all(|time| *time == until()[0]);
    // One is held, one is behind it, one was replayed.
    assert!(left().into_iter().all(is_kept) && go_together(), "{:?}", left());

    for (key, left) in keys.iter().zip([60_000, days(59) / 2]) {
        server.ask(&["PEXPIRE", key, &left.to_string()]);
    }
    next(&member).await;
    assert!(left().into_iter().all(is_kept) && go_together(), "as long as it is asked for: {:?}", left());

    drop(member);
    keys.iter().for_each(|key| drop(server.ask(&["PEXPIRE", key, "1"])));
    while left() != [-2; 5] {}
    let late = store.subscribe("group").await.unwrap();
    assert_eq!((next(&late).await.key, late.lag().await.unwrap()), (held[0].key.clone(), 3));
}

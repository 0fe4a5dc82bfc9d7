//! A broker that is killed or frozen, and members that die. One test at a time: they share the broker that they harm.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use async_trait::async_trait;
use chatcore::consume::{Consumed, Consumer, EventHandler, Unhandled};
use chatcore::event::{Event, EventBody};
use chatcore::id::SessionId;
use chatcore::port::{Acked, DeadLetters, DeadLettersPage, EventBus, Place, Probe, Published, Subscription};
use chatcore_kafka::Kafka;
use chatcore_ports::tokio::TokioRuntime;
use common::{broker, either, new_session, next, open, publish, question, take};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What lanes have seen: of each session its events, each once, in the order of their first delivery.
type Seen = Arc<Mutex<BTreeMap<SessionId, Vec<u64>>>>;

/// Works events off until the member is closed.
async fn lane(member: Arc<dyn Subscription>, seen: Seen, work: Duration) {
    loop {
        let delivery = match member.next().await {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return,
            // It has been away for long; the member goes on by itself.
            Err(error) if error.may_pass() => continue,
            Err(error) => panic!("{error:?}"),
        };
        sleep(work).await;
        let event = delivery.event.as_ref().expect("an event");
        note(&seen, event);
        _ = member.ack(&delivery.id).await.unwrap();
    }
}

fn note(seen: &Seen, event: &Event) {
    let mut all = seen.lock().unwrap();
    let of_session = all.entry(event.session).or_default();
    if !of_session.contains(&event.seq) {
        of_session.push(event.seq);
    }
}

fn lanes(member: &Arc<dyn Subscription>, seen: &Seen) -> Vec<tokio::task::JoinHandle<()>> {
    (0..4).map(|_| tokio::spawn(lane(member.clone(), seen.clone(), Duration::from_millis(2)))).collect()
}

fn count(seen: &Seen) -> usize {
    seen.lock().unwrap().values().map(Vec::len).sum()
}

async fn until_seen(seen: &Seen, wanted: usize, limit: Duration) {
    let wait = async {
        while count(seen) < wanted {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(limit, wait).await.is_ok(), "{} of {wanted} events within {limit:?}", count(seen));
}

fn in_order(seen: &Seen) {
    for (session, seqs) in &*seen.lock().unwrap() {
        assert!(seqs.is_sorted(), "the events of {session} came in another order: {seqs:?}");
    }
}

/// Publishes 100 events a second in five sessions, as a relay does, until it is told to stop; answers how many.
async fn relay(bus: Kafka, stop: Arc<Mutex<bool>>) -> usize {
    let sessions: Vec<SessionId> = (0..5).map(|_| new_session()).collect();
    let mut seq = 0;
    while !*stop.lock().unwrap() {
        seq += 1;
        let events: Vec<_> = sessions.iter().map(|session| question(*session, seq, "?")).collect();
        publish(&bus, &events).await;
        sleep(Duration::from_millis(50)).await;
    }
    5 * usize::try_from(seq).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_nothing_and_is_read_again_within_ten_seconds() {
    let _turn = TURN.lock().await;
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    // The member keeps its place, or a new one would make the client ask anew.
    config.session_timeout = Duration::from_secs(60);
    let (bus, seen, stop) = (open(config), Seen::default(), Arc::new(Mutex::new(false)));
    let member = bus.subscribe("group").await.unwrap();
    let lanes = lanes(&member, &seen);
    let relay = tokio::spawn(relay(bus.clone(), stop.clone()));
    until_seen(&seen, 50, Duration::from_secs(20)).await;
    broker.kill().await;
    // So long that a client left to itself would wait for 25 s more.
    sleep(Duration::from_secs(26)).await;
    assert!(bus.check().await.is_err(), "the probe sees that it is gone");
    broker.run();
    broker.answers().await;
    let before = count(&seen);
    until_seen(&seen, before + 50, Duration::from_secs(10)).await;
    *stop.lock().unwrap() = true;
    let published = relay.await.unwrap();
    until_seen(&seen, published, Duration::from_secs(10)).await;
    in_order(&seen);
    bus.check().await.unwrap();
    member.close().await.unwrap();
    for lane in lanes {
        lane.await.unwrap();
    }
}

/// One partition is away, as those of one broker of several are: here, because nobody may read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_away_is_soon_read_though_the_others_flowed() {
    let _turn = TURN.lock().await;
    let Some(broker) = broker().await else { return };
    let config = common::config(broker);
    let (bus, seen, stop) = (open(config.clone()), Seen::default(), Arc::new(Mutex::new(false)));
    let of_deletions = ["--topic", &config.topics.sessions];
    let acls = async |args: &[&str]| broker.tool(&[&["acls"], args, &of_deletions[..]].concat()).await;
    let deletion = || Event { body: EventBody::SessionDeleted, ..question(new_session(), 1, "") };
    let is_seen = |event: &Event| seen.lock().unwrap().contains_key(&event.session);
    let member = bus.subscribe("group").await.unwrap();
    let lanes = lanes(&member, &seen);
    let relay = tokio::spawn(relay(bus.clone(), stop.clone()));
    publish(&bus, &[deletion()]).await;
    until_seen(&seen, 50, Duration::from_secs(20)).await;
    acls(&["--add", "--allow-principal", "User:*", "--operation", "Describe", "--operation", "Write"]).await;
    acls(&["--add", "--deny-principal", "User:*", "--operation", "Read"]).await;
    let waiting = deletion();
    publish(&bus, std::slice::from_ref(&waiting)).await;
    let before = count(&seen);
    // So long that a client left to itself would wait for 20 s more.
    sleep(Duration::from_secs(28)).await;
    assert!(count(&seen) > before + 500, "the others flow");
    assert!(!is_seen(&waiting), "it may not be read");
    acls(&["--remove", "--force"]).await;
    let (start, read) = (Instant::now(), async {
        while !is_seen(&waiting) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(timeout(Duration::from_secs(10), read).await.is_ok(), "it may be read again, and is not");
    println!("read after {:.1} s", start.elapsed().as_secs_f64());
    *stop.lock().unwrap() = true;
    relay.await.unwrap();
    member.close().await.unwrap();
    for lane in lanes {
        lane.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_fails_every_call_in_time() {
    let _turn = TURN.lock().await;
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.call_timeout = Duration::from_secs(2);
    let bus = open(config.clone());
    let session = new_session();
    publish(&bus, &[question(session, 1, "?"), question(session, 2, "?")]).await;
    let member = bus.subscribe("group").await.unwrap();
    let held = next(&member).await;
    broker.signal("STOP");
    let page = DeadLettersPage { after: None, limit: 10 };
    let third = [question(session, 3, "?")];
    let published = in_time(bus.publish(&third)).await;
    assert!(!matches!(published.as_deref(), Ok([Published::Done])), "{published:?}");
    assert!(in_time(bus.list(&page)).await.is_err());
    assert!(in_time(bus.create_topics()).await.is_err());
    assert!(in_time(bus.subscribe("another")).await.is_err());
    assert!(in_time(member.lag()).await.is_err());
    assert!(in_time(open(config).publish(&third)).await.is_err(), "connecting counts too");
    let start = Instant::now();
    assert!(bus.check().await.is_err() && start.elapsed() < Duration::from_millis(1300), "the probe has a second");
    // The record in hand stays in hand, unless the group has gone on without this member.
    assert!(in_time(member.ack(&held.id)).await.is_ok());
    broker.signal("CONT");
    let start = Instant::now();
    publish(&bus, &third).await;
    let mut last = 0;
    while last < 3 {
        let seq = take(&member).await.seq;
        assert!(seq <= last + 1 || last == 0, "event {seq} came after {last}");
        last = seq;
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    broker.signal("STOP");
    assert!(in_time(member.close()).await.is_err(), "nobody hears that it leaves");
    broker.signal("CONT");
}

/// Twice the deadline that the test has set: leaving waits for a place and then leaves.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), call).await.expect("an answer within the deadline")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_dies_under_load_leaves_its_work_to_the_others() {
    let _turn = TURN.lock().await;
    let Some(broker) = broker().await else { return };
    let (bus, seen) = (open(common::config(broker)), Seen::default());
    let sessions: Vec<SessionId> = (0..30).map(|_| new_session()).collect();
    let events: Vec<_> =
        (1..=40).flat_map(|seq| sessions.iter().map(move |session| question(*session, seq, "?"))).collect();
    publish(&bus, &events).await;
    let (first, second) = (bus.subscribe("group").await.unwrap(), bus.subscribe("group").await.unwrap());
    let dying = lanes(&first, &seen);
    let living = lanes(&second, &seen);
    until_seen(&seen, 300, Duration::from_secs(20)).await;
    // Its handlers are cut off, and nobody tells the group.
    dying.iter().for_each(tokio::task::JoinHandle::abort);
    drop(first);
    for lane in dying {
        assert!(lane.await.unwrap_err().is_cancelled());
    }
    until_seen(&seen, events.len(), Duration::from_secs(20)).await;
    in_order(&seen);
    let wait = async {
        while second.lag().await.unwrap() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), wait).await.expect("all is worked off");
    second.close().await.unwrap();
    for lane in living {
        lane.await.unwrap();
    }
}

/// Does not get one session's events done: what they need is away.
#[derive(Debug)]
struct Without {
    session: SessionId,
    tries: AtomicU32,
    done: AtomicU32,
}

#[async_trait]
impl EventHandler for Without {
    async fn handle(&self, event: &Event, _: &Place) -> Result<(), Unhandled> {
        let (count, done) = match event.session == self.session {
            true => (&self.tries, Err(Unhandled::away("nobody is there"))),
            false => (&self.done, Ok(())),
        };
        count.fetch_add(1, Ordering::Relaxed);
        done
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_waits_goes_to_its_next_holder_at_once_and_its_lane_is_free() {
    let _turn = TURN.lock().await;
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.partitions = 1;
    let (bus, session) = (open(config), new_session());
    publish(&bus, &[question(session, 1, "?")]).await;
    let handler = Arc::new(Without { session, tries: AtomicU32::new(0), done: AtomicU32::new(0) });
    let first = bus.subscribe("group").await.unwrap();
    let consumer = Consumer::new(first.clone(), vec![handler.clone()], Arc::new(TokioRuntime::current()), 3);
    let lane = |consumer: Consumer| async move { while consumer.step().await.unwrap() != Consumed::Closed {} };
    let lanes = [consumer.clone(), consumer.clone()].map(|consumer| tokio::spawn(lane(consumer)));
    let until = async |count: &AtomicU32, wanted| {
        let wait = async {
            while count.load(Ordering::Relaxed) < wanted {
                sleep(Duration::from_millis(20)).await
            }
        };
        timeout(Duration::from_secs(20), wait).await.is_ok()
    };
    // More members than there are lanes come and go, each of which may be given the partition. Had they to wait for what
    // is in hand, each would for 30 s.
    for joins in 1..=3 {
        let tries = handler.tries.load(Ordering::Relaxed);
        assert!(until(&handler.tries, tries + 1).await, "it is tried after {} have left", joins - 1);
        let other = bus.subscribe("group").await.unwrap();
        timeout(Duration::from_secs(20), other.close()).await.expect("a member joins and leaves").unwrap();
    }
    publish(&bus, &[question(new_session(), 1, "?")]).await;
    assert!(until(&handler.done, 1).await, "a lane is free");
    consumer.stop();
    first.close().await.unwrap();
    for lane in lanes {
        lane.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_hand_at_a_close_comes_at_once_and_says_so() {
    let _turn = TURN.lock().await;
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.session_timeout = Duration::from_secs(60);
    let (bus, session) = (open(config), new_session());
    publish(&bus, &[question(session, 1, "?"), question(session, 2, "?")]).await;
    let first = bus.subscribe("group").await.unwrap();
    let held = next(&first).await;
    first.close().await.unwrap();
    assert_eq!(first.ack(&held.id).await.unwrap(), Acked::Revoked);
    let second = bus.subscribe("group").await.unwrap();
    let again = next(&second).await;
    assert_eq!((again.place, again.attempt), (held.place, 2));
    assert_eq!(second.ack(&again.id).await.unwrap(), Acked::Done);
    let behind = next(&second).await;
    assert_eq!(behind.attempt, 1, "that one was never handed out");
    second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_waits_for_what_is_in_hand_but_not_for_ever() {
    let _turn = TURN.lock().await;
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.handover = Duration::from_secs(3);
    let (bus, session) = (open(config), new_session());
    publish(&bus, &[question(session, 1, "?"), question(session, 2, "?")]).await;
    let first = bus.subscribe("group").await.unwrap();
    let held = next(&first).await;
    let second = bus.subscribe("group").await.unwrap();
    // One of the two is given the partition, and with it the record that is still in hand.
    let again = timeout(Duration::from_millis(1500), either(&first, &second)).await;
    assert!(again.is_err(), "it is waited for: {again:?}");
    let (member, again) = either(&first, &second).await;
    assert_eq!((&again.place, again.attempt), (&held.place, 2));
    assert_eq!(first.ack(&held.id).await.unwrap(), Acked::Revoked);
    assert_eq!(member.ack(&again.id).await.unwrap(), Acked::Done);
    let (member, behind) = either(&first, &second).await;
    assert_eq!(behind.event.unwrap().seq, 2);
    member.ack(&behind.id).await.unwrap();
    first.close().await.unwrap();
    second.close().await.unwrap();
}

//! A topic or a partition that cannot be had holds back its own events, and no others.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::event::{Event, EventBody};
use chatcore::id::{MessageId, SessionId};
use chatcore::message::{AiReply, Answer, Message, Status};
use chatcore::port::{Acked, EventBus, Published, Runtime};
use chatcore_kafka::{Kafka, KafkaConfig};
use chatcore_ports::tokio::TokioRuntime;
use common::{
    Broker, OF_LEADERS, OF_TOPICS, broker, joins, lose, lose_no_more, new_session, next, open, open_line, publish,
    question, take, tell_late, unwell, well,
};
use futures_util::future::{Either, select};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Once;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

fn deletion(session: SessionId, seq: u64) -> Event {
    Event { body: EventBody::SessionDeleted, ..question(session, seq, "") }
}

fn answer(session: SessionId, seq: u64) -> Event {
    let asked = question(session, seq, "");
    let answer = Answer { status: Status::Completed, content: "!".into(), reply: AiReply::default() };
    let id = MessageId::from(TokioRuntime::current().new_id());
    let body = EventBody::ChatResponded(Box::new(Message::answer(id, seq, seq - 1, answer, asked.at)));
    Event { body, ..asked }
}

/// What came of each event.
async fn told(bus: &Kafka, events: &[Event]) -> Vec<&'static str> {
    let results = bus.publish(events).await.unwrap();
    let told = |result| match result {
        Published::Done => "done",
        Published::Later(_) => "later",
        Published::Refused(_) => "refused",
    };
    results.into_iter().map(told).collect()
}

/// Events of all kinds in one call, where the topic of answers cannot be had.
async fn all_but_answers_go_out(bus: &Kafka) {
    let [first, second, third] = [new_session(), new_session(), new_session()];
    let mixed = [
        question(first, 1, "?"),
        answer(first, 2),
        deletion(first, 3),
        question(second, 1, &"x".repeat(2 << 20)),
        deletion(second, 2),
        question(third, 1, "?"),
    ];
    for _ in 0..2 {
        assert_eq!(told(bus, &mixed).await, ["done", "later", "later", "refused", "done", "done"]);
    }
}

/// The other topics are there.
async fn without_answers(config: &KafkaConfig) {
    let mut others = config.clone();
    others.topics.responses.push_str("-other");
    open(others).create_topics().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_made_holds_back_its_own_events() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    without_answers(&config).await;
    // More brokers than there are.
    config.replication = 3;
    let bus = open(config.clone());
    well(&bus).await;
    assert_eq!(bus.missing_topics().await.unwrap(), [&*config.topics.responses]);
    all_but_answers_go_out(&bus).await;
    assert!(bus.subscribe("group").await.is_err(), "who reads needs all of them");
    bus.publish(&[]).await.expect_err("who readies it goes on trying");
    unwell(&bus, [&config.topics.responses, "InvalidReplicationFactor"]).await;
    // Somebody makes it.
    config.replication = 1;
    open(config).create_topics().await.unwrap();
    well(&bus).await;
    let ready = async {
        while bus.publish(&[]).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(30), ready).await.expect("nothing is missing");
    assert_eq!(bus.missing_topics().await.unwrap(), [""; 0]);
    publish(&bus, &[answer(new_session(), 2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_described_holds_back_its_own_events() {
    let Some(broker) = broker().await else { return };
    let config = common::config(broker);
    open(config.clone()).create_topics().await.unwrap();
    let acls =
        async |args: &[&str]| broker.tool(&[&["acls"], args, &["--topic", &config.topics.responses]].concat()).await;
    acls(&["--add", "--allow-principal", "User:*", "--operation", "Write", "--operation", "Create"]).await;
    acls(&["--add", "--deny-principal", "User:*", "--operation", "Describe"]).await;
    let bus = open(config.clone());
    all_but_answers_go_out(&bus).await;
    acls(&["--remove", "--force"]).await;
    publish(&bus, &[answer(new_session(), 2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_written_is_told_of_until_it_may() {
    let Some(broker) = broker().await else { return };
    let config = common::config(broker);
    let (bus, topic) = (open(config.clone()), &*config.topics.sessions);
    bus.create_topics().await.unwrap();
    let acls = async |args: &[&str]| broker.tool(&[&["acls", "--topic", topic], args].concat()).await;
    acls(&["--add", "--allow-principal", "User:*", "--operation", "Describe"]).await;
    let refused = async { while told(&bus, &[deletion(new_session(), 1)]).await != ["later"] {} };
    timeout(Duration::from_secs(30), refused).await.expect("it may not be written");
    unwell(&bus, [topic, "TopicAuthorizationFailed"]).await;
    acls(&["--remove", "--force"]).await;
    publish(&bus, &[deletion(new_session(), 1)]).await;
    well(&bus).await;
}

/// Settings of who comes by a line on which the leaders of some partitions can be away.
fn by_line(broker: &Broker, config: &KafkaConfig) -> KafkaConfig {
    static LINE: Once = Once::new();
    LINE.call_once(|| open_line(broker));
    let mut config = config.clone();
    config.bootstrap_servers = vec![format!("127.0.0.1:{}", broker.line())];
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_answer_is_waited_for_once() {
    let Some(broker) = broker().await else { return };
    let config = by_line(broker, &common::config(broker));
    let bus = open(config.clone());
    bus.create_topics().await.unwrap();
    lose(OF_LEADERS, &config.topics.sessions);
    let (stuck, free) = (new_session(), new_session());
    let stuck: Vec<_> = (1..=3).map(|seq| deletion(stuck, seq)).collect();
    let start = Instant::now();
    assert_eq!(
        told(&bus, &[&stuck[..], &[question(free, 1, "?")]].concat()).await,
        ["later", "later", "later", "done"]
    );
    println!("the first call took {:.1?}", start.elapsed());
    for seq in 2..=20 {
        let start = Instant::now();
        let events = [&stuck[..], &[question(free, seq, "?")]].concat();
        assert_eq!(told(&bus, &events).await, ["later", "later", "later", "done"]);
        assert!(start.elapsed() < Duration::from_secs(2), "others wait for it: {:?}", start.elapsed());
    }
    lose_no_more(&config.topics.sessions);
    publish(&bus, &stuck).await;
    let member = bus.subscribe("group").await.unwrap();
    let (mut last, mut asked) = (0, 0);
    while last < 3 || asked < 20 {
        let event = take(&member).await;
        let seen = if event.session == free { &mut asked } else { &mut last };
        assert!(event.seq <= *seen + 1, "event {} came after {seen}", event.seq);
        *seen = event.seq.max(*seen);
    }
    member.close().await.unwrap();
}

/// Where it is to be read on could not be asked for, ever less often, from the first on.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_away_when_the_group_began_is_soon_read() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.call_timeout = Duration::from_secs(1);
    let waiting = deletion(new_session(), 1);
    publish(&open(config.clone()), std::slice::from_ref(&waiting)).await;
    lose(OF_LEADERS, &config.topics.sessions);
    let member = open(by_line(broker, &config)).subscribe("group").await.unwrap();
    // So long that a client left to itself would wait for 20 s more.
    let away = sleep(Duration::from_secs(35));
    let read = async {
        loop {
            match member.next().await {
                Ok(delivery) => return delivery,
                // It has been away for long; the member goes on by itself.
                Err(error) => assert!(error.may_pass(), "{error:?}"),
            }
        }
    };
    let (mut read, start) = (pin!(read), Instant::now());
    assert!(matches!(select(pin!(away), &mut read).await, Either::Left(_)), "it cannot be read");
    lose_no_more(&config.topics.sessions);
    let delivery = timeout(Duration::from_secs(10), read).await.expect("it is read again").expect("it is open");
    println!("read {:.1?} after it was back", start.elapsed() - Duration::from_secs(35));
    assert_eq!(delivery.event.unwrap(), waiting);
    member.close().await.unwrap();
}

/// Nobody tells which topic it is now, and so whether it was made anew; others are read meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_told_of_stops_no_other_from_being_read() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.partitions = 1;
    let (bus, topic) = (open(config.clone()), &config.topics.sessions);
    let member = open(by_line(broker, &config)).subscribe("group").await.unwrap();
    for _ in 0..3 {
        publish(&bus, &[deletion(new_session(), 1)]).await;
        take(&member).await;
    }
    lose(OF_TOPICS, topic);
    broker.tool(&["topics", "--delete", "--topic", topic]).await;
    let waiting = deletion(new_session(), 1);
    publish(&bus, std::slice::from_ref(&waiting)).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        let (asked, event) = (Instant::now(), question(new_session(), 1, "?"));
        publish(&bus, std::slice::from_ref(&event)).await;
        assert_eq!(take(&member).await, event);
        assert!(asked.elapsed() < Duration::from_secs(4), "it was read after {:?}", asked.elapsed());
    }
    lose_no_more(topic);
    assert_eq!(take(&member).await, waiting);
    member.close().await.unwrap();
}

/// Heartbeats that wait behind the join must cost the member neither its connection nor its place.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_long_for_its_place_in_the_group_asks_for_it_once() {
    let Some(broker) = broker().await else { return };
    let mut config = by_line(broker, &common::config(broker));
    (config.call_timeout, config.handover) = (Duration::from_secs(1), Duration::from_secs(5));
    let group = format!("{}group", config.group_prefix);
    tell_late(&group);
    let bus = open(config);
    publish(&bus, &[(); 60].map(|()| question(new_session(), 1, "?"))).await;
    let (busy, waiting) = (bus.subscribe("group").await.unwrap(), bus.subscribe("group").await.unwrap());
    take(&waiting).await;
    // Both have a place by now.
    let held = next(&busy).await;
    let (before, start) = (joins(&group), Instant::now());
    // All wait for the record in hand, which is given up in the end.
    let third = bus.subscribe("group").await.unwrap();
    next(&third).await;
    assert!(start.elapsed() > Duration::from_secs(5), "it is waited for: {:?}", start.elapsed());
    sleep(Duration::from_secs(1)).await;
    // Who is new is first told what it is called.
    assert_eq!(joins(&group) - before, 4);
    assert_eq!(busy.ack(&held.id).await.unwrap(), Acked::Revoked);
    for member in [busy, waiting, third] {
        member.close().await.unwrap();
    }
}

/// Of two servers that are named one takes connections and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_keeps_nobody_from_the_others() {
    let Some(broker) = broker().await else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = common::config(broker);
    open(config.clone()).create_topics().await.unwrap();
    config.bootstrap_servers.push(silent.local_addr().unwrap().to_string());
    for _ in 0..8 {
        let (bus, event) = (open(config.clone()), question(new_session(), 1, "?"));
        let published = timeout(config.call_timeout / 2, bus.publish(&[event])).await.expect("soon");
        assert!(matches!(published.unwrap()[..], [Published::Done]));
    }
    let member = timeout(config.call_timeout / 2, open(config).subscribe("group")).await.expect("soon").unwrap();
    take(&member).await;
    member.close().await.unwrap();
}

/// Questions that nobody has time for keep the newest from being fetched; its answer could be had.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_a_question_that_there_is_no_room_for() {
    let Some(broker) = broker().await else { return };
    let mut config = common::config(broker);
    config.partitions = 1;
    let bus = open(config);
    let member = bus.subscribe("group").await.unwrap();
    let others: Vec<_> = (0..4000).map(|_| question(new_session(), 1, "?")).collect();
    publish(&bus, &others).await;
    let mut hands = Vec::new();
    for _ in &others {
        hands.push(next(&member).await.id);
    }
    let session = new_session();
    publish(&bus, &[question(session, 1, "?"), answer(session, 2)]).await;
    let early = timeout(Duration::from_secs(3), member.next()).await;
    assert!(early.is_err(), "it came without its question: {early:?}");
    for hand in hands {
        assert_eq!(member.ack(&hand).await.unwrap(), Acked::Done);
    }
    assert_eq!((take(&member).await.seq, take(&member).await.seq), (1, 2));
    member.close().await.unwrap();
}

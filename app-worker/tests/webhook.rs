//! What becomes of an event, by what its receiver answers.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test may")]

use app_kit::settings::Secret;
use app_worker::handlers::{Address, Webhook, WebhookConfig};
use chatcore::consume::{Consumed, Consumer};
use chatcore::event::{Event, EventBody};
use chatcore::id::{MessageId, SessionId, UserId};
use chatcore::message::Message;
use chatcore::owner::Owner;
use chatcore::port::{DeadLetters, DeadLettersPage, EventBus, Runtime};
use chatcore_ports::memory::MemoryBus;
use chatcore_ports::tokio::TokioRuntime;
use futures_util::future::{BoxFuture, Either, join_all, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;
use wiremock::matchers::{body_string_contains, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A runtime whose time passes a thousand times as fast.
#[derive(Debug)]
struct Hurried(TokioRuntime);

impl Runtime for Hurried {
    fn now(&self) -> OffsetDateTime {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed() * 1000
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(time / 1000)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn new_id(&self) -> Uuid {
        self.0.new_id()
    }
}

fn question(session: u128, seq: u64, text: &str) -> Event {
    let (session, owner) = (SessionId::from(Uuid::from_u128(session)), Owner::User(UserId::parse("u").unwrap()));
    let at = OffsetDateTime::UNIX_EPOCH;
    let message = Message::question(MessageId::from(Uuid::from_u128(seq.into())), seq, text.into(), at);
    Event { session, owner, seq, at, request_id: None, body: EventBody::ChatRequested(Box::new(message)) }
}

/// A worker with this receiver, whose bus is empty.
async fn worker(receiver: &MockServer) -> (Arc<Hurried>, MemoryBus, Consumer) {
    let runtime = Arc::new(Hurried(TokioRuntime::current()));
    let bus = MemoryBus::new(runtime.clone());
    let config = WebhookConfig { url: Address(receiver.uri().parse().unwrap()), secret: Secret::new("a secret") };
    let webhook = Arc::new(Webhook::new(config, runtime.clone()).unwrap());
    let consumer = Consumer::new(bus.subscribe("workers").await.unwrap(), vec![webhook], runtime.clone(), 5);
    (runtime, bus, consumer)
}

async fn reasons(bus: &MemoryBus) -> Vec<String> {
    let letters = bus.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
    letters.into_iter().map(|letter| letter.reason).collect()
}

/// What became of the events, the first to end first, after how long; and the reasons of the letters.
async fn consumed(receiver: &MockServer, events: &[Event]) -> (Vec<(Consumed, Duration)>, Vec<String>) {
    let (runtime, bus, consumer) = worker(receiver).await;
    bus.publish(events).await.unwrap();
    let step = async |_| (consumer.step().await.unwrap(), runtime.elapsed());
    let steps = join_all(events.iter().map(step));
    let mut steps = tokio::time::timeout(Duration::from_secs(20), steps).await.expect("an event waits for ever");
    steps.sort_by_key(|(_, at)| *at);
    (steps, reasons(&bus).await)
}

/// Answers this to so many calls, and 200 after them.
async fn receiver(answers: &[(u16, u64)]) -> MockServer {
    let server = MockServer::start().await;
    for (status, calls) in answers {
        let mock = Mock::given(method("POST")).respond_with(ResponseTemplate::new(*status));
        mock.up_to_n_times(*calls).mount(&server).await;
    }
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    server
}

#[tokio::test]
async fn an_event_that_the_receiver_fails_on_is_parked_after_five_minutes_and_others_go_on() {
    let server = MockServer::start().await;
    let fails = Mock::given(body_string_contains("poisoned")).respond_with(ResponseTemplate::new(500));
    fails.with_priority(1).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let events = [question(1, 1, "poisoned"), question(1, 2, "behind it"), question(2, 1, "of another session")];
    let (steps, letters) = consumed(&server, &events).await;
    let ended: Vec<_> = steps.iter().map(|(consumed, _)| *consumed).collect();
    assert_eq!(ended, [Consumed::Handled, Consumed::Parked, Consumed::Handled], "{steps:?}");
    assert!(steps[1].1 >= Duration::from_secs(300), "{steps:?}");
    assert_eq!(letters, ["the webhook answered 500"]);
}

/// What becomes of an event that the receiver answers with this, while it takes others all the time, within so long; and the reasons
/// of the letters.
async fn among_others(status: u16, within: Duration) -> (Option<(Consumed, Duration)>, Vec<String>) {
    let server = MockServer::start().await;
    let fails = Mock::given(body_string_contains("poisoned")).respond_with(ResponseTemplate::new(status));
    fails.with_priority(1).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let (runtime, bus, consumer) = worker(&server).await;
    bus.publish(&[question(1, 1, "poisoned")]).await.unwrap();
    let poisoned = async { Some((consumer.step().await.unwrap(), runtime.elapsed())) };
    let others = async {
        for session in 2.. {
            if runtime.elapsed() >= within {
                break;
            }
            runtime.sleep(Duration::from_secs(3)).await;
            bus.publish(&[question(session, 1, "hello")]).await.unwrap();
            assert_eq!(consumer.step().await.unwrap(), Consumed::Handled);
        }
        None
    };
    let became = match select(pin!(poisoned), pin!(others)).await {
        Either::Left((became, _)) | Either::Right((became, _)) => became,
    };
    (became, reasons(&bus).await)
}

#[tokio::test]
async fn an_event_that_alone_gets_no_answer_is_parked_after_five_minutes() {
    for status in [502, 503, 504] {
        let (became, letters) = among_others(status, Duration::from_secs(5000)).await;
        let (consumed, after) = became.expect("it does not wait for ever");
        assert!(consumed == Consumed::Parked && after >= Duration::from_secs(300), "{status}: {consumed:?} {after:?}");
        assert_eq!(letters, [format!("the webhook answered {status}")]);
    }
}

#[tokio::test]
async fn an_event_that_the_receiver_has_no_time_for_waits_though_it_takes_others() {
    for status in [408, 425, 429] {
        assert_eq!(among_others(status, Duration::from_secs(1000)).await, (None, vec![]), "{status}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_away_or_busy_is_waited_for() {
    // Each for longer than five minutes.
    let cases = [408, 425, 429, 502, 503, 504].map(|status| vec![(status, 90)]);
    // And one that is away again before it has failed for that long, also on a busy machine, where a call may take ten of its
    // seconds.
    let on_and_off = [(500, 15), (503, 1)].repeat(6);
    let cases = cases.into_iter().chain([on_and_off, vec![(501, 20)], vec![(505, 20)]]);
    for answers in cases {
        let server = receiver(&answers).await;
        let (steps, letters) = consumed(&server, &[question(1, 1, "hello")]).await;
        assert_eq!((steps[0].0, letters), (Consumed::Handled, vec![]), "{answers:?}");
    }
}

#[tokio::test]
async fn what_the_receiver_refuses_is_parked_at_once() {
    for status in [307, 400, 401, 404, 410, 413, 422] {
        let server = receiver(&[(status, 1)]).await;
        let (steps, letters) = consumed(&server, &[question(1, 1, "hello")]).await;
        assert_eq!((steps[0].0, letters), (Consumed::Parked, vec![format!("the webhook answered {status}")]));
    }
}

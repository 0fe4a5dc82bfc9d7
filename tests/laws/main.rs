//! Laws of the use cases: `ChatService` here, each in virtual time over a quiet network.
#![expect(clippy::unwrap_used, reason = "a test may")]

use chat_sim::net::{Far, Net, Weather};
use chatcore::chat::{Answered, ChatError, ChatService, InvalidMessage, SendMessage, TurnEvent};
use chatcore::id::{Key, UserId};
use chatcore::message::{AiReply, Status};
use chatcore::owner::Owner;
use chatcore::policy::ChatPolicy;
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use chatcore::turn::{Cursor, Position};
use chatcore_ports::memory::MemoryStore;
use chatcore_ports::sim::{Group, Sim, SimRuntime};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, unfold};
use futures_util::{FutureExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;

mod answers;
mod busy;
mod consumer;
mod guests;
mod logins;
mod readers;
mod relay;
mod sweeper;
mod threads;

/// Says this many words, one every `gap`.
#[derive(Debug, Clone)]
struct Words(u64, Duration, SimRuntime);

impl AiGateway for Words {
    fn answer(&self, _: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let Words(words, gap, runtime) = self.clone();
        unfold(Some(0), move |said| {
            let sleep = runtime.sleep(gap);
            async move {
                let said = said?;
                sleep.await;
                let end = (Ok(AiChunk::Done(AiReply::default())), None);
                Some(if said == words { end } else { (Ok(AiChunk::Text("word ".into())), Some(said + 1)) })
            }
        })
        .boxed()
    }
}

struct Bench {
    sim: Sim,
    net: Net,
    store: MemoryStore,
}

impl Bench {
    fn new() -> Self {
        let sim = Sim::new(7);
        Self { net: Net::new(sim.clone()), store: MemoryStore::new(Arc::new(sim.runtime(0))), sim }
    }

    fn service(&self, words: u64, gap: Duration) -> ChatService {
        self.service_of(1, ChatPolicy::default(), words, gap)
    }

    /// A service of a group of tasks, which can be killed.
    fn service_of(&self, group: Group, policy: ChatPolicy, words: u64, gap: Duration) -> ChatService {
        let runtime = self.sim.runtime(group);
        let store = Arc::new(Far::new(self.store.clone(), self.net.clone()));
        ChatService::new(store, Arc::new(Words(words, gap, runtime.clone())), Arc::new(runtime), policy)
    }

    fn run(&self, main: impl Future<Output = ()> + Send + 'static) {
        assert!(self.sim.run(main), "all tasks wait for each other");
    }

    fn now(&self) -> Duration {
        self.sim.runtime(0).elapsed()
    }
}

fn hello() -> SendMessage {
    let owner = Owner::User(UserId::parse("u").unwrap());
    let key = Some(Key::parse("k").unwrap());
    SendMessage { key, ..SendMessage::new(owner, "hello") }
}

/// One call of the store that fails: without its effect, with it, or with it some time after.
fn weather_of_one_fault() -> [Weather; 3] {
    let quiet = Weather::default();
    [Weather { before: 1000, ..quiet }, Weather { after: 1000, ..quiet }, Weather { late: 1000, ..quiet }]
}

fn calls_of_one_turn(words: u64, gap: u64) -> u64 {
    let bench = Bench::new();
    let service = bench.service(words, Duration::from_millis(gap));
    bench.run(async move { assert!(service.send(hello()).await.is_ok()) });
    bench.net.counts().0
}

#[test]
fn one_message_costs_two_round_trips() {
    assert_eq!(calls_of_one_turn(1, 20), 2, "a short answer");
    assert_eq!(calls_of_one_turn(0, 12_000), 4, "a silent AI: two renewals of a lease of 15 s");
    let streamed = calls_of_one_turn(30, 100);
    assert!((12..=32).contains(&streamed), "a stream of 3 s: {streamed}");
}

#[test]
fn a_stop_is_seen_at_once_here_and_within_a_third_of_the_lease_elsewhere() {
    for here in [true, false] {
        let bench = Bench::new();
        let (service, other) = (bench.service(0, Duration::from_secs(20)), bench.service(0, Duration::ZERO));
        let runtime = bench.sim.runtime(0);
        bench.run(async move {
            let Ok((begun, mut events)) = service.stream(hello()).await else { panic!("no turn") };
            runtime.sleep(Duration::from_millis(200)).await;
            let stopper = if here { service } else { other };
            assert!(stopper.stop(&hello().owner, &begun.turn).await.is_ok());
            let Some(TurnEvent::Done(answer)) = events.next().await else { panic!("no end") };
            assert_eq!(answer.status, Status::Cancelled);
        });
        assert!(bench.now() < Duration::from_millis(if here { 300 } else { 5100 }), "{:?}", bench.now());
    }
}

/// A silent AI, so that only a call which is made for the stop can see it.
#[test]
fn a_stop_is_seen_at_once_here_whichever_call_of_it_fails() {
    for (weather, number) in weather_of_one_fault().into_iter().flat_map(|weather| (0..6).map(move |n| (weather, n))) {
        let bench = Bench::new();
        let service = bench.service(0, Duration::from_secs(20));
        let (runtime, net) = (bench.sim.runtime(0), bench.net.clone());
        bench.run(async move {
            let Ok((begun, mut events)) = service.stream(hello()).await else { panic!("no turn") };
            let asked = runtime.elapsed();
            net.set(|now| *now = Weather { only: Some(net.counts().0 + number), ..weather });
            // Who is told that it failed asks again.
            while service.stop(&hello().owner, &begun.turn).await.is_err() {}
            let Some(TurnEvent::Done(answer)) = events.next().await else { panic!("no end") };
            assert_eq!(answer.status, Status::Cancelled);
            let took = runtime.elapsed() - asked;
            assert!(took < Duration::from_secs(1), "{took:?}, call {number} failed: {weather:?}");
        });
    }
}

#[test]
fn a_caller_who_goes_away_ends_nothing() {
    let bench = Bench::new();
    let service = bench.service(3, Duration::from_millis(100));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        assert!(service.send(hello()).now_or_never().is_none(), "polled once, then dropped");
        runtime.sleep(Duration::from_secs(1)).await;
        let again = service.send(hello()).await;
        assert!(matches!(again, Ok(Answered { replayed: true, .. })), "{again:?}");
    });
}

/// Its calls fail after up to half a second each.
#[test]
fn a_store_that_is_away_is_told_within_the_patience() {
    let bench = Bench::new();
    let (service, other) = (bench.service(3, Duration::from_millis(20)), bench.service(3, Duration::from_millis(20)));
    let (runtime, net, patience) = (bench.sim.runtime(0), bench.net.clone(), ChatPolicy::default().patience);
    bench.run(async move {
        let Ok(answered) = service.send(hello()).await else { panic!("no answer") };
        let (owner, turn) = (hello().owner, answered.turn);
        let cursor = || Cursor { turn, from: Position::default() };
        net.set(|weather| weather.outage = true);
        for round in 0..20 {
            let asked: [(&str, BoxFuture<'_, Option<ChatError>>); 4] = [
                ("an answer", other.send(hello()).map(Result::err).boxed()),
                ("a stream", other.stream(hello()).map(Result::err).boxed()),
                ("a turn's stream", other.follow(owner.clone(), cursor()).map(Result::err).boxed()),
                ("a session's stream", other.newer(owner.clone(), turn.session, 0).map(Result::err).boxed()),
            ];
            for (what, asked) in asked {
                let (since, told) = (runtime.elapsed(), asked.await);
                let took = runtime.elapsed() - since;
                assert!(matches!(told, Some(ChatError::Unavailable { .. })), "{what}: {told:?}");
                assert!(took <= patience, "{what} was refused after {took:?} in round {round}");
            }
        }
    });
}

#[test]
fn a_store_that_is_away_at_the_end_costs_a_503_and_no_answer() {
    let bench = Bench::new();
    let service = bench.service(3, Duration::from_millis(20));
    let (runtime, net) = (bench.sim.runtime(0), bench.net.clone());
    bench.run(async move {
        let asked = service.stream(hello()).await.map(|(_, events)| events.collect::<Vec<_>>());
        net.set(|weather| weather.outage = true);
        let Ok(events) = asked else { panic!("no turn") };
        assert!(matches!(events.await.last(), Some(TurnEvent::Error(ChatError::Unavailable { turn: Some(_), .. }))));
        runtime.sleep(Duration::from_secs(3)).await;
        net.set(|weather| weather.outage = false);
        runtime.sleep(Duration::from_secs(2)).await;
        let Ok(again) = service.send(hello()).await else { panic!("no answer") };
        assert_eq!((again.replayed, again.answer.status, again.answer.content.len()), (true, Status::Completed, 15));
    });
}

#[test]
fn a_server_that_drains_closes_what_is_left_with_its_text() {
    let bench = Bench::new();
    let service = bench.service(1000, Duration::from_millis(100));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        let Ok((_, events)) = service.stream(hello()).await else { panic!("no turn") };
        runtime.sleep(Duration::from_secs(2)).await;
        service.drain(Duration::from_secs(2)).await;
        let events: Vec<_> = events.collect().await;
        let Some(TurnEvent::Done(answer)) = events.last() else { panic!("no end: {events:?}") };
        assert_eq!(answer.status, Status::Failed);
        assert!(matches!(service.send(hello()).await, Err(ChatError::Stopping { .. })));
    });
}

#[test]
fn a_server_that_drains_leaves_a_turn_without_text_open_for_its_key() {
    let bench = Bench::new();
    let (first, second) = (bench.service(0, Duration::from_secs(20)), bench.service(1, Duration::from_millis(20)));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        let Ok((begun, events)) = first.stream(hello()).await else { panic!("no turn") };
        first.drain(Duration::from_secs(1)).await;
        let events: Vec<_> = events.collect().await;
        assert!(
            matches!(&events[..], [TurnEvent::Error(ChatError::Stopping { turn: Some(turn) })] if *turn == begun.turn),
            "{events:?}"
        );
        runtime.sleep(ChatPolicy::default().lease).await;
        let Ok(answered) = second.send(hello()).await else { panic!("no answer") };
        assert_eq!((answered.turn, answered.answer.status, answered.replayed), (begun.turn, Status::Completed, false));
    });
}

#[test]
fn a_deletion_ends_a_turn_of_its_server_at_once() {
    let bench = Bench::new();
    let service = bench.service(0, Duration::from_secs(20));
    bench.run(async move {
        let Ok((begun, events)) = service.stream(hello()).await else { panic!("no turn") };
        assert!(service.delete(&hello().owner, &begun.turn.session, None).await.is_ok());
        let events: Vec<_> = events.collect().await;
        assert!(matches!(&events[..], [TurnEvent::Error(ChatError::Gone)]), "{events:?}");
    });
    assert!(bench.now() < Duration::from_millis(300), "{:?}", bench.now());
}

#[test]
fn what_is_no_message_is_refused_before_anything_else() {
    let bench = Bench::new();
    let service = bench.service(1, Duration::ZERO);
    bench.run(async move {
        for (text, expected) in [
            (" \n\t\u{200b}\u{1}", InvalidMessage::Empty),
            ("a\0b", InvalidMessage::Nul),
            (&*"x".repeat(32 * 1024 + 1), InvalidMessage::TooLong { max: 32 * 1024 }),
        ] {
            let refused = service.send(SendMessage { text: text.into(), ..hello() }).await;
            assert!(matches!(refused, Err(ChatError::Invalid(invalid)) if invalid == expected), "{refused:?}");
        }
    });
    assert_eq!(bench.net.counts().0, 0, "calls of the store");
}

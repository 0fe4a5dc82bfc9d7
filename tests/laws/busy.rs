//! Laws of a message that comes while another one of its session is being answered.

use crate::{Bench, Words, hello, weather_of_one_fault};
use chat_sim::net::{Far, Weather};
use chatcore::ChatService;
use chatcore::chat::{ChatError, Found, OnBusy, SendMessage, TurnEvent};
use chatcore::id::Key;
use chatcore::message::{Message, MessagesPage, Status};
use chatcore::policy::{ChatPolicy, Quota};
use chatcore::port::Runtime;
use chatcore::turn::{Refusal, Target, TurnId};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;

/// Another message for the session of this turn.
fn after(turn: TurnId, key: &str, on_busy: OnBusy) -> SendMessage {
    let key = Some(Key::parse(key).unwrap());
    SendMessage { target: Target::Existing(turn.session), key, on_busy, ..hello() }
}

/// Ten words, one every 100 ms, for a message that opens a session.
async fn long_turn(service: &ChatService) -> TurnId {
    service.stream(hello()).await.map(|(begun, _)| begun.turn).unwrap()
}

async fn history(service: &ChatService, turn: TurnId) -> Vec<Message> {
    service.history(&hello().owner, &turn.session, &MessagesPage { before: None, limit: 100 }).await.unwrap()
}

fn words(messages: &[Message]) -> Vec<(Status, usize)> {
    messages.iter().map(|message| (message.status, message.content.len())).collect()
}

#[test]
fn a_message_that_waits_begins_when_the_other_has_ended() {
    for here in [true, false] {
        let bench = Bench::new();
        let (first, elsewhere) = (bench.service(10, Duration::from_millis(100)), bench.service(1, Duration::ZERO));
        bench.run(async move {
            let turn = long_turn(&first).await;
            let second = if here { first.clone() } else { elsewhere };
            let refused = second.send(after(turn, "no", OnBusy::Reject)).await;
            assert!(matches!(refused, Err(ChatError::Refused(Refusal::Busy { .. }))), "{refused:?}");
            let answered = second.send(after(turn, "yes", OnBusy::Wait)).await.unwrap();
            assert_eq!((answered.seq, answered.answer.status), (3, Status::Completed));
            let history = words(&history(&second, turn).await);
            assert_eq!(history[..3], [(Status::Accepted, 5), (Status::Completed, 50), (Status::Accepted, 5)]);
        });
        let end = if here { 2500 } else { 1400 };
        assert!(bench.now() < Duration::from_millis(end), "{:?}", bench.now());
    }
}

#[test]
fn a_message_that_cancels_begins_at_once_and_the_other_keeps_its_text() {
    let bench = Bench::new();
    let service = bench.service(10, Duration::from_millis(100));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        let turn = long_turn(&service).await;
        runtime.sleep(Duration::from_millis(350)).await;
        let Ok((begun, events)) = service.stream(after(turn, "next", OnBusy::Cancel)).await else { panic!("no turn") };
        assert!(runtime.elapsed() < Duration::from_millis(600), "{:?}", runtime.elapsed());
        assert_eq!(begun.seq, 3);
        assert_eq!(words(&history(&service, turn).await)[1], (Status::Cancelled, 15));
        let events: Vec<_> = events.collect().await;
        assert!(matches!(events.last(), Some(TurnEvent::Done(answer)) if answer.status == Status::Completed));
    });
}

/// Nothing is lost for a question that is not taken in the end: neither by who would stop the other nor by who would wait.
#[test]
fn a_message_beyond_the_quota_stops_nothing() {
    let bench = Bench::new();
    let mut policy = ChatPolicy::default();
    policy.quota = Some(Quota { limit: 1, window: Duration::from_secs(600) });
    let service = bench.service_of(1, policy, 10, Duration::from_millis(100));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        let Ok((begun, events)) = service.stream(hello()).await else { panic!("no turn") };
        runtime.sleep(Duration::from_millis(350)).await;
        let asked = runtime.elapsed();
        for on_busy in [OnBusy::Cancel, OnBusy::Wait, OnBusy::Reject] {
            let refused = service.send(after(begun.turn, "next", on_busy)).await;
            assert!(matches!(refused, Err(ChatError::Refused(Refusal::Throttled { .. }))), "{refused:?}");
        }
        assert!(runtime.elapsed() - asked < Duration::from_millis(300), "a refusal waits for nobody");
        let Some(TurnEvent::Done(answer)) = events.collect::<Vec<_>>().await.pop() else { panic!("no end") };
        assert_eq!((answer.status, answer.content.len()), (Status::Completed, 50));
    });
}

#[test]
fn a_message_that_cancels_begins_soon_whichever_call_of_it_fails() {
    for (weather, number) in weather_of_one_fault().into_iter().flat_map(|weather| (0..9).map(move |n| (weather, n))) {
        let bench = Bench::new();
        // The AI is silent, so that only a call which is made for the stop can see it.
        let service = bench.service(0, Duration::from_secs(19));
        let (runtime, net) = (bench.sim.runtime(0), bench.net.clone());
        bench.run(async move {
            let (turn, asked) = (long_turn(&service).await, runtime.elapsed());
            net.set(|now| *now = Weather { only: Some(net.counts().0 + number), ..weather });
            let begun = service.stream(after(turn, "next", OnBusy::Cancel)).await.map(|(begun, _)| begun).unwrap();
            let took = runtime.elapsed() - asked;
            assert!(took < Duration::from_secs(2), "{took:?}, call {number} failed: {weather:?}");
            net.set(|now| *now = Weather::default());
            assert_eq!((begun.seq, history(&service, turn).await[1].status), (3, Status::Cancelled));
        });
    }
}

/// The store has begun it, and its server does not know yet, since the reply was lost: whoever stops it then is heard.
#[test]
fn a_message_that_cancels_begins_soon_though_the_other_is_just_beginning() {
    for gap in (10..110).step_by(10).map(Duration::from_millis) {
        let bench = Bench::new();
        let (quick, silent) = (bench.service(1, Duration::ZERO), bench.service(0, Duration::from_secs(19)));
        let (runtime, net) = (bench.sim.runtime(0), bench.net.clone());
        bench.run(async move {
            let turn = quick.send(hello()).await.unwrap().turn;
            net.set(|now| *now = Weather { after: 1000, only: Some(net.counts().0), ..Weather::default() });
            let cancelled = silent.stream(after(turn, "first", OnBusy::Reject));
            let cancels = async {
                runtime.sleep(gap).await;
                let asked = runtime.elapsed();
                let begun = silent.stream(after(turn, "next", OnBusy::Cancel)).await.map(|(begun, _)| begun.seq);
                (begun.unwrap(), runtime.elapsed() - asked)
            };
            let (_, (seq, took)) = futures_util::join!(cancelled, cancels);
            assert!(took < Duration::from_secs(2), "{took:?}, {gap:?} after the other");
            assert_eq!((seq, history(&silent, turn).await[3].status), (5, Status::Cancelled));
        });
    }
}

/// The mark of a stop outlives the server that was to see it.
#[test]
fn a_turn_that_was_stopped_and_is_taken_up_ends_at_once() {
    let bench = Bench::new();
    let dying = bench.service_of(7, ChatPolicy::default(), 0, Duration::from_secs(20));
    let service = bench.service(0, Duration::from_secs(20));
    let (runtime, sim) = (bench.sim.runtime(0), bench.sim.clone());
    bench.run(async move {
        let turn = long_turn(&dying).await;
        sim.kill(7);
        assert!(service.stop(&hello().owner, &turn).await.is_ok());
        runtime.sleep(ChatPolicy::default().lease).await;
        let (asked, answered) = (runtime.elapsed(), service.send(hello()).await.unwrap());
        assert_eq!((answered.turn, answered.answer.status), (turn, Status::Cancelled));
        let took = runtime.elapsed() - asked;
        assert!(took < Duration::from_millis(500), "{took:?}");
    });
}

/// All of them are answered, one after the other, in whatever order.
#[test]
fn messages_that_wait_together_are_all_answered() {
    let bench = Bench::new();
    let service = bench.service(2, Duration::from_millis(100));
    bench.run(async move {
        let turn = long_turn(&service).await;
        let keys: Vec<String> = (0..5).map(|number| format!("w{number}")).collect();
        let waiting = keys.iter().map(|key| service.send(after(turn, key, OnBusy::Wait)));
        for answered in futures_util::future::join_all(waiting).await {
            assert_eq!(answered.unwrap().answer.status, Status::Completed);
        }
        let history = history(&service, turn).await;
        assert!(history.iter().map(|message| message.seq).eq(1..=12), "{history:?}");
    });
}

/// Others ask again and again, as soon as the server said, and wait for nobody.
#[test]
fn a_message_that_waits_comes_before_those_that_only_try_often() {
    let bench = Bench::new();
    let service = bench.service(2, Duration::from_millis(100));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        let turn = long_turn(&service).await;
        let rival = |name: u64| {
            let (service, runtime) = (service.clone(), runtime.clone());
            async move {
                for number in 0_u64.. {
                    let message = after(turn, &format!("{name}-{number}"), OnBusy::Reject);
                    while service.send(message.clone()).await.is_err() {
                        runtime.sleep(Duration::from_millis(20 + name)).await;
                    }
                }
            }
        };
        let waiting = async {
            runtime.sleep(Duration::from_millis(1)).await;
            for number in 0..10 {
                let since = runtime.elapsed();
                let answered = service.send(after(turn, &format!("w{number}"), OnBusy::Wait)).await;
                assert!(answered.is_ok(), "{answered:?}");
                let took = runtime.elapsed() - since;
                assert!(took < Duration::from_secs(2), "{took:?}");
            }
        };
        futures_util::future::select(waiting.boxed(), join_all([rival(0), rival(1)])).await;
    });
}

#[test]
fn a_message_waits_only_so_long() {
    let bench = Bench::new();
    let mut policy = ChatPolicy::default();
    (policy.ai_timeout, policy.queue_wait) = (Duration::from_secs(300), Duration::from_secs(20));
    let service = bench.service_of(1, policy, 0, Duration::from_secs(300));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        let turn = long_turn(&service).await;
        let (since, refused) = (runtime.elapsed(), service.send(after(turn, "late", OnBusy::Wait)).await);
        assert!(
            matches!(&refused, Err(ChatError::Refused(Refusal::Busy { turn: by, .. })) if *by == turn),
            "{refused:?}"
        );
        let waited = runtime.elapsed() - since;
        assert!(waited >= Duration::from_secs(20) && waited < Duration::from_secs(21), "{waited:?}");
    });
}

/// Its lease is over some time after; nobody tells of that.
#[test]
fn a_message_waits_for_the_turn_of_a_server_that_died_no_longer_than_its_lease() {
    let bench = Bench::new();
    let (dead, alive) =
        (bench.service_of(7, ChatPolicy::default(), 0, Duration::from_secs(20)), bench.service(1, Duration::ZERO));
    let (runtime, sim) = (bench.sim.runtime(0), bench.sim.clone());
    bench.run(async move {
        let turn = long_turn(&dead).await;
        sim.kill(7);
        let answered = alive.send(after(turn, "next", OnBusy::Wait)).await.unwrap();
        assert_eq!((answered.seq, answered.answer.status), (3, Status::Completed));
        assert!(runtime.elapsed() < ChatPolicy::default().lease + Duration::from_secs(1), "{:?}", runtime.elapsed());
    });
}

/// Who asks again under the same key while the dead server's lease holds need not ask a third time.
#[test]
fn a_stream_that_joined_a_turn_takes_it_up_when_its_server_dies() {
    let bench = Bench::new();
    let dead = bench.service_of(7, ChatPolicy::default(), 100, Duration::from_secs(2));
    let alive = bench.service(3, Duration::from_millis(100));
    let (runtime, sim) = (bench.sim.runtime(0), bench.sim.clone());
    bench.run(async move {
        let turn = long_turn(&dead).await;
        runtime.sleep(Duration::from_secs(7)).await;
        let Ok((begun, mut events)) = alive.stream(hello()).await else { panic!("no turn") };
        assert_eq!((begun.turn, begun.found), (turn, Found::Running));
        let Some(TurnEvent::Delta { text, .. }) = events.next().await else { panic!("no text") };
        assert_eq!(text, "word word word ");
        sim.kill(7);
        let since = runtime.elapsed();
        let events: Vec<_> = events.collect().await;
        assert!(matches!(events[0], TurnEvent::Restart { fence } if fence > begun.fence), "{events:?}");
        let Some(TurnEvent::Done(answer)) = events.last() else { panic!("no end: {events:?}") };
        assert_eq!((answer.status, answer.content.as_str()), (Status::Completed, "word word word "));
        assert!(runtime.elapsed() - since < ChatPolicy::default().lease + Duration::from_secs(1));
    });
}

#[test]
fn a_message_that_waits_is_refused_at_once_by_a_server_that_drains() {
    let bench = Bench::new();
    let service = bench.service(50, Duration::from_millis(100));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        let turn = long_turn(&service).await;
        let waiting = service.send(after(turn, "next", OnBusy::Wait));
        let drained = async {
            runtime.sleep(Duration::from_millis(100)).await;
            service.drain(Duration::from_secs(10)).boxed().await;
        };
        let ended = async {
            let refused = waiting.await;
            assert!(matches!(refused, Err(ChatError::Stopping { turn: None })), "{refused:?}");
            assert!(runtime.elapsed() < Duration::from_millis(300), "{:?}", runtime.elapsed());
        };
        futures_util::join!(drained, ended);
    });
}

/// Two messages mean to stop the same turn. The later one comes first to begin: the other may not stop that.
#[test]
fn a_message_that_cancels_stops_none_that_was_said_later() {
    let bench = Bench::new();
    let (silent, quick) = (bench.service(0, Duration::from_secs(100)), bench.service(10, Duration::from_millis(100)));
    let (runtime, link) = (bench.sim.runtime(0), bench.net.link());
    let words = Arc::new(Words(10, Duration::from_millis(100), runtime.clone()));
    let store = Arc::new(Far::new(bench.store.clone(), link.clone()));
    let cut_off = ChatService::new(store, words, Arc::new(runtime.clone()), ChatPolicy::default());
    bench.run(async move {
        let turn = long_turn(&silent).await;
        let older = cut_off.send(after(turn, "older", OnBusy::Cancel));
        let newer = async {
            runtime.sleep(Duration::from_millis(50)).await;
            quick.send(after(turn, "newer", OnBusy::Cancel)).await.unwrap()
        };
        let weather = async {
            while history(&quick, turn).await.len() < 2 {
                runtime.sleep(Duration::from_millis(1)).await;
            }
            link.sever(true);
            runtime.sleep(Duration::from_millis(300)).await;
            link.sever(false);
        };
        let (older, newer, ()) = futures_util::join!(older, newer, weather);
        assert_eq!((newer.seq, newer.answer.status), (3, Status::Completed), "what was said last");
        let older = older.unwrap();
        assert_eq!((older.seq, older.answer.status), (5, Status::Completed), "it waited for that");
    });
}

/// What waits counts toward no quota yet.
#[test]
fn only_so_many_messages_of_a_session_wait() {
    let bench = Bench::new();
    let service = bench.service(10, Duration::from_millis(100));
    bench.run(async move {
        let turn = long_turn(&service).await;
        let keys: Vec<_> = (0..20).map(|number| format!("w{number}")).collect();
        let told = join_all(keys.iter().map(|key| service.send(after(turn, key, OnBusy::Wait)))).await;
        let answered = told.iter().filter(|told| told.is_ok()).count();
        let refused = told.iter().filter(|told| matches!(told, Err(ChatError::Refused(Refusal::Busy { .. })))).count();
        assert_eq!((answered, refused), (8, 12), "{told:?}");
    });
}

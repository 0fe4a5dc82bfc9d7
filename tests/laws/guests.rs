//! Laws of `GuestGate`.

use super::{Bench, hello};
use chatcore::chat::{ChatError, Found, SendMessage};
use chatcore::guests::{GuestError, GuestGate};
use chatcore::policy::{ChatPolicy, Left, Quota};
use chatcore::port::Runtime;
use chatcore::turn::Refusal;
use chatcore_ports::memory::MemoryThrottle;
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;

const HERE: &str = "127.0.0.1";
const QUOTA: Option<Quota> = Some(Quota { limit: 2, window: Duration::from_secs(600) });

fn gate(bench: &Bench) -> GuestGate {
    let runtime = Arc::new(bench.sim.runtime(0));
    GuestGate::new(Arc::new(MemoryThrottle::new(runtime.clone())), runtime, QUOTA)
}

/// What is left after a question that becomes this.
async fn left(gate: &GuestGate, told: Result<Found, ChatError>) -> u32 {
    let (left, _) = gate.ask(HERE, hello(), move |_| async move { told.map(|found| (found, ())) }).await;
    left.unwrap().remaining
}

#[test]
fn only_questions_that_were_stored_count() {
    let bench = Bench::new();
    let (gate, runtime) = (gate(&bench), bench.sim.runtime(0));
    bench.run(async move {
        let nothing = [
            Ok(Found::Answer),
            Ok(Found::Running),
            Ok(Found::Question),
            Err(Refusal::NotFound.into()),
            Err(ChatError::Overloaded),
            Err(ChatError::Stopping { turn: None }),
            Err(ChatError::Unavailable { turn: None, source: None }),
        ];
        for told in nothing {
            assert_eq!(left(&gate, told.clone()).await, 2, "{told:?}");
        }
        // Nor where nobody waits to hear of it.
        for _ in 0..5 {
            let slow = runtime.sleep(Duration::from_secs(1));
            let refused = |_: SendMessage| slow.map(|()| Err::<(Found, ()), _>(Refusal::NotFound.into()));
            assert!(gate.ask(HERE, hello(), refused).now_or_never().is_none(), "polled once, then dropped");
            runtime.sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(left(&gate, Ok(Found::Nobody)).await, 1);
        assert_eq!(left(&gate, Err(ChatError::Gone)).await, 0, "it was taken, and the AI asked");
    });
}

/// One waits for a long time and is refused; another, which came later and was stored, counts as long as it should.
#[test]
fn a_question_that_is_given_back_takes_no_other_with_it() {
    let bench = Bench::new();
    let (gate, runtime) = (gate(&bench), bench.sim.runtime(0));
    bench.run(async move {
        let pause = |seconds| runtime.sleep(Duration::from_secs(seconds));
        let slow = pause(400);
        let waits = gate.ask(HERE, hello(), move |_| slow.map(|()| Err::<(Found, ()), _>(Refusal::NotFound.into())));
        let stored = async {
            pause(300).await;
            assert_eq!(left(&gate, Ok(Found::Nobody)).await, 0);
        };
        let ((_, refused), ()) = futures_util::join!(waits, stored);
        assert!(refused.is_err());
        pause(300).await;
        assert_eq!(gate.left(HERE).await.unwrap().unwrap().remaining, 1, "what was stored 400 s ago counts for 600");
        pause(300).await;
        assert_eq!(gate.left(HERE).await.unwrap().unwrap().remaining, 2);
    });
}

/// How long a guest is told to wait who is refused.
async fn refused(gate: &GuestGate) -> Duration {
    let used_up = Refusal::Throttled { retry_after: Duration::from_secs(600) };
    let (_, told) = gate.ask(HERE, hello(), move |_| async move { Err::<(Found, ()), _>(used_up.into()) }).await;
    let Err(GuestError::Throttled { retry_after }) = told else { unreachable!("{told:?}") };
    retry_after
}

/// What it stands behind may be given back at any moment.
#[test]
fn who_is_refused_while_another_question_is_not_decided_is_told_to_come_again_soon() {
    let bench = Bench::new();
    let (gate, runtime) = (gate(&bench), bench.sim.runtime(0));
    bench.run(async move {
        let pause = |seconds| runtime.sleep(Duration::from_secs(seconds));
        assert_eq!(left(&gate, Ok(Found::Nobody)).await, 1);
        let slow = pause(3);
        let waits = gate.ask(HERE, hello(), move |_| slow.map(|()| Err::<(Found, ()), _>(Refusal::NotFound.into())));
        let neighbour = async {
            pause(2).await;
            assert!(refused(&gate).await <= Duration::from_secs(1), "one of two is stored");
            pause(2).await;
            assert_eq!(left(&gate, Ok(Found::Nobody)).await, 0);
            assert!(refused(&gate).await > Duration::from_secs(500), "both are stored");
        };
        let ((_, given_back), ()) = futures_util::join!(waits, neighbour);
        assert!(given_back.is_err());
    });
}

#[test]
fn a_question_is_decided_as_soon_as_it_is_stored() {
    let bench = Bench::new();
    let (gate, service) = (gate(&bench), bench.service(1, Duration::from_secs(20)));
    bench.run(async move {
        let mut answers = Vec::new();
        for service in [service.clone(), service] {
            let begin =
                |message| async move { service.begin(message).await.map(|(begun, answer)| (begun.found, answer)) };
            let (_, begun) = gate.ask(HERE, SendMessage { key: None, ..hello() }, begin).await;
            answers.push(begun.unwrap().1);
        }
        assert!(refused(&gate).await > Duration::from_secs(500), "they are being answered");
        for answer in answers {
            assert_eq!(answer.await.unwrap().found(), Found::Nobody);
        }
    });
}

#[test]
fn what_was_stored_is_answered_although_the_quota_is_used_up() {
    let bench = Bench::new();
    let (gate, service) = (gate(&bench), bench.service(1, Duration::from_millis(20)));
    bench.run(async move {
        let say = async |message: SendMessage| {
            let service = service.clone();
            let ask = |message| async move { service.send(message).await.map(|answered| (answered.found(), answered)) };
            gate.ask(HERE, message, ask).await
        };
        let (first, answered) = say(hello()).await;
        assert_eq!(answered.unwrap().0, Found::Nobody);
        let (second, other) = say(SendMessage { key: None, ..hello() }).await;
        assert_eq!([first, second].map(|left| left.unwrap().remaining), [1, 0]);
        assert_eq!(other.unwrap().0, Found::Nobody);
        let (none, again) = say(hello()).await;
        assert!(matches!(none, Some(Left { remaining: 0, .. })), "{none:?}");
        assert_eq!(again.unwrap().0, Found::Answer);
        let (_, new) = say(SendMessage { key: None, ..hello() }).await;
        assert!(matches!(new, Err(GuestError::Throttled { .. })), "{new:?}");
    });
}

#[test]
fn a_question_that_is_taken_up_again_is_told_from_a_new_one() {
    let bench = Bench::new();
    let policy = ChatPolicy::default();
    let (dies, lease) = (bench.service_of(1, policy.clone(), 1, Duration::from_secs(5)), policy.lease);
    let service = bench.service_of(2, policy, 1, Duration::from_millis(20));
    let (sim, runtime) = (bench.sim.clone(), bench.sim.runtime(0));
    bench.run(async move {
        assert!(dies.send(hello()).now_or_never().is_none());
        runtime.sleep(Duration::from_secs(1)).await;
        sim.kill(1);
        runtime.sleep(lease).await;
        let answered = service.send(hello()).await.unwrap();
        assert_eq!(answered.found(), Found::Question, "{answered:?}");
    });
}

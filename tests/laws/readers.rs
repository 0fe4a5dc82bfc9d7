//! Laws of those who read along.

use crate::{Bench, hello};
use chatcore::chat::{ChatError, Found, SendMessage, TurnEvent};
use chatcore::id::UserId;
use chatcore::message::{MessagesPage, Status};
use chatcore::owner::Owner;
use chatcore::policy::ChatPolicy;
use chatcore::port::Runtime;
use chatcore::session::SessionsPage;
use chatcore::turn::Refusal;
use futures_util::StreamExt;
use futures_util::future::select;
use std::time::Duration;

#[test]
fn a_piece_is_shown_here_when_the_ai_says_it_however_slow_the_store_is() {
    const GAP: Duration = Duration::from_millis(100);
    let bench = Bench::new();
    let service = bench.service(20, GAP);
    let (runtime, net) = (bench.sim.runtime(0), bench.net.clone());
    bench.run(async move {
        let Ok((_, mut events)) = service.stream(hello()).await else { panic!("no turn") };
        let since = runtime.elapsed();
        // Each call takes up to two seconds.
        net.set(|weather| weather.slow = 1000);
        for word in 1..=20 {
            let event = events.next().await;
            assert!(matches!(event, Some(TurnEvent::Delta { .. })), "{event:?}");
            assert_eq!(runtime.elapsed() - since, GAP * word, "word {word}");
        }
        assert!(matches!(events.next().await, Some(TurnEvent::Done(answer)) if answer.status == Status::Completed));
    });
}

#[test]
fn a_tab_where_nothing_happens_costs_three_looks_a_minute() {
    let bench = Bench::new();
    let service = bench.service(1, Duration::ZERO);
    let (runtime, net) = (bench.sim.runtime(0), bench.net.clone());
    bench.run(async move {
        let Ok(answered) = service.send(hello()).await else { panic!("no answer") };
        let (owner, session) = (hello().owner, answered.turn.session);
        let Ok(mut tab) = service.newer(owner.clone(), session, answered.seq + 1).await else { panic!("no stream") };
        let before = net.counts().0;
        select(tab.next(), runtime.sleep(Duration::from_secs(600))).await;
        let looks = net.counts().0 - before;
        assert!((28..=31).contains(&looks), "{looks} looks in ten minutes");
    });
}

/// It joined by its key, so it asks again when the lease may be over. That its own server takes no more turns then is no reason to
/// break off.
#[test]
fn who_joined_a_turn_at_a_server_that_is_full_now_reads_it_to_its_end() {
    let bench = Bench::new();
    let mut policy = ChatPolicy::default();
    policy.max_running = 1;
    let answering = bench.service(25, Duration::from_secs(1));
    let full = bench.service_of(2, policy, 29, Duration::from_secs(1));
    let runtime = bench.sim.runtime(0);
    bench.run(async move {
        let Ok((begun, _)) = answering.stream(hello()).await else { panic!("no turn") };
        let Ok((joined, events)) = full.stream(hello()).await else { panic!("not joined") };
        assert_eq!((joined.turn, joined.found), (begun.turn, Found::Running));
        let another = || Owner::User(UserId::parse("another").unwrap());
        runtime.sleep(Duration::from_millis(100)).await;
        assert!(full.stream(SendMessage { key: None, ..SendMessage::new(another(), "hi") }).await.is_ok());
        let refused = full.send(SendMessage::new(another(), "more")).await;
        assert!(matches!(refused, Err(ChatError::Overloaded)), "{refused:?}");
        let events: Vec<_> = events.collect().await;
        let Some(TurnEvent::Done(answer)) = events.last() else { panic!("no end: {events:?}") };
        assert_eq!((answer.status, answer.content.len()), (Status::Completed, 125));
    });
}

/// Its server dies, and the session expires just when the turn may be taken up by its key: there is nothing to take up, and no
/// other session is opened under the name of this one.
#[test]
fn who_joined_a_turn_whose_session_expires_is_told_so() {
    for offset in 0..40 {
        let bench = Bench::new();
        let lease = ChatPolicy::default().lease;
        let mut policy = ChatPolicy::default();
        policy.session_ttl = lease + Duration::from_millis(offset);
        let dying = bench.service_of(7, policy.clone(), 100, Duration::from_secs(2));
        let living = bench.service_of(1, policy, 1, Duration::ZERO);
        let (runtime, sim) = (bench.sim.runtime(0), bench.sim.clone());
        bench.run(async move {
            let Ok((begun, _)) = dying.stream(hello()).await else { panic!("no turn") };
            sim.kill(7);
            let Ok((_, events)) = living.stream(hello()).await else { panic!("not joined") };
            let last = events.collect::<Vec<_>>().await.pop();
            let page = MessagesPage { before: None, limit: 9 };
            match last {
                Some(TurnEvent::Done(answer)) => {
                    let history = living.history(&hello().owner, &begun.turn.session, &page).await;
                    assert!(history.is_ok_and(|history| history.contains(&answer)), "it is that of another session");
                }
                Some(TurnEvent::Error(ChatError::Refused(Refusal::NotFound))) => {}
                last => panic!("{offset} ms: {last:?}"),
            }
            runtime.sleep(lease).await;
            let sessions = living.sessions(&hello().owner, &SessionsPage { after: None, limit: 9 }).await.unwrap();
            assert!(sessions.iter().all(|session| session.id == begun.turn.session), "{offset} ms: {sessions:?}");
        });
    }
}

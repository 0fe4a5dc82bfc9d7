//! Laws of the sweeper: how soon it sees an orphan, and what it costs where there are none.

use crate::{Bench, hello};
use chat_sim::net::{Far, Net};
use chatcore::chat::SendMessage;
use chatcore::id::Key;
use chatcore::message::{MessagesPage, Status};
use chatcore::policy::ChatPolicy;
use chatcore::port::{Runtime, SessionStore};
use chatcore::sweep::{SERVERS_FIRST, Sweeper};
use chatcore_ports::ahead::Ahead;
use chatcore_ports::memory::MemoryStore;
use chatcore_ports::mock::MockSessionStore;
use chatcore_ports::sim::SimRuntime;
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);
const BATCH: usize = 10;

/// A sweeper in a server of its own, on a network of its own, which counts its looks.
fn sweep(bench: &Bench) -> Net {
    let net = Net::new(bench.sim.clone());
    sweep_at(bench, Arc::new(Far::new(bench.store.clone(), net.clone())), Duration::ZERO);
    net
}

/// A sweeper of this store that starts then.
fn sweep_at(bench: &Bench, store: Arc<dyn SessionStore>, start: Duration) {
    let runtime = bench.sim.runtime(2);
    let mut sweeper = Sweeper::new(store, Arc::new(runtime.clone()), LEASE, BATCH);
    bench.sim.spawn(2, async move {
        runtime.sleep(start).await;
        loop {
            let rest = sweeper.step().await.unwrap();
            runtime.sleep(rest).await;
        }
    });
}

fn message(number: usize) -> SendMessage {
    SendMessage { key: Some(Key::parse(format!("k{number}")).unwrap()), ..hello() }
}

/// What the sweeper does while the store is away.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Looks,
    IsFrozen,
    Starts,
    SeesAGlimpse,
}

/// How long it is there in an outage, and away again after that.
const OUTAGES: [(u64, u64); 6] = [(40, 2000), (40, 900), (40, 1400), (300, 900), (600, 400), (900, 700)];

/// The store is away for longer than a lease, but for a moment, and the sweeper looks as soon as it is there again.
#[test]
fn a_server_that_lives_comes_first_whatever_the_sweeper_saw_of_an_outage() {
    let cases = [Meanwhile::Looks, Meanwhile::IsFrozen, Meanwhile::Starts, Meanwhile::SeesAGlimpse];
    let cases = cases.into_iter().flat_map(|case| (0..20).map(move |step| (case, step)));
    for ((meanwhile, step), (glimpse, after)) in cases.flat_map(|case| OUTAGES.map(move |outage| (case, outage))) {
        let [before, glimpse, after] = [3000, glimpse, after].map(Duration::from_millis);
        let outage = before + glimpse + after;
        let (bench, began) = (Bench::new(), Duration::from_millis(700 + 110 * step));
        let mut policy = ChatPolicy::default();
        policy.lease = Duration::from_secs(2);
        let (net, runtime) = (Net::new(bench.sim.clone()), bench.sim.runtime(2));
        let store: Arc<dyn SessionStore> = Arc::new(Far::new(bench.store.clone(), net.clone()));
        let mut sweeper = Sweeper::new(store, Arc::new(runtime.clone()), policy.lease, BATCH);
        bench.sim.spawn(2, async move {
            let idle = match meanwhile {
                Meanwhile::Looks => began..began,
                Meanwhile::IsFrozen => began..began + outage,
                Meanwhile::Starts => Duration::ZERO..began + outage,
                Meanwhile::SeesAGlimpse => began..began + before,
            };
            loop {
                if idle.contains(&runtime.elapsed()) {
                    runtime.sleep(idle.end - runtime.elapsed()).await;
                }
                let rest = sweeper.step().await.unwrap_or(Duration::from_millis(250));
                runtime.sleep(rest).await;
            }
        });
        let (nets, runtime) = ([bench.net.clone(), net], bench.sim.runtime(0));
        bench.sim.spawn(0, async move {
            for (wait, away) in [(began, true), (before, false), (glimpse, true), (after, false)] {
                runtime.sleep(wait).await;
                nets.iter().for_each(|net| net.set(|weather| weather.outage = away));
            }
        });
        let service = bench.service_of(1, policy, 1, Duration::from_secs(6));
        bench.run(async move {
            let answered = service.send(hello()).await.map(|answered| answered.answer.status);
            assert_eq!(
                answered.ok(),
                Some(Status::Completed),
                "{meanwhile:?}, away from {began:?} on, but for {glimpse:?}, then for {after:?}"
            );
        });
    }
}

/// Whenever its server died, and whatever the sweeper did then.
#[test]
fn an_orphan_is_closed_within_half_a_second_after_its_grace() {
    for died in (0..60).map(|step| Duration::from_millis(600 * step)) {
        let bench = Bench::new();
        sweep(&bench);
        let service = bench.service_of(3, ChatPolicy::default(), 1000, Duration::from_secs(60));
        let (sim, runtime, store) = (bench.sim.clone(), bench.sim.runtime(0), bench.store.clone());
        bench.run(async move {
            runtime.sleep(died).await;
            let Ok((begun, _)) = service.stream(hello()).await else { panic!("no turn") };
            sim.kill(3);
            runtime.sleep(LEASE + Duration::from_millis(2100)).await;
            let page = MessagesPage { before: None, limit: 9 };
            let history = store.messages(&hello().owner, &begun.turn.session, &page).await.unwrap();
            assert_eq!(history.last().map(|message| message.status), Some(Status::Failed), "died at {died:?}");
        });
        let overdue = bench.store.tally().overdue;
        // A look itself takes some milliseconds.
        let latest = SERVERS_FIRST + Duration::from_millis(550);
        assert!(
            overdue >= SERVERS_FIRST && overdue <= latest,
            "a server died at {died:?}: open for {overdue:?} too long"
        );
    }
}

/// Every second look fails, at once or after a while.
#[test]
fn an_orphan_is_closed_soon_though_the_store_answers_seldom() {
    for lasts in [0, 100, 500].map(Duration::from_millis) {
        let bench = Bench::new();
        let net = Net::new(bench.sim.clone());
        let store: Arc<dyn SessionStore> = Arc::new(Far::new(bench.store.clone(), net.clone()));
        let (service, runtime) =
            (bench.service_of(3, ChatPolicy::default(), 1000, Duration::from_secs(60)), bench.sim.runtime(2));
        let (sim, mut sweeper) = (bench.sim.clone(), Sweeper::new(store, Arc::new(runtime.clone()), LEASE, BATCH));
        bench.run(async move {
            assert!(service.stream(hello()).await.is_ok());
            sim.kill(3);
            for look in 0.. {
                net.set(|weather| weather.outage = look % 2 == 0);
                match sweeper.step().await {
                    Ok(rest) => runtime.sleep(rest).await,
                    Err(_) => runtime.sleep(lasts + Duration::from_millis(250)).await,
                }
                if runtime.elapsed() > LEASE + Duration::from_secs(10) {
                    break;
                }
            }
        });
        assert_eq!(bench.store.tally().closed, 1, "failures that last {lasts:?}");
    }
}

/// What the sweeper does when the clock goes ahead.
#[derive(Debug, Clone, Copy)]
enum Then {
    Looks,
    /// A moment later.
    Starts,
    /// And at another part of the store, whose clock was ahead of this one all of the time.
    LooksAtTwo,
}

/// A store, and another part of it with nothing in it, whose clock is two hours ahead.
fn of_two_parts(store: MemoryStore, runtime: SimRuntime) -> MockSessionStore {
    let mut both = MockSessionStore::new();
    both.expect_close_orphans().returning(move |grace, max| {
        let mut swept = store.close_orphans(grace, max).now_or_never().unwrap()?;
        swept.clocks.insert(1, runtime.elapsed() + Duration::from_secs(7200));
        Ok(swept)
    });
    both
}

/// An AI is silent for long, so that its turn's lease is all that tells of its server; another's died. The clock goes ahead by an
/// hour, and back.
#[test]
fn a_clock_that_goes_ahead_takes_no_turn_from_a_server_that_lives() {
    let cases = [Then::Looks, Then::Starts, Then::LooksAtTwo].into_iter();
    let cases = cases.flat_map(|then| (0..30).flat_map(move |step| [11, 3600].map(|ahead| (then, step, ahead))));
    for (then, step, ahead) in cases {
        let mut bench = Bench::new();
        let (runtime, clock) = (bench.sim.runtime(0), Ahead::of(bench.sim.runtime(0)));
        bench.store = MemoryStore::new(Arc::new(clock.clone()));
        let jump = Duration::from_millis(1000 + 700 * step);
        let store: Arc<dyn SessionStore> = match then {
            Then::LooksAtTwo => Arc::new(of_two_parts(bench.store.clone(), runtime.clone())),
            _ => Arc::new(bench.store.clone()),
        };
        let start = if let Then::Starts = then { jump + Duration::from_millis(200) } else { Duration::ZERO };
        sweep_at(&bench, store, start);
        let service = |group| bench.service_of(group, ChatPolicy::default(), 1, Duration::from_secs(14));
        let (sim, lives, died) = (bench.sim.clone(), service(1), service(3));
        bench.sim.spawn(0, async move {
            clock.sleep(jump).await;
            clock.by(ahead);
            clock.sleep(Duration::from_secs(40)).await;
            clock.by(0);
        });
        let orphan = bench.store.clone();
        bench.run(async move {
            let Ok((begun, _)) = died.stream(message(1)).await else { panic!("no turn") };
            sim.kill(3);
            let answered = lives.send(hello()).await.map(|answered| answered.answer.status);
            assert_eq!(answered.ok(), Some(Status::Completed), "ahead by {ahead} s after {jump:?}, and it {then:?}");
            runtime.sleep(3 * LEASE).await;
            let page = MessagesPage { before: None, limit: 9 };
            let history = orphan.messages(&hello().owner, &begun.turn.session, &page).await.unwrap();
            assert_eq!(
                history.last().map(|message| message.status),
                Some(Status::Failed),
                "ahead by {ahead} s after {jump:?}, and it {then:?}"
            );
        });
    }
}

#[test]
fn where_nothing_is_open_it_looks_once_a_lease() {
    for busy in [false, true] {
        let bench = Bench::new();
        let net = sweep(&bench);
        let service = bench.service(1, Duration::from_millis(100));
        let runtime = bench.sim.runtime(0);
        bench.run(async move {
            for number in 0..300 {
                if busy {
                    assert!(service.send(message(number)).await.is_ok());
                }
                runtime.sleep(Duration::from_secs(1)).await;
            }
        });
        let (looks, leases) = (net.counts().0, bench.now().as_secs() / LEASE.as_secs());
        assert!(looks <= 2 * leases && (busy || looks <= leases + 1), "{looks} looks in {leases} leases, {busy}");
    }
}

#[test]
fn more_orphans_than_it_closes_at_once_are_closed_one_batch_after_the_other() {
    let bench = Bench::new();
    let net = sweep(&bench);
    let service = bench.service_of(3, ChatPolicy::default(), 1000, Duration::from_secs(60));
    let (sim, runtime) = (bench.sim.clone(), bench.sim.runtime(0));
    let orphans = 5 * BATCH - 1;
    bench.run(async move {
        for number in 0..orphans {
            assert!(service.stream(message(number)).await.is_ok());
        }
        sim.kill(3);
        runtime.sleep(LEASE + Duration::from_secs(3)).await;
    });
    let tally = bench.store.tally();
    assert_eq!(tally.closed, orphans as u64);
    assert!(tally.overdue <= SERVERS_FIRST + Duration::from_secs(1), "{:?}", tally.overdue);
    assert!(net.counts().0 < 20, "{} looks", net.counts().0);
}

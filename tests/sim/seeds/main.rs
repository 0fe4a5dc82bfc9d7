//! Seeds by the thousand. `SIM_SEEDS=n` and `SIM_FIRST=n` choose them.
#![expect(clippy::expect_used, reason = "a test may")]

mod ai;
mod check;
mod client;
mod world;

use chatcore_ports::memory::Plant;
use check::Findings;
use std::time::Duration;
use world::run;

#[expect(clippy::disallowed_methods, reason = "the test's own arguments")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures the simulation itself")]
fn invariants_hold_for_every_seed() {
    let (first, seeds) = (number("SIM_FIRST", 0), number("SIM_SEEDS", 200));
    let start = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let part =
            |thread: u64| scope.spawn(move || some_seeds((first + thread..first + seeds).step_by(threads as usize)));
        let parts: Vec<_> = (0..threads).map(part).collect();
        parts.into_iter().filter_map(|part| part.join().ok()).collect()
    });
    let mut sum = Findings::default();
    parts.iter().for_each(|part| add(&mut sum, part.0));
    let failures: Vec<_> = parts.into_iter().flat_map(|part| part.1).collect();
    let took = start.elapsed();
    println!("{seeds} seeds, {:.0}/s, {sum:?}", seeds as f64 / took.as_secs_f64());
    assert!(failures.is_empty(), "{failures:#?}");
    let limit = Duration::from_secs(60);
    assert!(cfg!(debug_assertions) || seeds > 20_000 || took < limit, "{seeds} seeds took {took:.0?}");
}

fn some_seeds(seeds: impl Iterator<Item = u64>) -> (Findings, Vec<(u64, String)>) {
    let (mut sum, mut failures) = (Findings::default(), Vec::new());
    for seed in seeds {
        match std::panic::catch_unwind(|| run(seed, plant())) {
            Ok(Ok(found)) => add(&mut sum, found),
            Ok(Err(error)) => failures.push((seed, error)),
            Err(_) => failures.push((seed, "panic".into())),
        }
        if failures.len() >= 5 {
            break;
        }
    }
    (sum, failures)
}

/// `SIM_PLANT=NoAttempt` shows what the attempt is for; any name of a plant will do.
fn plant() -> Plant {
    let Some(name) = variable("SIM_PLANT") else { return Plant::Nothing };
    Plant::ALL.into_iter().find(|plant| format!("{plant:?}") == name).expect("the name of a plant")
}

fn add(sum: &mut Findings, one: Findings) {
    sum.polls += one.polls;
    sum.calls.0 += one.calls.0;
    sum.calls.1 += one.calls.1;
    sum.crashes += one.crashes;
    sum.acks += one.acks;
    sum.late += one.late;
    sum.overdue = sum.overdue.max(one.overdue);
    sum.elapsed += one.elapsed;
    (0..4).for_each(|place| sum.statuses[place] += one.statuses[place]);
    (0..3).for_each(|place| sum.taken[place] += one.taken[place]);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let (one, two) = (run(seed, Plant::Nothing), run(seed, Plant::Nothing));
        assert_eq!(format!("{one:?}"), format!("{two:?}"), "seed {seed}");
    }
}

/// These are the conformance suite's: nothing expires here, all leases are as long, no clock jumps, no client lists sessions, reads along in one or
/// sends another body under a key, neither a refusal too many nor which one it is is a violation, what a mark would go past is looked at again, and no message is
/// large.
const NOT_SEEN_HERE: [Plant; 11] = [
    Plant::NewerForgetsQuestions,
    Plant::ExpiredStillAnswers,
    Plant::CloseIgnoresGrace,
    Plant::QuietOfTheLast,
    Plant::LookTellsNoTime,
    Plant::ListByBirth,
    Plant::KeyIgnoresBody,
    Plant::QuotaCountsReplays,
    Plant::BusyComesFirst,
    Plant::ClaimForgetsMark,
    Plant::ClaimForgetsBytes,
];

/// How long it may take to find a planted bug.
const PLANTED: Duration = Duration::from_secs(60);

#[test]
#[expect(clippy::disallowed_methods, reason = "measures the simulation itself")]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation: run it with --profile sim")]
fn each_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for plant in Plant::ALL.into_iter().filter(|plant| !NOT_SEEN_HERE.contains(plant)) {
        let start = std::time::Instant::now();
        let found = (0..9000).find_map(|seed| fault(seed, plant).map(|error| (seed, error)));
        match (found, start.elapsed()) {
            (Some((seed, error)), took) if took < PLANTED => println!("{plant:?}: {took:.1?}, seed {seed}: {error}"),
            (_, took) => missed.push((plant, took)),
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

fn fault(seed: u64, plant: Plant) -> Option<String> {
    match std::panic::catch_unwind(|| run(seed, plant)) {
        Ok(found) => found.err(),
        Err(panic) => Some(panic.downcast_ref::<String>().cloned().unwrap_or_default()),
    }
}

#[test]
fn virtual_time_runs_only_for_those_who_wait() {
    let sim = chatcore_ports::sim::Sim::new(1);
    use chatcore::port::Runtime;
    let runtime = sim.runtime(0);
    let inner = runtime.clone();
    assert!(sim.run(async move {
        drop(inner.sleep(Duration::from_secs(100)));
        inner.sleep(Duration::from_secs(1)).await;
    }));
    assert_eq!(runtime.elapsed(), Duration::from_secs(1));
}

//! Random sequences of calls on a store and on the in-memory one, which is the model: they answer the same, or one is wrong.
//! `MODEL_SEQUENCES=n` and `MODEL_SEED=n` choose the sequences, `MODEL_MOVING=n` how many there are while slots move.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a test may")]

mod call;
mod field;
mod invariant;
mod known;
mod lanes;
mod machine;
mod names;
mod op;
mod question;
mod redis;
mod reply;
mod sequences;
mod show;
mod subject;
mod text;
mod who;
mod world;

use chatcore_ports::memory::Plant;
use lanes::{Lanes, Outcome};
use redis::Servers;
use show::{ANSWERS, REFUSED};
use std::sync::Arc;
use subject::{Planted, SqliteFile};

#[expect(clippy::disallowed_methods, reason = "the test's own arguments")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str, default: u32) -> u32 {
    variable(name).map_or(default, |text| text.parse().expect("a number"))
}

fn lanes(lanes: u32, shrink: u32) -> Lanes {
    Lanes { sequences: number("MODEL_SEQUENCES", 300), lanes, seed: number("MODEL_SEED", 0), moves: false, shrink }
}

/// Holds the model against itself, with a bug.
fn planted(plant: Plant, shrink: u32) -> Outcome {
    let lanes = Lanes { sequences: 300, lanes: 2, seed: 0, moves: false, shrink };
    lanes.run(|sim, limits| Box::new(Planted::new(sim, limits, plant)))
}

#[track_caller]
fn assert_same(outcome: &Outcome) {
    println!("{} sequences, {} were too slow", outcome.ran, outcome.late);
    let difference = outcome.difference.as_deref().unwrap_or_default();
    assert!(difference.is_empty(), "{difference}");
    // Each that is too slow has another in its place. On a busy machine many are.
    assert!(outcome.ran >= outcome.wanted, "{} of {} sequences said something", outcome.ran, outcome.wanted);
}

#[test]
fn sqlite_does_what_the_model_does() {
    assert_same(&lanes(4, 2000).run(|sim, limits| Box::new(SqliteFile::new(sim, limits))));
}

/// `None` where there is no server, which only a developer may lack.
fn servers(start: impl FnOnce() -> Option<Servers>) -> Option<Arc<Servers>> {
    let servers = start();
    if servers.is_none() {
        assert!(variable("CHAT_TEST_REQUIRE").is_none(), "redis-server is not in the path (Debian: redis-server)");
        println!("skipped: redis-server is not in the path");
    }
    servers.map(Arc::new)
}

#[test]
fn redis_does_what_the_model_does() {
    let Some(server) = servers(Servers::one) else { return };
    assert_same(&lanes(20, 120).run(|_, limits| Box::new(server.part(limits))));
}

/// What is refused meanwhile is refused for a moment, and had no effect or the whole one.
#[test]
fn redis_does_what_the_model_does_while_slots_move() {
    let Some(cluster) = servers(Servers::three) else { return };
    let lanes = Lanes {
        sequences: number("MODEL_MOVING", 80),
        lanes: 16,
        seed: number("MODEL_SEED", 0),
        moves: true,
        shrink: 20,
    };
    let outcome = lanes.run(|_, limits| Box::new(cluster.part(limits)));
    println!("{} slots moved", cluster.moved());
    assert_same(&outcome);
    assert!(outcome.seen.contains(REFUSED), "nothing was refused, so this test shows nothing");
}

#[test]
fn sequences_come_to_every_answer() {
    let outcome = Lanes { sequences: 300, lanes: 2, seed: 0, moves: false, shrink: 0 }
        .run(|sim, limits| Box::new(Planted::new(sim, limits, Plant::Nothing)));
    assert_same(&outcome);
    let missing: Vec<&str> = ANSWERS.into_iter().filter(|answer| !outcome.seen.contains(answer)).collect();
    assert!(missing.is_empty(), "no sequence was answered {missing:?}");
}

#[test]
fn each_planted_bug_is_a_difference() {
    let find = |plant: &Plant| {
        let outcome = planted(*plant, 0);
        println!("{plant:?}: {} sequences", outcome.ran);
        outcome.difference.is_some()
    };
    // How long it is quiet, and what time it is, is not compared: real stores have clocks of their own. Nor are marks, which are each store's own,
    // and no message is large.
    let apart = [Plant::QuietOfTheLast, Plant::LookTellsNoTime, Plant::ClaimForgetsMark, Plant::ClaimForgetsBytes];
    let all = Plant::ALL.into_iter().filter(|plant| !apart.contains(plant));
    let missed: Vec<Plant> = all.filter(|plant| !find(plant)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_difference_is_shown_by_the_few_steps_that_lead_to_it() {
    let shown = planted(Plant::KeyIgnoresBody, 2000).difference.expect("a difference");
    println!("{shown}");
    assert!(shown.lines().count() < 9, "{shown}");
    assert!(shown.contains("model:   Began(Refused(KeyReused))"), "{shown}");
    assert!(shown.contains("subject: Began(Attached") || shown.contains("subject: Began(Replayed"), "{shown}");
}

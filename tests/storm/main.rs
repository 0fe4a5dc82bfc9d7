//! A kill storm: real servers, workers, Redis and Kafka, killed, frozen and started again at random under load; then the
//! invariants are checked from outside. `cargo xtask storm` builds and runs it.
//!
//! A seed decides which faults come, how far apart and how long, for each process by itself. What the processes do between
//! them is up to the machine, so the same seed is the same plan and not the same run.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up ends the storm")]
#![expect(clippy::print_stdout, reason = "a command line program")]

mod ai;
mod audit;
#[path = "../../adapters/kafka/tests/common/broker.rs"]
#[allow(dead_code, clippy::print_stderr, reason = "the adapter's own tests use the rest")]
mod brokers;
mod calm;
mod check;
mod clients;
mod events;
mod field;
mod guests;
mod kafka;
mod lane;
mod ledger;
mod options;
mod plan;
#[path = "../it/process.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod process;
mod program;
#[path = "../../adapters/redis/tests/common/server.rs"]
#[allow(dead_code, reason = "the adapter's own tests use the rest")]
mod servers;
#[path = "../it/sse.rs"]
mod sse;
#[path = "../it/stand_in.rs"]
mod stand_in;
mod streams;
mod tabs;
mod talk;
mod told;
mod who;
mod world;

use field::Field;
use kafka::Kafka;
use options::{Bus, Options};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};
use told::Printed;
use world::World;

/// How long the faults go on before there is a pause to look.
const ROUND: Duration = Duration::from_secs(8);
/// The lease of a turn.
const LEASE: Duration = Duration::from_secs(1);
/// How long after its lease a question may be unanswered, with some room for a busy machine.
const UNANSWERED: Duration = Duration::from_millis(2500);
/// How long a client may wait for its last answer.
const LAST_ANSWER: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            println!("{wrong}");
            return ExitCode::FAILURE;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let (ai, ai_url) = ai::start().await;
    let kafka = match options.bus {
        Bus::Kafka => Some(Kafka::start().await),
        Bus::Local => None,
    };
    let mut field = Field::start(&options, folder.path(), &ai_url, kafka.as_ref());
    let world = Arc::new(World::new(&field, ai, &options.until));
    world.get_ready().await;
    let mut printed = Printed::new(field.worker_output(), options.bus);
    let start = Instant::now();
    let readers = streams::start(&world).chain(tabs::start(&world));
    let clients = clients::start(&world).into_iter().chain(readers).chain(guests::start(&world)).collect();
    field = storm(&options, field, &world, &mut printed).await;
    world.ledger.stop();
    if !world.ledger.is_enough() {
        see_off(&world, clients).await;
        let histories = audit::last(&world).await;
        printed.all(&world, &histories).await;
        if let Some(kafka) = &kafka {
            told::recorded(&world, kafka, &histories).await;
        }
    }
    println!("{:.0} s, seed {}\n  faults: {}", start.elapsed().as_secs_f64(), options.seed, field.counts());
    println!("  turns that changed hands: {}", world.ai.taken_over());
    if world.ledger.found() && !world.ledger.is_enough() {
        println!("  logs: {}", folder.keep().display());
    }
    world.ledger.report(&options)
}

/// Round after round: faults, then a pause in which all that answers runs and is looked at. Other faults go on meanwhile.
async fn storm(options: &Options, mut field: Field, world: &Arc<World>, printed: &mut Printed) -> Field {
    let start = Instant::now();
    let over = |world: &World| start.elapsed() >= options.length || world.ledger.is_enough();
    let mut lanes = std::mem::take(field.beside());
    let (length, ledger) = (options.length, world.ledger.clone());
    let beside = spawn_blocking(move || {
        lanes.storm(length, &ledger);
        lanes
    });
    while !over(world) {
        let since = world.now();
        let (length, ledger) = (ROUND.min(options.length.saturating_sub(start.elapsed())), world.ledger.clone());
        let storm = spawn_blocking(move || {
            field.storm(length, &ledger);
            field
        });
        field = storm.await.unwrap();
        if world.ledger.is_enough() {
            break;
        }
        let calm = world.begin_calm();
        sleep(LEASE + UNANSWERED).await;
        audit::pause(world, &since, &calm).await;
        world.end_calm();
        printed.look(world);
        println!("{:4.0} s: {}", start.elapsed().as_secs_f64(), world.ledger.line());
    }
    *field.beside() = beside.await.unwrap();
    field
}

/// Each client gets its last answer.
async fn see_off(world: &World, clients: Vec<JoinHandle<()>>) {
    let end = Instant::now() + LAST_ANSWER;
    for client in clients {
        match timeout(end.saturating_duration_since(Instant::now()), client).await {
            Ok(Ok(())) => {}
            Ok(Err(panicked)) => world.ledger.violation(format!("what was told cannot be read: {panicked}")),
            Err(_) => world.ledger.violation("I1: a client waits for its last answer in vain"),
        }
    }
}

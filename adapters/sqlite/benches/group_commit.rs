//! Durable turns a second, begin and finish, by 32 callers at once: with group commit, and with one commit per write.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends at a fault")]

#[path = "../tests/common/mod.rs"]
mod common;

use chatcore::port::Runtime as _;
use chatcore::turn::Target;
use chatcore_ports::tokio::TokioRuntime;
use chatcore_sqlite::Sqlite;
use criterion::{Criterion, Throughput};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many callers there are.
const CALLERS: u64 = 32;
/// How many turns a round of the comparison has, and how many rounds there are.
const ROUND: u64 = 640;
const ROUNDS: u32 = 20;

/// So many turns, shared by all callers, each in a session of its own; how long they took.
async fn talk(store: &Sqlite, turns: u64) -> Duration {
    let runtime = TokioRuntime::current();
    let share = |caller: u64| turns / CALLERS + u64::from(caller < turns % CALLERS);
    let callers: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(call(store.clone(), share(caller)))).collect();
    for caller in callers {
        caller.await.unwrap();
    }
    runtime.elapsed()
}

async fn call(store: Sqlite, turns: u64) {
    let mut target = Target::New;
    for _ in 0..turns {
        let key = TokioRuntime::current().new_id().to_string();
        let turn = common::talk(&store, target, &key, "An answer of a usual length. ").await.unwrap();
        target = Target::Existing(turn.id.session);
    }
}

/// One way of committing, on a file of its own.
struct Way {
    name: &'static str,
    runtime: Runtime,
    store: Sqlite,
    _directory: TempDir,
}

impl Way {
    fn new(name: &'static str, batch: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = directory.path().join("chat.db");
        let store = runtime.block_on(async { common::open_with(&path, |config| config.batch = batch).unwrap() });
        Self { name, runtime, store, _directory: directory }
    }

    fn talk(&self, turns: u64) -> Duration {
        self.runtime.block_on(talk(&self.store, turns))
    }
}

/// The ways take turns in short rounds, since the speed of a disk changes from one second to the next.
fn compare([alone, together]: &[Way; 2]) {
    let (mut slow, mut quick) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        slow += alone.talk(ROUND);
        quick += together.talk(ROUND);
    }
    let a_second = |time: Duration| f64::from(ROUNDS) * ROUND as f64 / time.as_secs_f64();
    let (slow, quick) = (a_second(slow), a_second(quick));
    println!("{slow:.0} turns/s with {}, {quick:.0} with {}: {:.1} times", alone.name, together.name, quick / slow);
}

fn main() {
    let ways = [Way::new("one commit per write", 1), Way::new("group commit", 256)];
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("durable turns");
    group.throughput(Throughput::Elements(CALLERS)).sample_size(10);
    for way in &ways {
        group.bench_function(way.name, |bencher| bencher.iter_custom(|rounds| way.talk(rounds * CALLERS)));
    }
    group.finish();
    compare(&ways);
}

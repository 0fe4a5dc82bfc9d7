//! What the server spends, as it counts itself: on a turn in a short and in a long session, and on the list of an owner's
//! sessions among few and among many of others. Both should cost the same: it fails where one costs more than 1.1 times the other.
//!
//! `cargo bench -p chatcore-redis --bench flat` starts a `redis-server` of the path, which takes some minutes to be filled, and says
//! at its end, for each of the two, how many times as much the larger costs. A busy machine makes no difference to that, or little:
//! rounds of both take turns, and the server's own time counts.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends at a fault")]

#[path = "../tests/common/mod.rs"]
mod common;

use chatcore::id::{SessionId, UserId};
use chatcore::owner::Owner;
use chatcore::port::{Runtime as _, SessionStore};
use chatcore::session::SessionsPage;
use chatcore::turn::{NewTurn, Target};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{Redis, RedisConfig};
use common::chat::{finish, question, start};
use common::{Server, open};
use criterion::Criterion;
use futures_util::{StreamExt, stream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How many calls a round of a comparison has, and how many rounds there are.
const ROUND: u64 = 100;
const ROUNDS: usize = 41;
/// How many times as much the larger may cost.
const FLAT: f64 = 1.1;

/// Something that is measured.
struct Case {
    name: String,
    server: Arc<Server>,
    store: Arc<Redis>,
    sessions: Vec<SessionId>,
    next: usize,
}

fn ask(owner: &str, target: Target) -> NewTurn {
    let mut new = question(target, &TokioRuntime::current().new_id().to_string());
    (new.owner, new.quota) = (Owner::User(UserId::parse(owner).unwrap()), None);
    new
}

async fn turn(store: &Redis, owner: &str, target: Target) -> SessionId {
    let started = start(store, &ask(owner, target)).await;
    finish(store, &started).await;
    started.turn.id.session
}

impl Case {
    /// Sessions of an owner with so many messages each, beside so many sessions of others.
    async fn new(name: &str, server: &Arc<Server>, sessions: usize, messages: usize, others: usize) -> Self {
        let mut config = RedisConfig::new(server.url());
        (config.key_prefix, config.call_timeout) = (format!("{}:", name.replace(' ', "-")), Duration::from_secs(5));
        (config.limits.session_messages, config.limits.owner_sessions) = (1_000_000, 1_000_000);
        let store = open(&config).await;
        let of_others = stream::iter(0..others).map(|other| {
            let store = store.clone();
            async move { turn(&store, &format!("user{other}"), Target::New).await }
        });
        of_others.buffer_unordered(64).for_each(|_| async {}).await;
        let own = stream::iter(0..sessions).map(|_| async {
            let session = turn(&store, "ann", Target::New).await;
            for _ in 1..messages / 2 {
                turn(&store, "ann", Target::Existing(session)).await;
            }
            session
        });
        let own = own.buffer_unordered(64).collect().await;
        Self { name: name.to_owned(), server: server.clone(), store, sessions: own, next: 0 }
    }

    /// Turns in each of its sessions by turns.
    async fn talk(&mut self, turns: u64) -> Duration {
        let before = self.server.spent(&["evalsha", "lrange"]);
        for _ in 0..turns {
            self.next = (self.next + 1) % self.sessions.len();
            turn(&self.store, "ann", Target::Existing(self.sessions[self.next])).await;
        }
        self.server.spent(&["evalsha", "lrange"]) - before
    }

    /// The owner's list, so many times.
    async fn list(&mut self, times: u64) -> Duration {
        let (owner, page) = (question(Target::New, "k").owner, SessionsPage { after: None, limit: 20 });
        let before = self.server.spent(&["evalsha"]);
        for _ in 0..times {
            assert_eq!(self.store.sessions(&owner, &page).await.unwrap().len(), self.sessions.len());
        }
        self.server.spent(&["evalsha"]) - before
    }
}

/// How many times as much the second costs. The two take turns in short rounds, since the speed of a machine changes from one
/// second to the next, and of each the round in the middle counts.
fn compare(
    criterion: &mut Criterion,
    runtime: &Runtime,
    what: &str,
    cases: &mut [Case; 2],
    run: impl AsyncFn(&mut Case, u64) -> Duration,
) -> f64 {
    let mut spent = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (case, spent) in cases.iter_mut().zip(&mut spent) {
            spent.push(runtime.block_on(run(case, ROUND)));
        }
    }
    let [small, large] = spent.map(|mut rounds| {
        rounds.sort();
        rounds[ROUNDS / 2].as_secs_f64() * 1e6 / ROUND as f64
    });
    let times = large / small;
    println!("{what}: {small:.1} us {}, {large:.1} us {}: {times:.2} times", cases[0].name, cases[1].name);
    let mut group = criterion.benchmark_group(what);
    group.sample_size(10);
    for case in cases {
        let name = case.name.clone();
        group.bench_function(name, |bencher| bencher.iter_custom(|times| runtime.block_on(run(case, times))));
    }
    group.finish();
    times
}

fn main() -> ExitCode {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Arc::new(Server::start());
    let case =
        |name, sessions, messages, others| runtime.block_on(Case::new(name, &server, sessions, messages, others));
    let mut sessions = [case("of 10 messages", 400, 10, 0), case("of 10000 messages", 4, 10_000, 0)];
    let turn = compare(&mut criterion, &runtime, "a turn in a session", &mut sessions, Case::talk);
    let mut lists = [case("among 100", 10, 2, 100), case("among 100000", 10, 2, 100_000)];
    let list = compare(&mut criterion, &runtime, "a list of 10 sessions", &mut lists, Case::list);
    let is_flat = turn <= FLAT && list <= FLAT;
    let said = if is_flat { "flat" } else { "not flat" };
    println!("{said}: a turn costs {turn:.2} times as much, a list {list:.2} times, where {FLAT} may be");
    ExitCode::from(u8::from(!is_flat))
}

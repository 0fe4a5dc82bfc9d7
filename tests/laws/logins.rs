//! Laws of `LoginService`.

use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::id::UserId;
use chatcore::login::{LoginError, LoginPolicy, LoginService};
use chatcore::policy::{Left, Quota};
use chatcore::port::{Credentials, Held, Runtime, Taken, Throttle, Ticket, User, UserDirectory};
use chatcore_ports::memory::{MemoryThrottle, MemoryTokens};
use chatcore_ports::sim::{Sim, SimRuntime};
use futures_util::future::{join, join_all, select};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Everybody's password is `right`; looking at one takes a while and is counted; before `slow` lies a minute.
#[derive(Debug)]
struct Users {
    looks: AtomicU32,
    runtime: SimRuntime,
}

#[async_trait]
impl UserDirectory for Users {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<User>, BackendError> {
        if credentials.password == "slow" {
            self.runtime.sleep(Duration::from_secs(60)).await;
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.runtime.sleep(Duration::from_millis(50)).await;
        let user = User { id: UserId::parse("u").unwrap(), name: credentials.name.clone() };
        Ok((credentials.password == "right").then_some(user))
    }
}

/// A throttle that is asked over a network: each call takes a while, before and after it has its effect.
#[derive(Debug)]
struct Far {
    throttle: MemoryThrottle,
    runtime: SimRuntime,
    confirms: Confirms,
}

/// What a throttle does with a try whose password is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Confirms {
    Well,
    /// It is told when that is held no longer.
    Late,
    Not,
}

impl Far {
    async fn travel<T>(&self, call: impl Future<Output = T>) -> T {
        let leg = || self.runtime.sleep(Duration::from_micros((self.runtime.new_id().as_u128() % 1000) as u64));
        leg().await;
        let answer = call.await;
        leg().await;
        answer
    }
}

#[async_trait]
impl Throttle for Far {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        self.travel(self.throttle.take(key, quota)).await
    }

    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError> {
        self.travel(self.throttle.hold(key, quota, time)).await
    }

    async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError> {
        match self.confirms {
            Confirms::Well => {}
            Confirms::Late => self.runtime.sleep(Duration::from_secs(11)).await,
            Confirms::Not => return Err(BackendError::later("throttle", "out of memory")),
        }
        self.travel(self.throttle.confirm(key, ticket)).await
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        self.travel(self.throttle.give_back(key, ticket)).await
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        self.travel(self.throttle.remaining(key, quota)).await
    }
}

/// A throttle of two processes, and how many passwords they have looked at.
struct Two {
    sim: Sim,
    services: [LoginService; 2],
    users: [Arc<Users>; 2],
}

impl Two {
    fn new(seed: u64) -> Self {
        Self::of(seed, Confirms::Well)
    }

    /// The first process confirms in this way.
    fn of(seed: u64, confirms: Confirms) -> Self {
        let sim = Sim::new(seed);
        let throttle = MemoryThrottle::new(Arc::new(sim.runtime(0)));
        // Groups of which one can be killed.
        let users = [1, 2].map(|group| Arc::new(Users { looks: AtomicU32::new(0), runtime: sim.runtime(group) }));
        let service = |process: usize| {
            let runtime = users[process].runtime.clone();
            let confirms = if process == 0 { confirms } else { Confirms::Well };
            let throttle = Arc::new(Far { throttle: throttle.clone(), runtime: runtime.clone(), confirms });
            let tokens = Arc::new(MemoryTokens::new("secret"));
            LoginService::new(users[process].clone(), tokens, throttle, Arc::new(runtime), LoginPolicy::default())
        };
        Self { services: [service(0), service(1)], users, sim }
    }

    fn looks(&self) -> u32 {
        self.users.iter().map(|users| users.looks.load(Ordering::Relaxed)).sum()
    }

    /// Runs it to its end, and tells what it comes to.
    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let told = Arc::new(Mutex::new(None));
        let telling = told.clone();
        assert!(self.sim.run(async move { *telling.lock().unwrap() = Some(work.await) }), "nobody waits for ever");
        told.lock().unwrap().take().unwrap()
    }

    /// Logs in that often at once, one half at each process.
    fn log_in(&self, password: &'static str, times: usize) -> Vec<Result<(), LoginError>> {
        let services = self.services.clone();
        self.run(async move {
            let one = |number: usize| log_in(services[number % 2].clone(), password);
            join_all((0..times).map(one)).await
        })
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        self.sim.end();
    }
}

async fn log_in(service: LoginService, password: &str) -> Result<(), LoginError> {
    let credentials = Credentials { name: "u".into(), password: password.into() };
    let logged = service.login(&credentials, "127.0.0.1").await?;
    assert_eq!(service.verify(&logged.token).unwrap().0.as_str(), "u");
    Ok(())
}

/// Whatever is undecided anywhere meanwhile, also in a process that is killed then.
#[test]
fn only_wrong_passwords_count() {
    for seed in 0..20 {
        let two = Two::new(seed);
        let results = two.log_in("right", 100);
        assert_eq!(two.looks(), 100);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert!(format!("{:?}", two.services).matches("Lanes(Mutex { data: {},").count() == 2, "no lane is left");

        let [dies, lives] = two.services.clone();
        let sim = two.sim.clone();
        let logged = two.run(async move {
            let runtime = sim.runtime(0);
            let dying = join_all((0..12).map(|_| log_in(dies.clone(), "right")));
            let killed = runtime.sleep(sim.millis(1, 200));
            select(pin!(dying), killed).await;
            sim.kill(1);
            log_in(lives, "right").await
        });
        assert!(logged.is_ok(), "{logged:?}");
    }
}

#[test]
fn no_password_is_checked_beyond_the_quota() {
    for seed in 0..100 {
        let two = Two::new(seed);
        let results = two.log_in("wrong", 200);
        assert_eq!(two.looks(), 5, "seed {seed}");
        let wait = |result: &Result<(), LoginError>| match result {
            Err(LoginError::Throttled { retry_after }) => Some(*retry_after),
            _ => None,
        };
        let waits: Vec<_> = results.iter().filter_map(wait).collect();
        assert_eq!(waits.len(), 195, "seed {seed}");
        assert!(waits.iter().all(|wait| (55..=60).contains(&wait.as_secs())), "until the first of five counts no more");
    }
}

/// A process that is slow to let five wrong ones count, or that cannot, tells none of them; another looks at five in their place.
#[test]
fn a_password_is_told_to_be_wrong_only_if_that_counts() {
    for (seed, confirms) in (0..10).flat_map(|seed| [(seed, Confirms::Late), (seed, Confirms::Not)]) {
        let two = Two::of(seed, confirms);
        let [slow, other] = two.services.clone();
        let runtime = two.sim.runtime(0);
        let (first, second) = two.run(async move {
            let first = join_all((0..5).map(|_| log_in(slow.clone(), "wrong")));
            let second = async {
                runtime.sleep(Duration::from_millis(10_500)).await;
                join_all((0..7).map(|_| log_in(other.clone(), "wrong"))).await
            };
            join(first, second).await
        });
        let wrong = |told: &[Result<(), LoginError>]| {
            told.iter().filter(|told| matches!(told, Err(LoginError::WrongCredentials))).count()
        };
        assert_eq!((wrong(&first), wrong(&second)), (0, 5), "seed {seed}, {confirms:?}");
    }
}

#[test]
fn a_caller_who_goes_away_leaves_no_right_password_counted() {
    let two = Two::new(7);
    let [service, _] = two.services.clone();
    let (logged, took) = two.run({
        let (runtime, sim) = (two.sim.runtime(0), two.sim.clone());
        async move {
            for _ in 0..20 {
                let time = runtime.sleep(sim.millis(0, 60));
                select(pin!(log_in(service.clone(), "right")), time).await;
            }
            let start = runtime.elapsed();
            (log_in(service, "right").await, runtime.elapsed() - start)
        }
    });
    assert!(logged.is_ok(), "{logged:?}");
    assert!(took < Duration::from_secs(1), "none of them is held for longer than it takes: {took:?}");
}

/// A directory that hangs costs its callers a fault that may pass, and nothing that counts.
#[test]
fn a_password_that_cannot_be_looked_at_in_time_does_not_count() {
    for seed in 0..5 {
        let two = Two::new(seed);
        let results = two.log_in("slow", 7);
        let late = |result: &&Result<(), LoginError>| matches!(result, Err(LoginError::Users(_)));
        assert_eq!(results.iter().filter(late).count(), 7, "{results:?}");
        assert!(two.log_in("right", 2).iter().all(Result::is_ok));
    }
}

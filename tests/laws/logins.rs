//! Laws of `LoginService`.

use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::id::UserId;
use chatcore::login::{LoginError, LoginPolicy, LoginService};
use chatcore::policy::{Left, Quota};
use chatcore::port::{Credentials, Runtime, Taken, Throttle, Ticket, User, UserDirectory};
use chatcore_ports::memory::{MemoryThrottle, MemoryTokens};
use chatcore_ports::sim::{Sim, SimRuntime};
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Everybody's password is `right`; looking at one takes a while and is counted.
#[derive(Debug)]
struct Users {
    looks: AtomicU32,
    runtime: SimRuntime,
}

#[async_trait]
impl UserDirectory for Users {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<User>, BackendError> {
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

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        self.travel(self.throttle.give_back(key, ticket)).await
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        self.travel(self.throttle.remaining(key, quota)).await
    }
}

/// Logs in that often at once, and then tells how many passwords were looked at and what came of it.
fn log_in(seed: u64, passwords: &'static [&'static str]) -> (u32, Vec<Result<(), LoginError>>) {
    log_in_after(0, seed, passwords)
}

/// The same after so many callers with the right password, who all hang up at once.
fn log_in_after(gone: u32, seed: u64, passwords: &'static [&'static str]) -> (u32, Vec<Result<(), LoginError>>) {
    let sim = Sim::new(seed);
    let runtime = Arc::new(sim.runtime(0));
    let users = Arc::new(Users { looks: AtomicU32::new(0), runtime: sim.runtime(0) });
    let throttle = Arc::new(Far { throttle: MemoryThrottle::new(runtime.clone()), runtime: sim.runtime(0) });
    let tokens = Arc::new(MemoryTokens::new("secret"));
    let service = LoginService::new(users.clone(), tokens, throttle, runtime, LoginPolicy::default());
    let results = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = results.clone();
    assert!(sim.run(async move {
        for _ in 0..gone {
            let right = Credentials { name: "u".into(), password: "right".into() };
            assert!(service.login(&right, "127.0.0.1").now_or_never().is_none(), "polled once, then dropped");
        }
        let one = |password: &&str| {
            let (service, password) = (service.clone(), (*password).to_owned());
            async move {
                let logged = service.login(&Credentials { name: "u".into(), password }, "127.0.0.1").await?;
                assert_eq!(service.verify(&logged.token).unwrap().0.as_str(), "u");
                Ok(())
            }
        };
        let all = join_all(passwords.iter().map(one)).await;
        *told.lock().unwrap() = all;
    }));
    let results = std::mem::take(&mut *results.lock().unwrap());
    (users.looks.load(Ordering::Relaxed), results)
}

#[test]
fn only_wrong_passwords_count() {
    for seed in 0..20 {
        let (looks, results) = log_in(seed, &["right"; 100]);
        assert_eq!(looks, 100);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
}

#[test]
fn no_password_is_checked_beyond_the_quota() {
    let (looks, results) = log_in(7, &["wrong"; 200]);
    assert_eq!(looks, 5);
    let throttled = |result: &&Result<(), LoginError>| matches!(result, Err(LoginError::Throttled { .. }));
    assert_eq!(results.iter().filter(throttled).count(), 195);
}

#[test]
fn a_caller_who_goes_away_leaves_no_right_password_counted() {
    let (_, results) = log_in_after(20, 7, &["right"]);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

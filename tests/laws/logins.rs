//! Laws of `LoginService`.

use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::id::UserId;
use chatcore::login::{LoginError, LoginPolicy, LoginService};
use chatcore::port::{Credentials, Runtime, User, UserDirectory};
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

/// Logs in that often at once, and then tells how many passwords were looked at and what came of it.
fn log_in(passwords: &'static [&'static str]) -> (u32, Vec<Result<(), LoginError>>) {
    log_in_after(0, passwords)
}

/// The same after so many callers with the right password, who all hang up at once.
fn log_in_after(gone: u32, passwords: &'static [&'static str]) -> (u32, Vec<Result<(), LoginError>>) {
    let sim = Sim::new(7);
    let runtime = Arc::new(sim.runtime(0));
    let users = Arc::new(Users { looks: AtomicU32::new(0), runtime: sim.runtime(0) });
    let (tokens, throttle) = (Arc::new(MemoryTokens::new("secret")), Arc::new(MemoryThrottle::new(runtime.clone())));
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
    let (looks, results) = log_in(&["right"; 100]);
    assert_eq!(looks, 100);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn no_password_is_checked_beyond_the_quota() {
    let (looks, results) = log_in(&["wrong"; 200]);
    assert_eq!(looks, 5);
    let throttled = |result: &&Result<(), LoginError>| matches!(result, Err(LoginError::Throttled { .. }));
    assert_eq!(results.iter().filter(throttled).count(), 195);
}

#[test]
fn a_caller_who_goes_away_leaves_no_right_password_counted() {
    let (_, results) = log_in_after(20, &["right"]);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

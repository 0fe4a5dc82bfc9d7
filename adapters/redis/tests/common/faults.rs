//! How soon a fault is told, and how soon it is over.
#![allow(clippy::panic, reason = "a test fails by panicking")]

use super::chat::{finish, question, start};
use super::{Server, Wire, open, own_prefix};
use chatcore::error::BackendError;
use chatcore::port::{Health, Probe};
use chatcore::turn::Target;
use chatcore_redis::{Redis, RedisConfig};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that an error may be waited for, and that the way back may take.
pub(crate) const SOON: Duration = Duration::from_secs(1);
pub(crate) const BACK: Duration = Duration::from_secs(2);

/// As it comes from `new`: the deadlines are what is tested.
pub(crate) fn config(url: String) -> RedisConfig {
    let mut config = RedisConfig::new(url);
    config.key_prefix = own_prefix();
    config
}

#[expect(clippy::disallowed_methods, reason = "a test of time as it passes")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Calls fail within a second, and soon at once; all of them may be tried again.
pub(crate) async fn is_told_soon(store: &Redis) {
    for round in 0..6 {
        let began = now();
        let told = store.check().await.map_err(|error| error.may_pass());
        let took = began.elapsed();
        assert!(told == Err(true) && took < SOON, "call {round} was told {told:?} after {took:?}");
    }
    let (began, mut told) = (now(), Vec::new());
    for _ in 0..100 {
        told.push(store.check().await.unwrap_err().source);
    }
    assert!(began.elapsed() < 2 * SOON, "a hundred calls took {:?}", began.elapsed());
    // Of these at most every 200 ms one is tried; the others are told what that one was.
    let tried = told.iter().map(Arc::as_ptr).map(<*const _>::addr).collect::<BTreeSet<_>>().len();
    let may = 2 + began.elapsed().as_millis() / 200;
    assert!(tried as u128 <= may, "of a hundred calls {tried} were tried where {may} may be");
}

/// Calls work again within two seconds.
pub(crate) async fn is_back_soon(store: &Redis) {
    let began = now();
    while !matches!(store.check().await, Ok(Health::Well)) {
        assert!(began.elapsed() < BACK, "not back after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A conversation goes on where it was.
pub(crate) async fn goes_on(store: &Redis, target: Target, key: &str) {
    finish(store, &start(store, &question(target, key)).await).await;
}
/// Repeats a call until it is answered, as the core does.
pub(crate) async fn patiently<T>(call: impl AsyncFn() -> Result<T, BackendError>) -> T {
    for _ in 0..1000 {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.may_pass(), "{error:?}: {}", error.source),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no answer in a thousand tries");
}

/// A store behind a wire that is cut, and the same one without.
pub(crate) async fn wired() -> (Server, Wire, Arc<Redis>, Arc<Redis>) {
    wired_with(|_| ()).await
}

/// The same, with a configuration of its own.
pub(crate) async fn wired_with(set: impl FnOnce(&mut RedisConfig)) -> (Server, Wire, Arc<Redis>, Arc<Redis>) {
    let server = Server::start();
    let wire = Wire::to(server.port).await;
    let mut behind = config(wire.url());
    set(&mut behind);
    let mut before = behind.clone();
    before.urls = vec![server.url()];
    (server, wire, open(&behind).await, open(&before).await)
}

/// Makes a call whose answer is cut after no byte, then after one, and so on, until one comes whole. Of a call that stands for
/// so many bytes at least.
pub(crate) async fn after_any_byte(wire: &Wire, least: i64, mut call: impl AsyncFnMut(i64)) {
    let mut cut = 0;
    loop {
        wire.cut_after(cut);
        call(cut).await;
        if !wire.was_cut() {
            break assert!(cut >= least, "an answer of {cut} bytes");
        }
        cut += 1;
    }
}

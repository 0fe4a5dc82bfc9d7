//! The in-memory adapters keep every law. A harness holds them as `Arc<dyn _>`, as the core does.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

use chatcore_ports::chatcore::id::UserId;
use chatcore_ports::chatcore::policy::StoreLimits;
use chatcore_ports::chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime, User};
use chatcore_ports::conformance::{
    AiHarness, BusHarness, OpenBus, OpenStore, RuntimeHarness, StoreHarness, ThrottleHarness, TokenHarness,
    UsersHarness,
};
use chatcore_ports::memory::{MemoryAi, MemoryBus, MemoryStore, MemoryThrottle, MemoryTokens, MemoryUsers};
use chatcore_ports::sim::Sim;
use chatcore_ports::tokio::TokioRuntime;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

fn runtime() -> Arc<TokioRuntime> {
    Arc::new(TokioRuntime::current())
}

async fn open_store(limits: StoreLimits) -> OpenStore {
    let store = MemoryStore::with_limits(runtime(), limits);
    let letters = MemoryBus::over(&store);
    OpenStore { letters: Some(Arc::new(letters)), ..OpenStore::of(store) }
}

mod session_store {
    chatcore_ports::session_store_laws!(async { super::StoreHarness::new(super::open_store) });
}

mod outbox {
    chatcore_ports::outbox_laws!(async { super::StoreHarness::new(super::open_store) });
}

/// A bus of its own.
async fn bus() -> BusHarness {
    BusHarness::new(|come_back| async move { OpenBus::of(MemoryBus::new(runtime()).come_back_after(come_back)) })
}

/// A bus that reads a store's own log.
async fn log() -> BusHarness {
    BusHarness::new(|come_back| async move {
        let store = MemoryStore::new(runtime());
        OpenBus::of(MemoryBus::over(&store).come_back_after(come_back))
    })
}

mod event_bus {
    chatcore_ports::event_bus_laws!(super::bus());
}

mod event_log {
    chatcore_ports::event_bus_laws!(super::log());
}

mod dead_letters {
    chatcore_ports::dead_letters_laws!(super::bus());
}

mod throttle {
    chatcore_ports::throttle_laws!(super::throttle());
}

async fn throttle() -> ThrottleHarness {
    let throttle = Arc::new(MemoryThrottle::new(runtime()));
    ThrottleHarness::new(throttle.clone(), throttle)
}

mod token_issuer {
    chatcore_ports::token_issuer_laws!(super::tokens());
}

async fn tokens() -> TokenHarness {
    TokenHarness { issuer: Arc::new(MemoryTokens::new("one")), stranger: Arc::new(MemoryTokens::new("another")) }
}

mod user_directory {
    chatcore_ports::user_directory_laws!(super::users());
}

async fn users() -> UsersHarness {
    let id = UserId::parse("user_123").unwrap();
    let directory = MemoryUsers::default().with(id.clone(), "testuser", "testpass");
    let user = User { id, name: "testuser".into() };
    UsersHarness { directory: Arc::new(directory), user, password: "testpass".into() }
}

mod ai_gateway {
    chatcore_ports::ai_gateway_laws!(super::ai());
}

/// An AI that never comes to its end, and counts how many of its answers are being read.
#[derive(Debug, Default, Clone)]
struct Endless(Arc<AtomicUsize>);

struct Call(Arc<AtomicUsize>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AiGateway for Endless {
    fn answer(&self, _: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let running = self.0.clone();
        let call = async move {
            running.fetch_add(1, Ordering::SeqCst);
            Call(running)
        };
        stream::once(call)
            .flat_map(|call| {
                stream::pending().chain(stream::once(async move {
                    drop(call);
                    Err(AiError::Failed("over".into()))
                }))
            })
            .boxed()
    }
}

async fn ai() -> AiHarness {
    let endless = Endless::default();
    let running = endless.0.clone();
    AiHarness::new(Arc::new(MemoryAi::echo().paced(runtime(), Duration::from_millis(1))))
        .hanging(Arc::new(endless), move || running.load(Ordering::SeqCst))
        .malformed("breaks off", Arc::new(MemoryAi::failing(["Có "], "the upstream broke off")))
}

mod tokio_runtime {
    chatcore_ports::runtime_laws!(async { super::RuntimeHarness::new(super::runtime()) });
}

mod tokio_runtime_of_the_thread {
    chatcore_ports::runtime_laws!(async { super::RuntimeHarness::new(super::Arc::new(super::TokioRuntime::local())) });
}

#[tokio::test]
async fn a_local_runtime_keeps_a_task_with_its_thread_and_takes_home_what_has_none() {
    let (local, home) = (TokioRuntime::local(), Handle::current().id());
    let asked = |runtime: &TokioRuntime| {
        let (tell, told) = oneshot::channel();
        runtime.spawn(Box::pin(async move { tell.send(Handle::current().id()).unwrap() }));
        told
    };
    let elsewhere = local.clone();
    assert_eq!(thread::spawn(move || asked(&elsewhere)).join().unwrap().await.unwrap(), home);
    let own = Builder::new_current_thread().build().unwrap();
    let own_id = own.handle().id();
    assert_eq!(thread::spawn(move || own.block_on(async { asked(&local).await })).join().unwrap().unwrap(), own_id);
}

mod sim_runtime {
    chatcore_ports::runtime_laws!(super::sim());
}

async fn sim() -> RuntimeHarness {
    let sim = Sim::new(7);
    let runtime = Arc::new(sim.runtime(0));
    RuntimeHarness::new(runtime)
        .driven(move |law| assert!(sim.run(law), "all tasks wait for each other"))
        .panics_end_it()
}

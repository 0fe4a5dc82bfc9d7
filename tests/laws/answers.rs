//! Which answer a turn gets, and to whom it is new.

use super::{Bench, hello};
use chatcore::chat::{Answered, ChatService};
use chatcore::message::{AiReply, Products, Status};
use chatcore::policy::ChatPolicy;
use chatcore::port::{AiChunk, Runtime, SessionStore};
use chatcore_ports::memory::MemoryAi;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn an_answer_of_products_alone_is_kept_and_one_of_nothing_is_stood_in_for() {
    let products = Products::from_json(r#"[{"product_id":"p1"}]"#).unwrap();
    for (products, status) in [(products, Status::Completed), (Products::default(), Status::Fallback)] {
        let bench = Bench::new();
        let reply = AiReply { products: products.clone(), intent: Some("search".into()), confidence: None };
        let ai = MemoryAi::scripted(move |_| vec![Ok(AiChunk::Done(reply.clone()))]);
        let (store, runtime) = (bench.store.clone(), bench.sim.runtime(1));
        let service = ChatService::new(Arc::new(store), Arc::new(ai), Arc::new(runtime), ChatPolicy::default());
        bench.run(async move {
            let Ok(Answered { answer, .. }) = service.send(hello()).await else { panic!("no answer") };
            assert_eq!((answer.status, &answer.reply.products), (status, &products));
            assert_eq!(answer.content.is_empty(), status == Status::Completed);
        });
    }
}

/// What is stored of an AI's answer under this policy.
fn stored(policy: ChatPolicy, ai: impl FnOnce(&Bench) -> MemoryAi) -> (Status, String) {
    let bench = Bench::new();
    let (store, runtime, ai) = (bench.store.clone(), bench.sim.runtime(1), ai(&bench));
    let service = ChatService::new(Arc::new(store), Arc::new(ai), Arc::new(runtime), policy);
    let told = Arc::new(Mutex::new(None));
    let tell = told.clone();
    bench.run(async move {
        let answered = service.send(hello()).await;
        *tell.lock().unwrap() = answered.ok().map(|answered| (answered.answer.status, answered.answer.content));
    });
    told.lock().unwrap().take().unwrap()
}

#[test]
fn an_answer_that_is_too_long_is_cut_off_with_what_came_before() {
    let most = |bytes| {
        let mut policy = ChatPolicy::default();
        policy.max_answer = bytes;
        policy
    };
    let pieces = |_: &Bench| MemoryAi::saying(["12345", "67890"]);
    assert_eq!(stored(most(10), pieces), (Status::Completed, "1234567890".into()));
    assert_eq!(stored(most(9), pieces), (Status::Failed, "12345".into()));
    assert_eq!(stored(most(4), pieces).0, Status::Fallback);
    let products = Products::from_json(r#"[{"product_id":"p1"}]"#).unwrap();
    let reply = AiReply { products, intent: None, confidence: None };
    let script = move |_: &_| vec![Ok(AiChunk::Text("1".into())), Ok(AiChunk::Done(reply.clone()))];
    assert_eq!(stored(most(9), |_| MemoryAi::scripted(script)), (Status::Failed, "1".into()), "products count too");
}

#[test]
fn an_ai_that_takes_too_long_is_cut_off_with_what_came_before() {
    let within = |time| {
        let mut policy = ChatPolicy::default();
        policy.ai_timeout = time;
        policy
    };
    let slow =
        |bench: &Bench| MemoryAi::saying(["one", " two"]).paced(Arc::new(bench.sim.runtime(2)), Duration::from_secs(3));
    assert_eq!(stored(within(Duration::from_secs(2)), slow).0, Status::Fallback);
    assert_eq!(stored(within(Duration::from_secs(4)), slow), (Status::Failed, "one".into()));
    assert_eq!(stored(within(Duration::from_secs(20)), slow), (Status::Completed, "one two".into()));
}

/// It says that this stays so, until somebody mends it.
#[test]
fn an_answer_is_stored_though_the_store_refuses_everything_for_a_while() {
    let bench = Bench::new();
    let service = bench.service(1, Duration::from_secs(1));
    let (runtime, net) = (bench.sim.runtime(0), bench.net.clone());
    bench.run(async move {
        let asked = futures_util::future::join(service.send(hello()), async {
            runtime.sleep(Duration::from_secs(1)).await;
            net.set(|weather| weather.forbidden = true);
            // The answer is there after two.
            runtime.sleep(Duration::from_secs(9)).await;
            net.set(|weather| weather.forbidden = false);
        });
        drop(asked.await);
        runtime.sleep(Duration::from_secs(5)).await;
        let Ok(answered) = service.send(hello()).await else { panic!("no answer") };
        assert_eq!((answered.answer.status, &*answered.answer.content), (Status::Completed, "word "));
        assert!(answered.replayed, "it is the first one's, and the AI was asked once");
    });
}

/// The server cannot reach the store for longer than a lease, and another one closes its turn.
#[test]
fn an_answer_that_another_gave_to_the_turn_of_this_call_is_no_replay() {
    let bench = Bench::new();
    let service = bench.service(30, Duration::from_secs(1));
    let (runtime, net, store) = (bench.sim.runtime(0), bench.net.clone(), bench.store.clone());
    bench.run(async move {
        let policy = ChatPolicy::default();
        let asked = futures_util::future::join(service.send(hello()), async {
            runtime.sleep(Duration::from_secs(1)).await;
            net.set(|weather| weather.outage = true);
            runtime.sleep(policy.lease + policy.lease / 3).await;
            assert_eq!(store.close_orphans(Duration::ZERO, 9).await.ok().map(|swept| swept.closed), Some(1));
            net.set(|weather| weather.outage = false);
        });
        let (Ok(answered), ()) = asked.await else { panic!("no answer") };
        assert_eq!((answered.answer.status, answered.replayed), (Status::Failed, false));
        let Ok(again) = service.send(hello()).await else { panic!("no answer") };
        assert_eq!((again.answer, again.replayed), (answered.answer, true));
    });
}

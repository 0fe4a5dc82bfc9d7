//! A handler that is slow: what becomes of its record when the worker is told to end, and how many events wait for it.

use crate::brokers::{Broker, broker};
use crate::client::Client;
use crate::field::{LONG, pairs, settings};
use crate::interop::Group;
use crate::outage::{number, told};
use crate::process::Server;
use crate::worker_process::{Call, Hook, Worker};
use axum::http::StatusCode;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_end_finishes_what_a_slow_handler_holds() {
    let Some(broker) = broker().await else { return };
    let slow = Slow::start(broker, "slow-end", &[]).await;
    let (mut worker, session) = slow.is_told_to_end_while_a_record_is_held().await;
    assert!(worker.runs(), "it waits for its handler");
    slow.hold(false);
    assert_eq!(worker.ended().await, Some(0));
    assert_eq!(slow.hook.calls().len(), 5, "it takes nothing more");
    let _worker = slow.worker();
    slow.works_all_off(&session, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_handler_takes_longer_than_its_end_gives_the_record_back() {
    let Some(broker) = broker().await else { return };
    let slow = Slow::start(broker, "slower-end", &[("SHUTDOWN_GRACE", "4s")]).await;
    let (mut worker, session) = slow.is_told_to_end_while_a_record_is_held().await;
    assert_eq!(worker.ended().await, Some(0), "it ends in its time");
    slow.hold(false);
    let _worker = slow.worker();
    slow.works_all_off(&session, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_events_wait_for_a_slow_handler_as_kafka_tells() {
    let Some(broker) = broker().await else { return };
    let slow = Slow::start(broker, "lagging", &[("KAFKA_TOPIC_PARTITIONS", "1")]).await;
    let worker = slow.worker();
    let metrics = worker.url("/metrics");
    slow.say(None, "hello").await;
    slow.hook.wait_for(2).await;
    slow.waiting_are(&metrics, 0.0).await;
    slow.hold(true);
    // More than there are lanes, so that some are not even in hand.
    for _ in 0..6 {
        slow.say(None, "slow").await;
    }
    slow.waiting_are(&metrics, 12.0).await;
    slow.hold(false);
    slow.waiting_are(&metrics, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_behind_events_that_compress_well_has_few_of_them_in_memory() {
    let Some(broker) = broker().await else { return };
    let slow = Slow::start(broker, "compressed", &[("KAFKA_TOPIC_PARTITIONS", "1")]).await;
    // 45 MB when they are read, of which there would be two copies; less than a megabyte as they are fetched.
    let text = format!("slow {}", "x".repeat(30_000));
    stream::iter(0..1500).for_each_concurrent(8, |_| async { _ = slow.say(None, &text).await }).await;
    let metrics = slow.server.url("/metrics");
    let published = async { while number(&told(&metrics).await.1, "chatcore_outbox_events") > 0.0 {} };
    timeout(LONG, published).await.expect("all is on Kafka");
    slow.hold(true);
    let worker = slow.worker();
    let metrics = worker.url("/metrics");
    slow.hook.wait_for(1).await;
    slow.waiting_are(&metrics, 3000.0).await;
    sleep(Duration::from_secs(1)).await;
    assert!(worker.most_memory() < 70_000, "it has had {} kB", worker.most_memory());
}

/// A server, and workers whose webhook answers nothing to what is slow as long as it is held.
struct Slow {
    broker: &'static Broker,
    hook: Hook,
    held: Arc<AtomicBool>,
    server: Server,
    client: Client,
    settings: Vec<(&'static str, String)>,
}

impl Slow {
    async fn start(broker: &'static Broker, name: &str, more: &[(&'static str, &str)]) -> Self {
        let held = Arc::new(AtomicBool::new(false));
        let holds = held.clone();
        let is_slow = |call: &Call| String::from_utf8_lossy(&call.body).contains("slow");
        let hook =
            Hook::start(move |call| (!(holds.load(Ordering::Relaxed) && is_slow(call))).then_some(StatusCode::OK));
        let hook = hook.await;
        let webhook = [("WORKER_HANDLERS", "webhook"), ("WEBHOOK_URL", &hook.url)];
        let secret = [("WEBHOOK_SECRET", "b7e151628aed2a6abf7158809cf4f3c7"), ("WORKER_TRIES", "100")];
        let port = [("WORKER_PORT", "0")];
        let ours = settings(broker, name);
        let all = [&pairs(&ours)[..], &webhook, &secret, &port, more].concat();
        let server = Server::start(&all);
        let client = Client::login(&server).await;
        let settings = all.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self { broker, hook, held, server, client, settings }
    }

    fn worker(&self) -> Worker {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Worker::start(self.server.folder(), &settings)
    }

    /// Those that wait for an answer get it when nothing is held any more.
    fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
        if !held {
            self.hook.release();
        }
    }

    async fn say(&self, session: Option<&str>, text: &str) -> String {
        let (status, _, answer) = self.client.try_ask(&json!({"message": text, "session_id": session})).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["session_id"].as_str().unwrap().to_owned()
    }

    /// Four events are worked off and one is held; behind that, three more of its session.
    async fn is_told_to_end_while_a_record_is_held(&self) -> (Worker, String) {
        let worker = self.worker();
        let session = self.say(None, "hello").await;
        // Before it: what is done behind a record that is not comes again, as that does.
        self.say(None, "hello").await;
        self.hook.wait_for(4).await;
        self.hold(true);
        self.say(Some(&session), "slow").await;
        self.hook.wait_for(5).await;
        let ready = worker.url("/readyz");
        worker.stop();
        let stopping = async { while !told(&ready).await.1.contains("worker: stopping") {} };
        timeout(LONG, stopping).await.expect("it says that it ends");
        self.say(Some(&session), "hello").await;
        (worker, session)
    }

    /// Each event is handled once, but for so many that were given back: those twice. Nothing is left.
    async fn works_all_off(&self, session: &str, given_back: usize) {
        self.hook.wait_for(8 + given_back).await;
        let group = self.group();
        let done = async { while group.lags().await.iter().any(|lag| lag != "0" && lag != "-") {} };
        timeout(LONG, done).await.expect("all is committed");
        let calls: Vec<Value> =
            self.hook.calls().iter().map(|call| serde_json::from_slice(&call.body).unwrap()).collect();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for call in &calls {
            *times.entry(call["event_id"].as_str().unwrap()).or_default() += 1;
        }
        let mut twice = times.values().filter(|times| **times > 1);
        assert_eq!((times.len(), calls.len(), twice.next()), (8, 8 + given_back, (given_back > 0).then_some(&2)));
        for kind in ["chat.requested", "chat.responded"] {
            let of_kind = calls.iter().filter(|call| call["session_id"] == session && call["type"] == kind);
            let seqs: Vec<_> = of_kind.map(|call| call["seq"].as_u64()).collect();
            assert!(seqs.is_sorted(), "{kind}: {seqs:?}");
        }
    }

    fn group(&self) -> Group<'_> {
        let (_, name) = self.settings.iter().find(|(name, _)| *name == "KAFKA_CONSUMER_GROUP").unwrap();
        Group { broker: self.broker, name: name.clone() }
    }

    /// Waits until so many events wait, as the worker tells and as Kafka does.
    async fn waiting_are(&self, metrics: &str, wanted: f64) {
        let (group, mut both) = (self.group(), (0.0, 0.0));
        for _ in 0..60 {
            let by_kafka = group.lags().await.iter().filter_map(|lag| lag.parse::<f64>().ok()).sum();
            both = (number(&told(metrics).await.1, "chatcore_worker_lag_events"), by_kafka);
            if both == (wanted, wanted) {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("{wanted} are to wait; the worker and Kafka tell {both:?}")
    }
}

//! A rolling restart: each server is told to end and started again, one after the other, while clients go on. No request that a
//! server has taken is broken off.

use super::durable;
use super::servers::Server as Redis;
use crate::client::Client;
use crate::process::Server;
use crate::writers::within;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// How many connections there are, each always in use.
const CLIENTS: usize = 200;
const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
/// What a load balancer needs to see that a server is not ready.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    told_to_go: AtomicUsize,
    /// How often a server said that it is not ready.
    seen_leaving: AtomicUsize,
    over: AtomicBool,
}

fn start(redis: &Redis) -> Server {
    let settings =
        [("MESSAGE_QUOTA", "off"), ("AI_DEMO_DELAY", "100ms"), ("SHUTDOWN_GRACE", "10s"), ("SHUTDOWN_DELAY", "2s")];
    Server::start(&[&settings[..], &[("REDIS_URL", &redis.url())]].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_breaks_off_no_request() {
    let redis = durable();
    let mut servers = [start(&redis), start(&redis)];
    let client = Client::login(&servers[0]).await;
    let ways = [servers[0].url(""), servers[1].url("")];
    let (ready, counts) = (Arc::new([true, true].map(AtomicBool::new)), Arc::new(Counts::default()));
    let talkers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let clients = ways.clone().map(|way| client.anew(way));
            tokio::spawn(talk(clients, ready.clone(), counts.clone(), number))
        })
        .collect();
    let balancer = tokio::spawn(balance(client.clone(), ways, ready, counts.clone()));
    for server in [0, 1, 0, 1] {
        let before = counts.answered.load(Ordering::SeqCst);
        within(Duration::from_secs(60), async {
            while counts.answered.load(Ordering::SeqCst) < before + CLIENTS {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let server = &mut servers[server];
        tokio::task::block_in_place(|| {
            assert_eq!(server.end(), Some(0), "told to end, it ends with 0");
            server.restart();
        });
        sleep(3 * LOOKED_AT_EVERY).await;
    }
    counts.over.store(true, Ordering::SeqCst);
    within(Duration::from_secs(30), async {
        for talker in talkers {
            talker.await.unwrap();
        }
        balancer.await.unwrap();
    })
    .await;
    let told = counts.told_to_go.load(Ordering::SeqCst);
    let seen = counts.seen_leaving.load(Ordering::SeqCst);
    println!("{} answers, {told} times told to go elsewhere, by {seen} looks", counts.answered.load(Ordering::SeqCst));
    assert!(seen >= 4, "each of the four that ended said so before, while it still served: {seen}");
}

/// Asks one question of its session after the other. Refused, or not let in, it asks the same of the other server.
async fn talk(clients: [Client; 2], ready: Arc<[AtomicBool; 2]>, counts: Arc<Counts>, number: usize) {
    let (mut asked, mut way, mut session) = (0, number % 2, Value::Null);
    while !counts.over.load(Ordering::SeqCst) {
        asked += 1;
        let key = format!("{number}.{asked}");
        let body = json!({ "message": "xin chào", "client_message_id": key, "session_id": session });
        loop {
            if !ready[way].load(Ordering::SeqCst) {
                way = 1 - way;
            }
            match clients[way].try_ask(&body).await {
                Ok((StatusCode::OK, _, answer)) => {
                    session = answer["session_id"].clone();
                    break;
                }
                Ok((status, _, answer)) if status == BUSY || answer["code"] == "turn_in_progress" => {
                    counts.told_to_go.fetch_add(1, Ordering::SeqCst);
                }
                Ok((status, _, answer)) => panic!("{status}: {answer}"),
                Err(error) if error.is_connect() => {}
                Err(error) => panic!("a request was broken off: {error:?}"),
            }
            way = 1 - way;
            sleep(Duration::from_millis(20)).await;
        }
        counts.answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends nobody to a server that is not ready.
async fn balance(client: Client, ways: [String; 2], ready: Arc<[AtomicBool; 2]>, counts: Arc<Counts>) {
    while !counts.over.load(Ordering::SeqCst) {
        for (way, is_ready) in ways.iter().zip(ready.iter()) {
            let status = client.try_look(&format!("{way}/readyz")).await.ok();
            counts.seen_leaving.fetch_add(usize::from(status == Some(BUSY)), Ordering::SeqCst);
            is_ready.store(status == Some(StatusCode::OK), Ordering::SeqCst);
        }
        sleep(LOOKED_AT_EVERY).await;
    }
}

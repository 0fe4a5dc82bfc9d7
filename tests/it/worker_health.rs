//! What the worker tells of itself.

use crate::client::Client;
use crate::process::{Server, command};
use crate::worker_process::Worker;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_tells_whether_it_is_well_and_what_it_did() {
    let server = Server::start(&[]);
    let client = Client::login(&server).await;
    client.ask(json!({"message": "a laptop, please"})).await;
    let worker = Worker::start(server.folder(), &[("WORKER_HANDLERS", "counters"), ("WORKER_PORT", "0")]);
    let base = worker.url("");
    assert_eq!(get(&base, "/livez").await, (200, "alive\n".to_owned()));
    let ready = get_until(&base, "/readyz", |text| !text.contains("unhealthy")).await;
    assert_eq!(ready, (200, "worker: healthy\nconsumer: healthy\nsqlite: healthy\n".to_owned()));
    let numbers = [
        r#"chatcore_worker_events_total{outcome="handled"} 2"#,
        r#"chatcore_worker_events_total{outcome="parked"} 0"#,
        r#"chatcore_worker_handler_failures_total{handler="counters"} 0"#,
        r#"chatcore_worker_handler_seconds_bucket{handler="counters",le="30"} 2"#,
        r#"chatcore_worker_lag_events 0"#,
        r#"chatcore_events_total{type="chat.requested"} 1"#,
        r#"chatcore_events_total{type="chat.responded"} 1"#,
        r#"chatcore_answers_total{intent="product_search",status="completed"} 1"#,
        r#"chatcore_products_total{product="#,
    ];
    let (_, text) = get_until(&base, "/metrics", |text| numbers.iter().all(|number| text.contains(number))).await;
    numbers.iter().for_each(|number| assert!(text.contains(number), "{number} in {text}"));

    let blocker = rusqlite::Connection::open(server.folder().join("data/chat.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // What was found just before is told for a moment.
    let (status, told) = get_until(&base, "/readyz", |text| text.contains("sqlite: unhealthy")).await;
    assert_eq!((status, told.lines().last()), (503, Some("sqlite: unhealthy")), "{told}");
    assert_eq!(get(&base, "/livez").await.0, 200, "to start it again would not help");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_can_be_asked_whether_it_is_alive() {
    let server = Server::start(&[]);
    let worker = Worker::start(server.folder(), &[("WORKER_PORT", "0")]);
    let port = worker.url("").rsplit(':').next().unwrap().to_owned();
    let asked = |port: &str| {
        let mut command = command("app-worker", server.folder());
        command.env("WORKER_PORT", port).arg("--check-health").output().unwrap().status.code()
    };
    assert_eq!(asked(&port), Some(0));
    drop(worker);
    assert_eq!((asked(&port), asked("off")), (Some(1), Some(1)), "nobody is there to answer");
}

/// The answer as soon as it is good, or the last one: a machine that is busy is slow to be well.
async fn get_until(base: &str, path: &str, good: impl Fn(&str) -> bool) -> (u16, String) {
    let mut answer = get(base, path).await;
    for _ in 0..300 {
        if good(&answer.1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = get(base, path).await;
    }
    answer
}

async fn get(base: &str, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{base}{path}")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

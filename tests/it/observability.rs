//! The board of Grafana shows numbers that the programs tell.

use crate::client::Client;
use crate::process::Server;
use crate::worker_process::Worker;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn each_query_of_the_board_asks_for_a_number_that_a_program_tells() {
    let server = Server::start(&[("AI", "demo")]);
    let client = Client::login(&server).await;
    client.ask(json!({"message": "a laptop, please"})).await;
    let worker = Worker::start(server.folder(), &[("WORKER_HANDLERS", "counters"), ("WORKER_PORT", "0")]);
    let board: Value = serde_json::from_str(include_str!("../../observability/grafana/chatcore.json")).unwrap();
    let wanted: BTreeSet<String> = board["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .flat_map(|target| names(target["expr"].as_str().unwrap()))
        .collect();
    assert!(wanted.len() > 10, "{wanted:?}");
    let (of_server, of_worker) = (server.url("/metrics"), worker.url("/metrics"));
    let mut missing = Vec::new();
    for _ in 0..200 {
        let told = get(&of_server).await + &get(&of_worker).await;
        let is_told = |name: &&String| told.lines().any(|line| line.split(['{', ' ']).next() == Some(name.as_str()));
        missing = wanted.iter().filter(|name| !is_told(name)).cloned().collect();
        if missing.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody tells {missing:?}");
}

/// The numbers that a query asks for.
fn names(query: &str) -> Vec<String> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("chatcore_")).map(str::to_owned).collect()
}

async fn get(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

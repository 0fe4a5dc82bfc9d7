//! The board of Grafana shows numbers that the programs tell.

use crate::client::Client;
use crate::process::Server;
use crate::worker_process::Worker;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn each_query_of_the_board_asks_for_a_number_that_a_program_tells() {
    let server = Server::start(&[("AI", "demo")]);
    let client = Client::login(&server).await;
    client.ask(json!({"message": "a laptop, please"})).await;
    let worker = Worker::start(server.folder(), &[("WORKER_HANDLERS", "counters"), ("WORKER_PORT", "0")]);
    let board: Value = serde_json::from_str(include_str!("../../observability/grafana/chatcore.json")).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels
        .inspect(|panel| assert!(panel["description"].is_string(), "{panel}"))
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let wanted: Vec<_> = targets.map(|target| asked(target["expr"].as_str().unwrap())).collect();
    assert!(wanted.len() > 10 && wanted.iter().map(|(_, parts)| parts.len()).sum::<usize>() > 15, "{wanted:?}");
    let (of_server, of_worker) = (server.url("/metrics"), worker.url("/metrics"));
    let mut missing = Vec::new();
    for _ in 0..200 {
        let told = get(&of_server).await + &get(&of_worker).await;
        let answers = |line: &str, (name, parts): &(&str, Vec<String>)| {
            line.split(['{', ' ']).next() == Some(name) && parts.iter().all(|part| line.contains(part))
        };
        missing = wanted.iter().filter(|query| !told.lines().any(|line| answers(line, query))).cloned().collect();
        if missing.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody tells {missing:?}");
}

/// The number that a query asks for, and what stands in its lines: labels by which it is summed, and those that are to have a value.
fn asked(query: &str) -> (&str, Vec<String>) {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let name = words.into_iter().find(|word| word.starts_with("chatcore_")).unwrap();
    let between = |from: char, to: char, query: &'_ str| -> Vec<String> {
        let inside = query.split_once(from).and_then(|(_, rest)| rest.split_once(to));
        inside.map(|(inside, _)| inside.split(',').map(|part| part.trim().to_owned()).collect()).unwrap_or_default()
    };
    let summed = query.split_once("by ").map(|(_, by)| between('(', ')', by)).unwrap_or_default();
    let labels = summed.iter().map(|label| format!("{label}=\""));
    (name, labels.chain(between('{', '}', query)).collect())
}

async fn get(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

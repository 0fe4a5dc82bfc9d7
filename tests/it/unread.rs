//! Output that nobody reads: a pipe fills, and neither program stands still or fails to stop for that.

use crate::client::Client;
use crate::process::{Server, command, free_port, signal};
use serde_json::json;
use std::process::Child;
use std::time::{Duration, Instant};

/// More than a pipe holds, at some two hundred bytes a line.
const LINES: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_nobody_reads_serves_and_stops() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut server = command("app-http", folder.path());
    let mut server = server.env("PORT", port.to_string()).env("SHUTDOWN_GRACE", "5s").spawn().unwrap();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let url = format!("http://127.0.0.1:{port}/livez");
    while http.get(&url).send().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..LINES {
        assert!(http.get(&url).send().await.unwrap().status().is_success());
    }
    ends_within(&mut server, Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_events_nobody_reads_stops() {
    let server = Server::start(&[("MESSAGE_QUOTA", "off")]);
    let client = Client::login(&server).await;
    for _ in 0..LINES / 2 {
        client.ask(json!({"message": "hello"})).await;
    }
    let mut worker = command("app-worker", server.folder());
    let mut worker = worker.env("LOG_LEVEL", "off").env("SHUTDOWN_GRACE", "5s").spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(worker.try_wait().unwrap(), None, "it waits for a reader");
    ends_within(&mut worker, Duration::from_secs(5));
}

/// SIGTERM ends it, in time and with 0.
#[expect(clippy::disallowed_methods, reason = "how long a process takes to end is real time")]
fn ends_within(process: &mut Child, grace: Duration) {
    signal(process, "-TERM");
    let start = Instant::now();
    loop {
        match process.try_wait().unwrap() {
            Some(status) => return assert!(status.success(), "{status}"),
            None if start.elapsed() > grace => {
                process.kill().unwrap();
                panic!("it did not end within {grace:?}");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

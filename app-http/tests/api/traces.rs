//! A collector that takes no traces: nothing waits for it, and the log is not full of it.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::app::send;
use crate::process::Running;
use serde_json::json;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const GRACE: Duration = Duration::from_secs(4);
/// Each of these would wait some seconds for a collector that hangs, if it waited at all.
const MESSAGES: u32 = 30;

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_slows_neither_requests_nor_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}", silent.local_addr().unwrap());
    for collector in [hangs.as_str(), "http://127.0.0.1:9"] {
        let directory = tempfile::tempdir().unwrap();
        let pairs = [
            ("STORE", "memory"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
            // Many batches, of which each has its try.
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
            ("SHUTDOWN_GRACE", "4s"),
            ("MESSAGE_QUOTA", "off"),
        ];
        let server = Running::start(directory.path(), &pairs);
        let token = server.token().await;
        let since = Instant::now();
        for _ in 0..MESSAGES {
            assert_eq!(send(server.message(&token, &json!({ "message": "hello" }))).await.status, 200);
            assert!(since.elapsed() < Duration::from_secs(1) * MESSAGES, "{collector}: {:?}", since.elapsed());
        }
        let since = Instant::now();
        server.signal("TERM");
        let (code, log) = server.end();
        assert!(code == Some(0) && since.elapsed() < GRACE, "{collector}: {code:?} {:?}", since.elapsed());
        let told = log.lines().filter(|line| line.contains("\"WARN\"") && line.contains("traces")).count();
        assert!((1..=2).contains(&told), "{collector}: {told} lines\n{log}");
    }
}

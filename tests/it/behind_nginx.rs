//! A stream behind nginx, which gathers and compresses what it passes on unless it is told not to.

use crate::client::Client;
use crate::nginx::Nginx;
use crate::process::{Server, free_port};
use flate2::read::GzDecoder;
use serde_json::json;
use std::io::Read;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
async fn a_stream_comes_piece_by_piece_through_a_proxy_that_compresses() {
    let (server, port) = (Server::start(&[("AI_DEMO_DELAY", "4s")]), free_port());
    let _nginx = Nginx::before(&server.url(""), port).await;
    let client = Client::login(&server).await.at_url(format!("http://127.0.0.1:{port}"));
    for compressed in [false, true] {
        let headers: &[_] = if compressed { &[("accept-encoding", "gzip")] } else { &[] };
        let message = json!({ "message": "tai nghe dưới 3 triệu" });
        let mut response = client.stream("/chat/message", Some(&message), headers).await;
        assert_eq!(response.headers().contains_key("content-encoding"), compressed);
        let (mut bytes, mut came) = (Vec::new(), Vec::new());
        while let Some(more) = response.chunk().await.unwrap() {
            bytes.extend(more);
            came.push(Instant::now());
        }
        let text = match compressed {
            true => {
                let mut text = String::new();
                GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
                text
            }
            false => String::from_utf8(bytes).unwrap(),
        };
        assert!(text.contains("event: done") && text.matches("event: delta").count() > 5, "{text}");
        let spread = came[came.len() - 1] - came[0];
        assert!(came.len() > 5 && spread > Duration::from_secs(2), "{} pieces over {spread:?}", came.len());
    }
}

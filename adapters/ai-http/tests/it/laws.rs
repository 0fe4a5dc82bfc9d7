//! The laws of the port, against a server that answers, one that hangs in the middle, and several that talk nonsense.

use crate::server::{Server, ok, sees_close};
use crate::support::{ai, config};
use chatcore_ports::conformance::AiHarness;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;

chatcore_ports::ai_gateway_laws!(harness());

const NONSENSE: [(&str, &[u8]); 6] = [
    ("no JSON", b"<html>my secret question</html>"),
    ("another type", br#"{"response": ["my secret question"]}"#),
    ("no text", br#"{"products": []}"#),
    ("products that are no objects", br#"{"response": "hi", "products": ["my secret question"]}"#),
    ("no UTF-8", b"{\"response\": \"\xff\"}"),
    ("half an answer", br#"{"response": "my secret question"#),
];

async fn harness() -> AiHarness {
    let good = Server::saying(ok(r#"{"response": "hi", "products": [{"name": "tea"}], "confidence": 0.5}"#)).await;
    let (hanging, running) = hanging().await;
    let mut harness = AiHarness::new(Arc::new(ai(config(&good.url()))));
    let mut servers = vec![good];
    for (how, body) in NONSENSE {
        let server = Server::saying(ok(body)).await;
        harness = harness.malformed(how, Arc::new(ai(config(&server.url()))));
        servers.push(server);
    }
    let gateway = Arc::new(ai(config(&hanging.url())));
    servers.push(hanging);
    harness.hanging(gateway, move || {
        // The servers live as long as the harness.
        let _ = &servers;
        running.load(Ordering::SeqCst)
    })
}

/// A server that stops in the middle of each answer, and how many callers it has now.
async fn hanging() -> (Server, Arc<AtomicUsize>) {
    let running = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&running);
    let server = Server::start(move |_, mut peer| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"response\": \"";
            peer.write_all(half).await.unwrap();
            if sees_close(&mut peer).await {
                count.fetch_sub(1, Ordering::SeqCst);
            }
        }
    });
    (server.await, running)
}

//! The laws of the port in both formats, in pieces and not, against a server that answers, one that hangs in the middle,
//! and several that talk nonsense.

use crate::server::{Server, begin, ok, sees_close, stream};
use crate::support::{ai, config, openai};
use chatcore_ai_http::HttpAiConfig;
use chatcore_ports::conformance::AiHarness;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;

mod native {
    chatcore_ports::ai_gateway_laws!(super::harness(super::NATIVE));
}

mod native_in_pieces {
    chatcore_ports::ai_gateway_laws!(super::harness(super::NATIVE_IN_PIECES));
}

mod openai_whole {
    chatcore_ports::ai_gateway_laws!(super::harness(super::OPENAI));
}

mod openai_in_pieces {
    chatcore_ports::ai_gateway_laws!(super::harness(super::OPENAI_IN_PIECES));
}

/// A format, and what is said in it.
#[derive(Clone, Copy)]
struct Case {
    config: fn(&str) -> HttpAiConfig,
    frame: fn(&[u8]) -> Vec<u8>,
    kind: &'static str,
    good: &'static [u8],
    half: &'static [u8],
    nonsense: &'static [(&'static str, &'static [u8])],
}

const NATIVE: Case = Case {
    config,
    frame: |body| ok(body),
    kind: "application/json",
    good: br#"{"response": "hi", "products": [{"name": "tea"}], "confidence": 0.5}"#,
    half: br#"{"response": ""#,
    nonsense: &[
        ("no JSON", b"<html>my secret question</html>"),
        ("another type", br#"{"response": ["my secret question"]}"#),
        ("no text", br#"{"products": []}"#),
        ("products that are no objects", br#"{"response": "hi", "products": ["my secret question"]}"#),
        ("no UTF-8", b"{\"response\": \"\xff\"}"),
        ("half an answer", br#"{"response": "my secret question"#),
    ],
};

const NATIVE_IN_PIECES: Case = Case {
    frame: |body| stream(body),
    kind: "text/event-stream",
    good: b"event: delta\ndata: {\"text\": \"h\"}\n\nevent: delta\ndata: {\"text\": \"i\"}\n\nevent: done\ndata: {\"confidence\": 0.5}\n\n",
    half: b"event: delta\ndata: {\"text\": \"h\"}\n\nevent: de",
    nonsense: &[
        ("no JSON", b"event: delta\ndata: my secret question\n\n"),
        ("another type", b"event: delta\ndata: {\"text\": [\"my secret question\"]}\n\n"),
        ("no end", b"event: delta\ndata: {\"text\": \"my secret question\"}\n\n"),
        ("another text", b"event: delta\ndata: {\"text\": \"hi\"}\n\nevent: done\ndata: {\"response\": \"my secret question\"}\n\n"),
        ("products that are no objects", b"event: done\ndata: {\"response\": \"hi\", \"products\": [\"my secret question\"]}\n\n"),
        ("no UTF-8", b"event: delta\ndata: {\"text\": \"\xff\"}\n\n"),
        ("an error", b"event: error\ndata: {\"code\": \"my secret question\"}\n\n"),
        ("nothing", b""),
    ],
    ..NATIVE
};

const OPENAI: Case = Case {
    config: openai,
    good: br#"{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}"#,
    half: br#"{"choices": [{"mess"#,
    nonsense: &[
        ("no JSON", b"<html>my secret question</html>"),
        ("no choice", br#"{"choices": []}"#),
        ("another type", br#"{"choices": [{"message": {"content": {"my": "secret question"}}}]}"#),
        ("an error", br#"{"error": {"code": "my secret question"}}"#),
        ("no UTF-8", b"{\"choices\": [{\"message\": {\"content\": \"\xff\"}}]}"),
        ("half an answer", br#"{"choices": [{"message": {"content": "my secret question"#),
    ],
    ..NATIVE
};

const OPENAI_IN_PIECES: Case = Case {
    config: openai,
    frame: |body| stream(body),
    kind: "text/event-stream",
    good: b"data: {\"choices\": [{\"delta\": {\"content\": \"h\"}}]}\n\ndata: {\"choices\": [{\"delta\": {\"content\": \"i\"}}]}\n\ndata: [DONE]\n\n",
    half: b"data: {\"choices\": [{\"delta\": {\"content\": \"h\"}}]}\n\ndata: {\"choi",
    nonsense: &[
        ("no JSON", b"data: my secret question\n\n"),
        ("no choice", b"data: {\"choices\": []}\n\ndata: [DONE]\n\n"),
        ("another type", b"data: {\"choices\": [{\"delta\": {\"content\": {\"my\": \"secret question\"}}}]}\n\n"),
        ("an error", b"data: {\"choices\": [{\"delta\": {\"content\": \"h\"}}]}\n\ndata: {\"error\": \"my secret question\"}\n\n"),
        ("no UTF-8", b"data: {\"choices\": [{\"delta\": {\"content\": \"\xff\"}}]}\n\n"),
        ("half an answer", b"data: {\"choices\": [{\"delta\": {\"content\": \"my secret question\"}}]}\n\n"),
    ],
};

async fn harness(case: Case) -> AiHarness {
    let good = Server::saying((case.frame)(case.good)).await;
    let (hanging, running) = hanging(case).await;
    let gateway = |server: &Server| Arc::new(ai((case.config)(&server.url())));
    let mut harness = AiHarness::new(gateway(&good));
    let mut servers = vec![good];
    for (how, body) in case.nonsense {
        let server = Server::saying((case.frame)(body)).await;
        harness = harness.malformed(how, gateway(&server));
        servers.push(server);
    }
    let hangs = gateway(&hanging);
    servers.push(hanging);
    harness.hanging(hangs, move || {
        // The servers live as long as the harness.
        let _ = &servers;
        running.load(Ordering::SeqCst)
    })
}

/// A server that stops in the middle of each answer, and how many callers it has now.
async fn hanging(case: Case) -> (Server, Arc<AtomicUsize>) {
    let running = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&running);
    let server = Server::start(move |_, mut peer| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            peer.write_all(&[&begin(case.kind), case.half].concat()).await.unwrap();
            if sees_close(&mut peer).await {
                count.fetch_sub(1, Ordering::SeqCst);
            }
        }
    });
    (server.await, running)
}

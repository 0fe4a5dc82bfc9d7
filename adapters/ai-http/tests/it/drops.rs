//! A dropped stream stops the upstream call, and an unpolled one never makes it.

use crate::server::{Server, read_request, sees_close};
use crate::support::{ai, ask, config, prompt};
use chatcore::port::AiGateway;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Sends `reply`, tells `asked`, and then whether the other side hangs up.
async fn server(reply: &'static str) -> (Server, mpsc::Receiver<bool>) {
    let (tell, told) = mpsc::channel(4);
    let server = Server::start(move |_, mut peer| {
        let tell = tell.clone();
        async move {
            peer.write_all(reply.as_bytes()).await.unwrap();
            tell.send(true).await.unwrap();
            tell.send(sees_close(&mut peer).await).await.unwrap();
        }
    });
    (server.await, told)
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection_whatever_came_so_far() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"response\": \"half of";
    let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"res\r\n";
    for reply in ["", "HTTP/1.1 200 OK\r\ncontent-", begun, chunk] {
        let (server, mut told) = server(reply).await;
        let mut chunks = ai(config(&server.url())).answer(prompt());
        let asked = async {
            told.recv().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        };
        if let Either::Left((chunk, _)) = select(chunks.next(), pin!(asked)).await {
            panic!("{chunk:?} from {reply:?}");
        }
        assert!(told.try_recv().is_err(), "the call is alive while the stream is");
        drop(chunks);
        assert_eq!(told.recv().await, Some(true), "the server sees the end of {reply:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_never_polled_connects_to_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ai = ai(config(&format!("http://{}/", listener.local_addr().unwrap())));
    drop(ai.answer(prompt()));
    let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(accepted.is_err(), "{accepted:?}");
}

#[tokio::test]
async fn a_whole_answer_leaves_its_connection_for_the_next_question() {
    let body = r#"{"response": "yes"}"#;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ai = ai(config(&format!("http://{}/", listener.local_addr().unwrap())));
    let serve = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            assert!(read_request(&mut peer).await);
            let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            peer.write_all(reply.as_bytes()).await.unwrap();
        }
    };
    let asking = async {
        for _ in 0..3 {
            assert_eq!(ask(&ai).await.unwrap().0, ["yes"]);
        }
    };
    let both = async { tokio::join!(serve, asking) };
    tokio::time::timeout(Duration::from_secs(5), both).await.expect("one connection served all three");
}

#[test]
fn each_runtime_keeps_a_connection_of_its_own() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (asking, other) = (runtime(), runtime());
    let served = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = served.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let ai = ai(config(&format!("http://{}/", listener.local_addr().unwrap())));
    let (accepted, counter) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let accepts = Arc::clone(&accepted);
    served.spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            accepts.fetch_add(1, Ordering::SeqCst);
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                while read_request(&mut peer).await {
                    let body = format!(r#"{{"response": "{}"}}"#, counter.fetch_add(1, Ordering::SeqCst));
                    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    peer.write_all(reply.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let on = |runtime: &tokio::runtime::Runtime| runtime.block_on(ask(&ai)).unwrap().0;
    // One on a connection of the other's runtime, which nobody runs meanwhile, would never be answered.
    for round in 0..3 {
        assert_eq!(on(&asking), [(2 * round).to_string()]);
        assert_eq!(on(&other), [(2 * round + 1).to_string()]);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2, "two runtimes, two connections");
    drop(asking);
    assert_eq!(on(&other), ["6"], "the end of one runtime is not the other's");
}

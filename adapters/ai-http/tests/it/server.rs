//! A server of raw bytes, for what no honest one would say.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Ends with the test.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    calls: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Reads each request whole and hands its connection to `reply`, with the number of the call from 0 on.
    pub(crate) async fn start<F>(reply: impl Fn(usize, TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::over(listener, reply)
    }

    pub(crate) fn over<F>(listener: TcpListener, reply: impl Fn(usize, TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (address, calls) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (reply, counter) = (Arc::new(reply), Arc::clone(&calls));
        let serve = async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                let (reply, counter) = (Arc::clone(&reply), Arc::clone(&counter));
                tokio::spawn(async move {
                    if read_request(&mut peer).await {
                        reply(counter.fetch_add(1, Ordering::SeqCst), peer).await;
                    }
                });
            }
        };
        Self { address, calls, task: tokio::spawn(serve) }
    }

    /// Says the same to every call, and closes.
    pub(crate) async fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes: Arc<[u8]> = bytes.into().into();
        Self::start(move |_, peer| say(peer, Arc::clone(&bytes))).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/chat", self.address)
    }

    /// How many requests came in whole.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes and closes. A peer that has hung up meanwhile is no fault of the server.
pub(crate) async fn say(mut peer: TcpStream, bytes: Arc<[u8]>) {
    let _ = peer.write_all(&bytes).await;
    let _ = peer.shutdown().await;
}

/// A reply of 200 with its length told.
pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    with_headers("content-type: application/json\r\n", body)
}

/// Events, and the end of the connection.
pub(crate) fn stream(events: impl AsRef<[u8]>) -> Vec<u8> {
    [&begin("text/event-stream; charset=utf-8"), events.as_ref()].concat()
}

/// What comes before a body of this type that ends with its connection.
pub(crate) fn begin(kind: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n").into_bytes()
}

pub(crate) fn with_headers(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Whether the other side closes the connection within two seconds.
pub(crate) async fn sees_close(peer: &mut TcpStream) -> bool {
    let gone = async { while !matches!(peer.read(&mut [0; 1024]).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(Duration::from_secs(2), gone).await.is_ok()
}

/// Whether a whole request came before the peer closed.
pub(crate) async fn read_request(peer: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if !matches!(peer.read_buf(&mut request).await, Ok(length) if length > 0) {
            return false;
        }
    }
    true
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

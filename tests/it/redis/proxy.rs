//! A wire between the server and Redis that can be cut after any byte of what Redis says.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Many connections, one budget of bytes.
#[derive(Clone)]
pub(crate) struct Wire {
    port: u16,
    /// How many bytes may pass before all is cut; negative for any number.
    left: Arc<AtomicI64>,
    cuts: watch::Sender<u64>,
}

impl Wire {
    /// A wire to this port.
    pub(crate) async fn to(redis: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire = Self { port, left: Arc::new(AtomicI64::new(-1)), cuts: watch::Sender::new(0) };
        let serving = wire.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", redis)).await else { continue };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                tokio::spawn(serving.clone().join(near, far));
            }
        });
        wire
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Lets so many bytes more of Redis through, and then cuts every connection.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// Whether it was cut since it was told to; from now on it is not.
    pub(crate) fn was_cut(&self) -> bool {
        self.left.swap(-1, Ordering::SeqCst) < 0
    }

    async fn join(self, near: TcpStream, far: TcpStream) {
        let mut cut = self.cuts.subscribe();
        let ((mut near_in, near_out), (far_in, mut far_out)) = (near.into_split(), far.into_split());
        let asked = tokio::spawn(async move { copy(&mut near_in, &mut far_out).await });
        let said = tokio::spawn(self.say(far_in, near_out));
        // Dropped with their sockets, whichever way they end.
        drop(cut.changed().await);
        asked.abort();
        said.abort();
    }

    async fn say(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let left = self.left.load(Ordering::SeqCst);
            let pass = if left < 0 { count } else { count.min(usize::try_from(left).unwrap_or(0)) };
            if to.write_all(&buffer[..pass]).await.is_err() {
                return;
            }
            if left >= 0 {
                self.left.fetch_sub(count as i64, Ordering::SeqCst);
                if pass < count {
                    self.left.store(-1, Ordering::SeqCst);
                    self.cuts.send_modify(|cuts| *cuts += 1);
                    return;
                }
            }
        }
    }
}

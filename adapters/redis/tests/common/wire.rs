//! A wire to Redis that can be cut after any byte of what Redis says, or held up behind a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Many connections, one budget of bytes.
#[derive(Clone)]
pub(crate) struct Wire {
    port: u16,
    /// How many bytes may pass before all is cut; negative for any number.
    left: Arc<AtomicI64>,
    cuts: watch::Sender<u64>,
    /// How often something was sent to Redis.
    sent: Arc<AtomicU64>,
    held: watch::Sender<Hold>,
    accepting: Option<AbortHandle>,
}

/// Whether what Redis says is held up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    No,
    /// From the answer on to a request with this word in it.
    Behind(&'static str),
    /// The same, and the request was sent.
    Next,
    Yes,
}

impl Wire {
    /// A wire to this port.
    pub(crate) async fn to(redis: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut wire = Self {
            port,
            left: Arc::new(AtomicI64::new(-1)),
            cuts: watch::Sender::new(0),
            sent: Arc::default(),
            held: watch::Sender::new(Hold::No),
            accepting: None,
        };
        let serving = wire.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", redis)).await else { continue };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                tokio::spawn(serving.clone().join(near, far));
            }
        });
        wire.accepting = Some(accepting.abort_handle());
        wire
    }

    /// Nobody is connected any more from now on.
    pub(crate) fn close(self) {
        self.accepting.inspect(AbortHandle::abort);
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How often something was sent to Redis: a round trip each, where each waits for the one before.
    pub(crate) fn trips(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Lets so many bytes more of Redis through, and then cuts every connection.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// Whether it was cut since it was told to; from now on it is not.
    pub(crate) fn was_cut(&self) -> bool {
        self.left.swap(-1, Ordering::SeqCst) < 0
    }

    /// Until it is.
    pub(crate) async fn is_cut(&self) {
        let mut cuts = self.cuts.subscribe();
        cuts.wait_for(|cuts| *cuts > 0).await.unwrap();
    }

    /// The next request with this word in it is the last to be answered: by Redis, but its answer stays on the way.
    pub(crate) fn hold_behind(&self, word: &'static str) {
        self.held.send_replace(Hold::Behind(word));
    }

    /// Until there is such an answer.
    pub(crate) async fn holds(&self) {
        self.held.subscribe().wait_for(|hold| *hold == Hold::Yes).await.unwrap();
    }

    /// What was held up goes on.
    pub(crate) fn let_go(&self) {
        self.held.send_replace(Hold::No);
    }

    async fn join(self, near: TcpStream, far: TcpStream) {
        let mut cut = self.cuts.subscribe();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let asked = tokio::spawn(self.clone().ask(near_in, far_out));
        let said = tokio::spawn(self.say(far_in, near_out));
        // Dropped with their sockets, whichever way they end.
        drop(cut.changed().await);
        asked.abort();
        said.abort();
    }

    async fn ask(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let asked = &buffer[..count];
            self.sent.fetch_add(1, Ordering::SeqCst);
            let is_it = |word: &str| asked.windows(word.len()).any(|part| part == word.as_bytes());
            self.held.send_if_modified(|hold| {
                let sent = matches!(*hold, Hold::Behind(word) if is_it(word));
                *hold = if sent { Hold::Next } else { *hold };
                sent
            });
            if to.write_all(asked).await.is_err() {
                return;
            }
        }
    }

    async fn say(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (mut buffer, mut held) = (vec![0; 16 * 1024], self.held.subscribe());
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            self.held.send_if_modified(|hold| {
                let answered = *hold == Hold::Next;
                *hold = if answered { Hold::Yes } else { *hold };
                answered
            });
            drop(held.wait_for(|hold| *hold != Hold::Yes).await);
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

//! How long a client may keep the server waiting, at any point of a connection.
//!
//! The framework limits the time for the first head of a connection, and how long it may be idle. Neither ends a client that
//! sends a later head byte by byte, goes on with a body that nobody reads, or does not read its answer. So each connection has
//! a watch beside it, which cuts it off when its client was waited for too long. Of an answer that comes bit by bit, with pauses,
//! that begins once the system has no room for more, which is seen with the next bit: after a heartbeat at the latest.

use crate::body::SharedBody;
use crate::one_by_one::Gate;
use crate::places::Place;
use crate::state::Stage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::rt::net::TcpStream;
use actix_web::rt::spawn;
use actix_web::web::Bytes;
use chatcore::port::Runtime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockRef, Socket};
use std::cell::{Cell, OnceCell, RefCell};
use std::error::Error;
use std::net::{IpAddr, Shutdown};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a client is waited for: from the first byte of its request until the head is there, then for the body, and until it has
/// taken the next piece of its answer. As long as nothing of a request has come this is on top of the time for which an idle
/// connection is kept: the framework ends it after that, and breaks nothing off.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the system waits for a client to say that it has what was sent to it. One that is away without a word would else be sent
/// heartbeats for a quarter of an hour. It is longer than it takes to cut off who is there and does not read: the system tells nobody.
#[cfg(target_os = "linux")]
const GONE: Duration = Duration::from_secs(60);
/// The pieces in which an answer goes out. Who takes less in the time above takes its answer too slowly.
const PIECE: usize = 32 << 10;
/// How much of an answer the framework holds at most before it takes no more of it.
const HELD: usize = 32 << 10;

/// A connection, and since when its client is waited for. It is among the data of the connection that requests carry.
#[derive(Debug)]
pub struct Connection {
    /// A second handle of the socket: the first is the framework's.
    socket: Socket,
    runtime: Arc<dyn Runtime>,
    /// How long it is kept without a request.
    keep_alive: Duration,
    /// When its client has taken too long, as the runtime's time; `None` while the server is at work for the client.
    cut_at: Cell<Option<Duration>>,
    /// While the system takes no more of an answer that comes bit by bit: how much of it has been handed over since.
    behind: Cell<Option<usize>>,
    /// Held until what was answered has gone out, where the server waits for that before it ends.
    awaited: RefCell<Option<watch::Receiver<Stage>>>,
    watch: OnceCell<JoinHandle<()>>,
    gate: Rc<Gate>,
    _place: Place,
}

impl Connection {
    /// Begins to watch a connection that has just come; `None` where it has no second handle any more, or there is no place for
    /// where it comes from.
    pub fn watched(
        stream: &TcpStream,
        runtime: &Arc<dyn Runtime>,
        keep_alive: Duration,
        place: impl FnOnce(IpAddr) -> Option<Place>,
    ) -> Option<Rc<Self>> {
        let place = place(stream.peer_addr().ok()?.ip())?;
        let stream = SockRef::from(stream);
        let socket = stream.try_clone().ok()?;
        #[cfg(target_os = "linux")]
        {
            let _ = stream.set_tcp_user_timeout(Some(GONE));
            // The system says that it has room when it has sent half of a piece, and not only when a third of its megabytes is free.
            let _ = stream.set_tcp_notsent_lowat(PIECE as u32);
        }
        let (cut_at, watch) = (Cell::new(Some(runtime.elapsed() + PATIENCE)), OnceCell::new());
        let (behind, awaited, gate) = (Cell::new(None), RefCell::default(), Rc::default());
        let runtime = runtime.clone();
        let connection =
            Rc::new(Self { socket, runtime, keep_alive, cut_at, behind, awaited, watch, gate, _place: place });
        let watching = watch_over(Rc::downgrade(&connection), connection.runtime.clone());
        let _ = connection.watch.set(spawn(watching));
        Some(connection)
    }

    /// What lets requests of it through.
    pub(crate) fn gate(&self) -> &Rc<Gate> {
        &self.gate
    }

    /// Begins to serve a request of it.
    #[must_use]
    pub fn serve(self: Rc<Self>) -> Served {
        self.is_served();
        self.gate.serve();
        Served { connection: self, is_last: false }
    }

    /// From now on the server is at work.
    fn is_served(&self) {
        self.cut_at.set(None);
        self.behind.set(None);
    }

    /// A piece of an answer is on its way. Of a client that is behind it is no sign that it reads, until so much was handed over
    /// that it must have taken some.
    fn is_sent(&self, length: usize) {
        let sent = self.behind.get().map(|before| before + length);
        if sent.is_some_and(|sent| sent < HELD + PIECE) {
            return self.behind.set(sent);
        }
        self.behind.set(sent.map(|_| 0));
        self.is_awaited(PATIENCE);
    }

    /// An answer goes on later. The client is waited for if the system has no room for what it has not taken yet.
    fn is_paused(&self) {
        if self.has_room() {
            self.is_served();
        } else if self.behind.get().is_none() {
            self.behind.set(Some(0));
            self.is_awaited(PATIENCE);
        }
    }

    fn has_room(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::OUT)];
        // What cannot be asked is taken for one that has.
        poll(&mut socket, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
    }

    /// None of its requests is served. The client is waited for: to take what there is no room for, to send the rest of a request
    /// that has begun or is the last, or to send another one, for which it has longer.
    pub(crate) fn awaits_request(&self) {
        self.behind.set(None);
        self.is_awaited(if self.gate.is_idle() { PATIENCE + self.keep_alive } else { PATIENCE });
    }

    /// The system has no room for all that was answered.
    pub(crate) fn has_no_room(&self) {
        if self.gate.fill(true) {
            self.has_taken_some();
        }
    }

    /// It has taken some of what it had no room for.
    pub(crate) fn has_taken_some(&self) {
        if self.gate.is_full() {
            self.is_awaited(PATIENCE);
        }
    }

    /// It has taken all.
    pub(crate) fn has_room_again(&self) {
        if !self.gate.is_serving() {
            self.awaited.take();
        }
        if self.gate.fill(false) {
            if self.gate.is_serving() { self.is_served() } else { self.awaits_request() }
        }
    }

    /// From now on the client is waited for, for so long.
    fn is_awaited(&self, patience: Duration) {
        self.cut_at.set(Some(self.runtime.elapsed() + patience));
    }

    /// How long its client may still take.
    fn left(&self) -> Duration {
        self.cut_at.get().map_or(PATIENCE, |at| at.saturating_sub(self.runtime.elapsed()))
    }

    /// What was not sent yet is forgotten: the system would keep it for minutes.
    fn cut_off(&self) {
        tracing::debug!("a client kept the server waiting for too long");
        let _ = self.socket.set_linger(Some(Duration::ZERO));
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.watch.get().into_iter().for_each(JoinHandle::abort);
    }
}

async fn watch_over(connection: Weak<Connection>, runtime: Arc<dyn Runtime>) {
    let mut left = PATIENCE;
    while !left.is_zero() {
        runtime.sleep(left.min(PATIENCE)).await;
        let Some(connection) = connection.upgrade() else { return };
        left = connection.left();
        // Nobody tells of a client that has caught up where nothing more is to be sent.
        if left.is_zero() && connection.behind.get().is_some() && connection.has_room() {
            connection.is_served();
            left = PATIENCE;
        }
        if left.is_zero() {
            connection.cut_off();
        }
    }
}

/// A request that is being served, until its answer has gone out. Then the client is waited for.
#[derive(Debug)]
pub struct Served {
    connection: Rc<Connection>,
    is_last: bool,
}

impl Served {
    /// What the server waits for before it ends is held until the answer has gone out.
    pub(crate) fn hold(&self, awaited: Option<watch::Receiver<Stage>>) {
        self.connection.awaited.replace(awaited);
    }

    /// What lets its body through.
    pub(crate) fn gate(&self) -> Rc<Gate> {
        self.connection.gate.clone()
    }

    /// After its answer the connection ends; what comes meanwhile is thrown away.
    pub fn is_last(&mut self) {
        self.is_last = true;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.connection.gate.served(self.is_last);
        self.connection.awaits_request();
    }
}

/// The body of an answer, which goes out piece by piece, so that it shows whether the client takes it.
#[derive(Debug)]
pub struct Sent {
    body: BoxBody,
    rest: Bytes,
    /// What its request has sent of a body that nobody reads to its end, as long as this is not sent.
    _unread: Option<SharedBody>,
    served: Option<Served>,
}

impl Sent {
    /// A body on its way to the client who is served.
    #[must_use]
    pub fn new(body: BoxBody, served: Option<Served>) -> Self {
        Self { body, rest: Bytes::new(), _unread: None, served }
    }

    /// The same, which holds the rest of its request's body until it is sent.
    #[must_use]
    pub(crate) fn beside(mut self, unread: Option<SharedBody>) -> Self {
        self._unread = unread;
        self
    }
}

impl MessageBody for Sent {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Box<dyn Error>>>> {
        while self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_next(context) {
                Poll::Ready(Some(Ok(next))) => self.rest = next,
                Poll::Ready(end) => return Poll::Ready(end),
                Poll::Pending => {
                    self.served.iter().for_each(|served| served.connection.is_paused());
                    return Poll::Pending;
                }
            }
        }
        let piece = PIECE.min(self.rest.len());
        self.served.iter().for_each(|served| served.connection.is_sent(piece));
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::places::Places;
    use actix_web::rt::net::TcpListener;
    use chatcore_ports::tokio::TokioRuntime;

    #[actix_web::test]
    async fn a_client_that_is_away_without_a_word_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
        let place = |address: IpAddr| Places::default().take(address.to_string(), 1);
        let connection = Connection::watched(&stream, &runtime, Duration::ZERO, place).unwrap();
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(GONE));
        drop(connection);
    }
}

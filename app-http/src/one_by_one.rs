//! Requests come one by one. A client may send more of them before it has its answer (RFC 9112, 9.3.2). The framework would read
//! all that are there while one is answered, at 7 kB each, and take what the last of them says of its connection, or that it is
//! a `HEAD`, for the first one's. So it is handed a head, then the body when that is waited for, and the next head once the answer
//! has gone out. What else has come stays where it is, mostly with the system, which lets the client wait.

use crate::connection::Connection;
use crate::framing::{Body, Head};
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much of a body is handed over at once. The framework would go on to read 128 KiB before it looks at any of it, and keep the
/// room for so much as long as the body comes; half of what it has room for at first makes it take no more.
const PIECE: usize = 4 * 1024;

/// What is read of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Wanted {
    /// The head of the next request.
    #[default]
    Head,
    /// The body of the one that is being served.
    Body,
    /// Nothing: one is being served.
    Nothing,
    /// What is thrown away: the connection ends.
    Rest,
}

/// Says what is read of a connection, to who reads it.
#[derive(Debug)]
pub(crate) struct Gate {
    wanted: Cell<Wanted>,
    head: Cell<Head>,
    body: Cell<Body>,
    /// Some of what was answered has no room with the system.
    is_full: Cell<bool>,
    /// Who was handed nothing, while there was more.
    waiting: RefCell<Option<Waker>>,
}

impl Default for Gate {
    fn default() -> Self {
        let (wanted, head, body) = (Cell::default(), Cell::default(), Cell::new(Body::Bytes(0)));
        Self { wanted, head, body, is_full: Cell::default(), waiting: RefCell::default() }
    }
}

impl Gate {
    /// A request is being served.
    pub(crate) fn serve(&self) {
        self.wanted.set(Wanted::Nothing);
    }

    /// It is no longer; another may come, unless it was the last.
    pub(crate) fn served(&self, is_last: bool) {
        self.want(if is_last { Wanted::Rest } else { Wanted::Head });
    }

    /// Whether one is being served.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.wanted.get(), Wanted::Nothing | Wanted::Body)
    }

    /// Whether nothing is left of the requests before, and nothing has come of the next one.
    pub(crate) fn is_idle(&self) -> bool {
        self.wanted.get() == Wanted::Head && !self.head.get().is_begun() && !self.is_full()
    }

    /// The one that is being served has this body.
    pub(crate) fn has_body(&self, body: Body) {
        self.body.set(body);
    }

    /// Somebody waits for the body.
    pub(crate) fn want_body(&self) {
        if self.wanted.get() == Wanted::Nothing && !self.body.get().is_over() {
            self.want(Wanted::Body);
        }
    }

    /// Whether answers have to wait until the client has read some; answers whether that is news.
    pub(crate) fn fill(&self, is_full: bool) -> bool {
        let was_full = self.is_full.replace(is_full);
        if was_full && !is_full {
            self.wake();
        }
        was_full != is_full
    }

    /// Whether they have to.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.get()
    }

    fn want(&self, wanted: Wanted) {
        self.wanted.set(wanted);
        self.wake();
    }

    fn wake(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// How much of what has come is handed over.
    fn take(&self, bytes: &[u8]) -> usize {
        match self.wanted.get() {
            Wanted::Head => {
                let mut head = self.head.get();
                let end = head.end(bytes);
                self.head.set(head);
                let Some(end) = end else { return bytes.len() };
                self.wanted.set(Wanted::Nothing);
                end
            }
            Wanted::Body => {
                let mut body = self.body.get();
                let taken = body.take(bytes);
                self.body.set(body);
                if body.is_over() {
                    self.wanted.set(Wanted::Nothing);
                }
                taken
            }
            Wanted::Nothing | Wanted::Rest => 0,
        }
    }
}

/// A connection, as the framework reads it.
#[derive(Debug)]
pub(crate) struct OneByOne {
    socket: TcpStream,
    connection: Rc<Connection>,
    /// What was read of the socket and is not handed over yet.
    rest: Bytes,
    /// How much of a body was handed over since the framework has looked at it.
    piece: usize,
}

impl OneByOne {
    /// The connection that this socket is of.
    pub(crate) fn new(socket: TcpStream, connection: Rc<Connection>) -> Self {
        Self { socket, connection, rest: Bytes::new(), piece: 0 }
    }

    /// What goes with each request of it.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Hands over what is wanted of what has come, at most so much.
    fn poll_wanted(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<()>> {
        let gate = self.connection.gate();
        let was_idle = gate.is_idle();
        if self.rest.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
            let read = &buffer.filled()[before..];
            let taken = gate.take(&read[..read.len().min(most)]);
            self.rest = Bytes::copy_from_slice(&read[taken..]);
            buffer.set_filled(before + taken);
        } else {
            let rest = &self.rest[..self.rest.len().min(buffer.remaining()).min(most)];
            let taken = gate.take(rest);
            buffer.put_slice(&self.rest.split_to(taken));
        }
        if was_idle && !gate.is_idle() && !gate.is_serving() {
            self.connection.awaits_request();
        }
        Poll::Ready(Ok(()))
    }

    /// The same of a body, and a pause after each piece.
    fn poll_body(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.piece >= PIECE {
            self.piece = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let handed = self.poll_wanted(context, buffer, PIECE - self.piece);
        self.piece = if handed.is_ready() { self.piece + buffer.filled().len() - before } else { 0 };
        handed
    }

    /// While nothing is handed over, it is seen that the client has gone, unless it has sent more before.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            let mut byte = [0];
            if ready!(self.socket.poll_peek(context, &mut ReadBuf::new(&mut byte)))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        self.connection.gate().waiting.replace(Some(context.waker().clone()));
        Poll::Pending
    }

    /// Throws away what comes, until the client has sent its last.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.rest.clear();
        let mut thrown = [0; 4096];
        loop {
            let mut thrown = ReadBuf::new(&mut thrown);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut thrown))?;
            if thrown.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for OneByOne {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let gate = this.connection.gate();
        match gate.wanted.get() {
            Wanted::Head if !gate.is_full() => this.poll_wanted(context, buffer, usize::MAX),
            Wanted::Body => this.poll_body(context, buffer),
            Wanted::Rest if !gate.is_full() => this.poll_rest(context),
            _ => this.poll_end(context),
        }
    }
}

impl AsyncWrite for OneByOne {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        if written.is_pending() {
            self.connection.has_no_room()
        } else {
            self.connection.has_taken_some()
        }
        written
    }

    /// Comes when all is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.has_room_again();
        Pin::new(&mut self.socket).poll_flush(context)
    }

    /// What has come is read away first: of a connection that is closed before that, the system breaks off what was answered.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
        let _ = self.poll_rest(context);
        Poll::Ready(Ok(()))
    }
}

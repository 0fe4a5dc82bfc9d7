//! Requests come one by one. A client may send more of them before it has its answer (RFC 9112, 9.3.2). The framework would read
//! all that are there while one is answered, at 7 kB each, and take what the last of them says of its connection, or that it is
//! a `HEAD`, for the first one's. So it is handed a head, then the body as it is waited for, and the next head after the answer.
//! What else has come stays where it is, mostly with the system, which lets the client wait.
//!
//! No HTTP is parsed for that. A head ends with an empty line. So does a body that comes in chunks; one may be in a chunk, too.
//! How long another body is, its request says.

use crate::connection::Connection;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The next request, up to the end of its head.
    #[default]
    Head,
    /// So many bytes of a body.
    Bytes(u64),
    /// What has come of a body, up to the next empty line.
    Piece,
    /// Nothing: a request is being served.
    Nothing,
    /// Whatever comes. It is thrown away, and the connection ends.
    All,
}

/// Says what is read of a connection, to who reads it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    wanted: Cell<Wanted>,
    /// What is wanted of the body as soon as somebody waits for it.
    body: Cell<Wanted>,
    /// Who found that nothing is wanted, while there was more.
    waiting: RefCell<Option<Waker>>,
}

impl Gate {
    /// From now on this is read.
    pub(crate) fn want(&self, wanted: Wanted) {
        self.wanted.set(wanted);
        if wanted != Wanted::Nothing {
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    /// The request that is being served has a body, of so many bytes or in chunks.
    pub(crate) fn has_body(&self, length: Option<u64>) {
        self.body.set(length.map_or(Wanted::Piece, Wanted::Bytes));
    }

    /// Somebody waits for the body.
    pub(crate) fn want_body(&self) {
        if self.wanted.get() == Wanted::Nothing {
            self.want(self.body.get());
            if self.body.get() != Wanted::Piece {
                self.body.set(Wanted::Nothing);
            }
        }
    }
}

/// A connection, as the framework reads it.
#[derive(Debug)]
pub(crate) struct OneByOne {
    socket: TcpStream,
    connection: Rc<Connection>,
    line: Line,
    /// What was read of the socket and is not handed over yet.
    rest: Bytes,
}

impl OneByOne {
    /// The connection that this socket is of.
    pub(crate) fn new(socket: TcpStream, connection: Rc<Connection>) -> Self {
        Self { socket, connection, line: Line::default(), rest: Bytes::new() }
    }

    /// What goes with each request of it.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// How much of what has come is handed over.
    fn next(&mut self, bytes: &[u8]) -> usize {
        let gate = self.connection.gate();
        match gate.wanted.get() {
            Wanted::All => bytes.len(),
            Wanted::Nothing => 0,
            Wanted::Bytes(left) => {
                let next = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - next as u64;
                gate.want(if left == 0 { Wanted::Nothing } else { Wanted::Bytes(left) });
                next
            }
            wanted @ (Wanted::Head | Wanted::Piece) => {
                let end = self.line.end(bytes);
                // The next piece follows when somebody waits for it, so that it is known whether this one was the last.
                if end.is_some() || wanted == Wanted::Piece {
                    gate.want(Wanted::Nothing);
                }
                end.unwrap_or(bytes.len())
            }
        }
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
}

impl AsyncRead for OneByOne {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.gate().wanted.get() == Wanted::Nothing {
            return this.poll_end(context);
        }
        if this.rest.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
            let read = &buffer.filled()[before..];
            let next = this.next(read);
            this.rest = Bytes::copy_from_slice(&read[next..]);
            buffer.set_filled(before + next);
        } else {
            let rest = this.rest.slice(..this.rest.len().min(buffer.remaining()));
            let next = this.next(&rest);
            buffer.put_slice(&this.rest.split_to(next));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for OneByOne {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Where in a line one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    /// Behind an empty one, or several, where nothing came yet.
    #[default]
    None,
    /// In one that is not empty.
    Within,
    /// At the beginning of one that follows one that was not empty.
    Begin,
    /// There, behind a carriage return.
    Return,
}

impl Line {
    /// Goes on to the end of the first empty line, and says where that is; the end of all where there is none.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            *self = match (*self, byte) {
                (Self::Begin | Self::Return, b'\n') => {
                    *self = Self::None;
                    return Some(at + 1);
                }
                (Self::None, b'\r' | b'\n') => Self::None,
                (Self::Within, b'\n') => Self::Begin,
                (Self::Begin, b'\r') => Self::Return,
                _ => Self::Within,
            };
        }
        None
    }
}

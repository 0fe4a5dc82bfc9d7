//! The HTTP server: its sockets, how the framework serves a connection, and what stands around the routes.

use crate::around::around;
use crate::connection::Connection;
use crate::one_by_one::OneByOne;
use crate::routes;
use crate::settings;
use crate::state::State;
use actix_cors::Cors;
use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::GracefulShutdownSignal;
use actix_service::{ServiceFactoryExt, map_config};
use actix_web::App;
use actix_web::dev::{AppConfig, Server, ServiceFactory, fn_service};
use actix_web::http::header::HeaderName;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use socket2::{Domain, Socket, Type};
#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

/// How long answers may take to go out, in seconds, once the server takes no more requests.
const LAST_ANSWERS: u64 = 1;
/// How long the first head of a connection may take to come.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a client may take to end its side of a connection that the server has ended.
const END_TIME: Duration = Duration::from_secs(1);
/// How many connections wait at most until a worker has room for them.
const BACKLOG: i32 = 1024;
/// What the system lets through to a port that is closed: `BPF_RET | BPF_K` with 0 bytes, nothing.
#[cfg(target_os = "linux")]
const NOTHING: [SockFilter; 1] = [SockFilter::new(6, 0, 0, 0)];

/// A port that connections come in by.
#[derive(Debug)]
pub struct Door {
    port: u16,
    /// Second handles; the first are the framework's.
    listeners: Vec<TcpListener>,
}

impl Door {
    /// Its number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets nobody else in, while the server goes on to take those who are in. A listener that is just closed resets who waits to be
    /// taken, and their requests with them. So the system is to drop what comes for a new connection, whose client tries again after
    /// a second: then there is the next server, or none. Where it can't be told so, who comes is taken, and sent elsewhere.
    pub fn close(self) {
        #[cfg(target_os = "linux")]
        self.listeners.iter().for_each(|listener| drop(SockRef::from(listener).attach_filter(&NOTHING)));
    }
}

/// Opens the port; connections wait until the server is run.
///
/// # Errors
/// The address cannot be listened on.
pub fn listen(settings: &settings::Server, state: Data<State>) -> io::Result<(Server, Door)> {
    let listeners = listeners(&settings.host, settings.port)?;
    let port = match listeners.first() {
        Some(listener) => listener.local_addr()?.port(),
        None => settings.port,
    };
    let door = Door { port, listeners: listeners.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()? };
    let workers = settings.workers.unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get));
    let mut server = Server::build()
        .disable_signals()
        .shutdown_timeout(LAST_ANSWERS)
        .workers(workers)
        .max_concurrent_connections(state.room.div_ceil(workers));
    let (settings, ending) = (settings.clone(), server.graceful_shutdown_signal());
    let service = move || service(&settings, state.clone(), ending.clone());
    for listener in listeners {
        server = server.listen("http", listener, service.clone())?;
    }
    Ok((server.run(), door))
}

/// One for each address that the name of a host stands for, as far as they can be listened on; at least one.
fn listeners(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let (mut listeners, mut failure) = (Vec::new(), io::Error::from(io::ErrorKind::AddrNotAvailable));
    for address in (host, port).to_socket_addrs()? {
        match listener(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) => failure = error,
        }
    }
    if listeners.is_empty() { Err(failure) } else { Ok(listeners) }
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Its port is free again as soon as the server before it has ended. Elsewhere that would let two have it at once.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What a worker does with a connection.
fn service(
    settings: &settings::Server,
    state: Data<State>,
    ending: GracefulShutdownSignal,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<> {
    let app = App::new()
        .app_data(state.clone())
        .configure(routes::configure)
        .wrap(NormalizePath::trim())
        .wrap(cors(settings.origins.as_deref()))
        .wrap(from_fn(around));
    let app = map_config(app, |()| AppConfig::default()).map_err(|error| error.error_response());
    let http = HttpService::build()
        .keep_alive(settings.keep_alive)
        .client_request_timeout(HEAD_TIME)
        .client_disconnect_timeout(END_TIME)
        .graceful_shutdown_signal(move || {
            let ending = ending.clone();
            async move { ending.notified().await }
        })
        .on_connect_ext(|stream: &OneByOne, data| drop(data.insert(stream.connection().clone())))
        .h1(app);
    let keep_alive = settings.keep_alive;
    fn_service(move |socket| ready(accepted(socket, &state, keep_alive))).and_then(http)
}

/// A connection that has just come. One without a place is closed.
fn accepted(
    socket: TcpStream,
    state: &State,
    keep_alive: Duration,
) -> Result<(OneByOne, Option<SocketAddr>), DispatchError> {
    // Each piece of an answer goes out as it comes, although the one before was not acknowledged yet.
    let _ = socket.set_nodelay(true);
    let peer = socket.peer_addr()?;
    let connection = Connection::watched(&socket, &state.runtime, keep_alive, |peer| state.place(peer));
    let connection = connection.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
    Ok((OneByOne::new(socket, connection), Some(peer)))
}

/// Headers of answers that a page of another origin may read.
const EXPOSED: [HeaderName; 7] = [
    HeaderName::from_static("idempotency-replayed"),
    HeaderName::from_static("link"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("retry-after"),
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-request-id"),
];

/// `None` is any origin. Credentials are never allowed: a token is in a header that pages set themselves.
fn cors(origins: Option<&[String]>) -> Cors {
    let cors = Cors::default().allowed_methods(["GET", "POST", "DELETE"]).allow_any_header().expose_headers(EXPOSED);
    let cors = cors.max_age(600);
    match origins {
        None => cors.allow_any_origin().send_wildcard(),
        Some(origins) => origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}

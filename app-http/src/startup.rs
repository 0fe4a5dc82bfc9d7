//! The HTTP server: its state, what stands around its routes, and its listener.

use crate::address::{self, is_trusted};
use crate::around::around;
use crate::compose::{Dependency, Parts};
use crate::connection::{Connection, Refused};
use crate::places::{Place, Places};
use crate::problem::{Kind, Problem};
use crate::settings::{self, Settings};
use crate::{measured, open_files, openapi, routes};
use actix_cors::Cors;
use actix_web::dev::Server;
use actix_web::http::header::HeaderName;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpServer};
use app_kit::metrics::Metrics;
use chatcore::ChatService;
use chatcore::chat::OnBusy;
use chatcore::guests::GuestGate;
use chatcore::login::LoginService;
use chatcore::port::Runtime;
use ipnet::IpNet;
use std::io;
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::watch;

/// How long answers may take to go out, in seconds, once the server takes no more requests.
const LAST_ANSWERS: u64 = 1;
/// How long the first head of a connection may take to come.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How far the end of a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It serves.
    Serving,
    /// It serves still, but tells everybody to go elsewhere.
    Leaving,
    /// It takes no more work.
    Stopping,
    /// Its turns have ended. Who has come is answered, who comes now has to go elsewhere.
    Drained,
}

/// What every handler may use.
#[derive(Debug)]
pub struct State {
    /// The chat.
    pub chat: ChatService,
    /// Logins and tokens.
    pub login: LoginService,
    /// What guests may do; `None` where there are none.
    pub guests: Option<GuestGate>,
    /// Proxies that are believed where a request comes from.
    pub trusted: Vec<IpNet>,
    /// What health reports tell of.
    pub dependencies: Arc<[Dependency]>,
    /// The numbers; `None` where another gathers them.
    pub metrics: Option<Metrics>,
    /// Time and ids.
    pub runtime: Arc<dyn Runtime>,
    /// What the program is called.
    pub name: String,
    /// Which version it is.
    pub version: String,
    /// The longest body, in bytes.
    pub max_body: usize,
    /// What the API is, in OpenAPI.
    pub document: Bytes,
    /// What a message does while another of its session is being answered, unless it says so itself.
    pub on_busy: OnBusy,
    /// How many connections there may be at once.
    pub room: usize,
    /// Those that there are, by where they come from.
    pub connections: Places,
    /// In which minute, counted from 1, it was told last that one was refused.
    pub told_refused: AtomicU64,
    /// Streams that somebody reads along, by whose they are and by where they go.
    pub streams: Places,
    /// How far its end is. Each request that is to be answered before that holds a receiver.
    pub stage: watch::Sender<Stage>,
}

impl State {
    /// Whether whoever is served should go elsewhere next time.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        *self.stage.borrow() != Stage::Serving
    }

    /// What a request holds that is to be answered before the end; `None` for one that comes too late.
    #[must_use]
    pub fn awaited(&self) -> Option<watch::Receiver<Stage>> {
        let stage = self.stage.subscribe();
        self.check_open().is_ok().then_some(stage)
    }

    /// Looks whether work that comes now is done.
    ///
    /// # Errors
    /// It has to go elsewhere.
    pub fn check_open(&self) -> Result<(), Problem> {
        if *self.stage.borrow() == Stage::Drained { Err(Problem::new(Kind::Stopping)) } else { Ok(()) }
    }

    /// How many connections, and streams, one address may have. The rest is for others, and for those who look whether the
    /// server is well.
    #[must_use]
    pub fn share(&self) -> usize {
        self.room.div_ceil(2)
    }

    /// A place for a connection from there, if there is one. A proxy brings everybody's.
    fn place(&self, peer: IpAddr) -> Option<Place> {
        let most = if is_trusted(&peer, &self.trusted) { usize::MAX } else { self.share() };
        let place = self.connections.take(address::name(peer), most);
        if place.is_none() {
            measured::connection_refused();
            let minute = self.runtime.elapsed().as_secs() / 60 + 1;
            if self.told_refused.swap(minute, Ordering::Relaxed) != minute {
                tracing::warn!(%peer, most, "connections of an address are closed as they come; is it a proxy for TRUSTED_PROXIES?");
            }
        }
        place
    }

    /// The state of a server over these parts.
    #[must_use]
    pub fn new(parts: Parts, settings: &Settings) -> Self {
        let Parts { chat, login, guests, dependencies, runtime, .. } = parts;
        let settings::Server { name, version, max_body, max_connections, trusted, .. } = settings.server.clone();
        let (metrics, stage) = (Metrics::of_process(), watch::Sender::new(Stage::Serving));
        Self {
            chat,
            login,
            guests,
            trusted,
            dependencies,
            metrics,
            runtime,
            name,
            version,
            max_body,
            document: openapi::json(settings).into(),
            on_busy: settings.chat.on_busy,
            room: open_files::connections(max_connections),
            connections: Places::default(),
            told_refused: AtomicU64::new(0),
            streams: Places::default(),
            stage,
        }
    }
}

/// Opens the port; connections wait until the server is run. Answers which port it is.
///
/// # Errors
/// The address cannot be listened on.
pub fn listen(settings: &settings::Server, state: Data<State>) -> io::Result<(Server, u16)> {
    let (origins, keep_alive, room, of_all) =
        (settings.origins.clone(), settings.keep_alive, state.room, state.clone());
    let factory = move || {
        App::new()
            .app_data(state.clone())
            .configure(routes::configure)
            .wrap(NormalizePath::trim())
            .wrap(cors(origins.as_deref()))
            .wrap(from_fn(around))
    };
    let workers = settings.workers.unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get));
    let server = HttpServer::new(factory)
        .disable_signals()
        .shutdown_timeout(LAST_ANSWERS)
        .client_request_timeout(HEAD_TIME)
        // Each piece of an answer goes out as it comes, although the one before was not acknowledged yet.
        .tcp_nodelay(true)
        .keep_alive(keep_alive)
        .workers(workers)
        .max_connections(room.div_ceil(workers))
        .on_connect(move |io, data| {
            match Connection::watched(io, &of_all.runtime, keep_alive, |peer| of_all.place(peer)) {
                Some(connection) => drop(data.insert(connection)),
                None => _ = data.insert(Refused),
            }
        })
        .bind((settings.host.as_str(), settings.port))?;
    let port = server.addrs().first().map_or(settings.port, std::net::SocketAddr::port);
    Ok((server.run(), port))
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

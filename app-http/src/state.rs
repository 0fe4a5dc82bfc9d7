//! What every request may use, and how far the server's end is.

use crate::address::{self, is_trusted};
use crate::compose::{Dependency, Parts};
use crate::places::{Place, Places};
use crate::problem::{Kind, Problem};
use crate::settings::{self, Settings};
use crate::{measured, open_files, openapi};
use actix_web::web::Bytes;
use app_kit::metrics::Metrics;
use chatcore::ChatService;
use chatcore::chat::OnBusy;
use chatcore::guests::GuestGate;
use chatcore::login::LoginService;
use chatcore::port::Runtime;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

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
    pub(crate) fn place(&self, peer: IpAddr) -> Option<Place> {
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

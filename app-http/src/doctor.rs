//! `app-http doctor`: looks at all that the server needs, and says what to mend.

use crate::compose::{self, Dependency};
use crate::secret_file;
use crate::settings::Settings;
use app_kit::compose::unusable_file;
use app_kit::probing::Found::{self, Degraded, Healthy, Unhealthy};
use app_kit::settings::{StoreKind, of_dependency};
use chatcore::port::Health;
use futures_util::future::{OptionFuture, join3};
use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;

/// Looks, and writes a line for each thing; whether all of it is well.
///
/// # Errors
/// Nothing can be written.
pub async fn examine(settings: &Settings, out: &mut impl Write) -> io::Result<bool> {
    let told = settings.warnings.iter().map(|warning| Finding::new("settings", Degraded, warning));
    let mut findings: Vec<Finding> = told.collect();
    if findings.is_empty() {
        findings.push(Finding::new("settings", Healthy, "no fault, no warning"));
    }
    findings.push(port(settings));
    if let Err(error) = compose::users(&settings.logins) {
        findings.push(Finding::new("users", Unhealthy, format!("{error}; see USERS_FILE")));
    }
    if let Err(error) = kept_secret(settings) {
        let told = format!("{error}; see DATA_DIR, or give JWT_SECRET_KEY");
        findings.push(Finding::new("secret", Unhealthy, told));
    }
    let store = async {
        match unmade(settings) {
            Some(finding) => vec![finding],
            None => store(settings).await,
        }
    };
    let bus = OptionFuture::from(compose::bus_alone(settings).map(|bus| part("kafka", bus)));
    let (store, bus, ai) = join3(store, bus, part("ai", compose::ai_alone(settings))).await;
    findings.extend(store.into_iter().chain(bus).chain([ai]));
    findings.iter().try_for_each(|finding| writeln!(out, "{:6} {}: {}", finding.word(), finding.what, finding.said))?;
    Ok(findings.iter().all(|finding| finding.found.serves()))
}

/// Whether the secret that was made up once, and is kept beside the sessions, can be used.
fn kept_secret(settings: &Settings) -> io::Result<()> {
    let is_in_file = settings.logins.secret.is_none() && settings.store.kind == StoreKind::Sqlite;
    if is_in_file { secret_file::check(&settings.store.data_dir) } else { Ok(()) }
}

/// The file of a first start, which is not made for a look; `None` where there is one, or none is needed.
fn unmade(settings: &Settings) -> Option<Finding> {
    let file = settings.store.file();
    if settings.store.kind != StoreKind::Sqlite || file.exists() {
        return None;
    }
    Some(match unusable_file(&settings.store) {
        None => Finding::new("sqlite", Healthy, format!("{} is made at the first start", file.display())),
        Some(why) => Finding::new("sqlite", Unhealthy, why),
    })
}

/// The store, and what waits in it.
async fn store(settings: &Settings) -> Vec<Finding> {
    let name = match settings.store.kind {
        StoreKind::Sqlite => "sqlite",
        StoreKind::Memory => "memory",
        StoreKind::Redis => "redis",
    };
    match compose::store_alone(settings).await {
        Ok((store, outbox)) => {
            let looked_at = part(name, Ok(store)).await;
            let backlog = outbox.backlog().await;
            let held =
                backlog.map(|backlog| Finding::new("outbox", Healthy, format!("holds {} events", backlog.events)));
            [looked_at].into_iter().chain(held.ok()).collect()
        }
        Err(error) => vec![Finding::new(name, Unhealthy, error.to_string())],
    }
}

/// Something that could be opened, or why not.
async fn part(name: &'static str, opened: Result<Dependency, Box<dyn Error + Send + Sync>>) -> Finding {
    match opened {
        Ok(opened) => dependency(&opened).await,
        Err(error) => Finding::new(name, Unhealthy, format!("{error}; see {}", of_dependency(name))),
    }
}

/// What was found.
struct Finding {
    what: &'static str,
    /// `Degraded` for what is not wrong but should be looked at.
    found: Found,
    said: String,
}

impl Finding {
    fn new(what: &'static str, found: Found, said: impl Into<String>) -> Self {
        Self { what, found, said: said.into() }
    }

    fn word(&self) -> &'static str {
        match self.found {
            Found::Healthy => "ok",
            Found::Degraded => "look",
            Found::Unhealthy => "MEND",
        }
    }
}

/// Whether the server could listen. One that runs here already is no fault.
fn port(settings: &Settings) -> Finding {
    let address = format!("{}:{}", settings.server.host, settings.server.port);
    match TcpListener::bind(&address) {
        Ok(_) => Finding::new("port", Healthy, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Finding::new("port", Degraded, format!("{address} is taken: by this server, or choose another PORT"))
        }
        Err(error) => {
            Finding::new("port", Unhealthy, format!("{address} cannot be listened on: {error}; see HOST and PORT"))
        }
    }
}

async fn dependency(Dependency { probe, required }: &Dependency) -> Finding {
    let meanwhile = match (required, probe.name()) {
        (true, _) => "nothing works without it",
        (false, "kafka") => "messages are answered meanwhile, and their events wait",
        (false, _) => "messages are answered with AI_FALLBACK_MESSAGE meanwhile",
    };
    match probe.check().await {
        // An AI is not asked anything: that may cost money.
        Ok(Health::Well) if probe.name() == "ai" => Finding::new("ai", Healthy, "can be reached; it was asked nothing"),
        Ok(Health::Well) => Finding::new(probe.name(), Healthy, "answers"),
        Ok(Health::Partly(what)) => Finding::new(probe.name(), Degraded, format!("a part of it is away: {what}")),
        Err(error) => {
            let source = &error.source;
            Finding::new(probe.name(), Unhealthy, format!("{source}; see {}; {meanwhile}", of_dependency(probe.name())))
        }
    }
}

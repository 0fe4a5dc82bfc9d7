//! `app-http doctor`: looks at all that the server needs, and says what to mend.

use crate::compose::{self, Dependency};
use crate::settings::Settings;
use crate::{open_files, secret_file};
use app_kit::compose::unusable_file;
use app_kit::probing::Found::{self, Degraded, Healthy, Unhealthy};
use app_kit::settings::{StoreKind, of_dependency};
use app_kit::warnings::{Warning, Warnings};
use chatcore::policy::{OutboxFull, StoreLimits};
use chatcore::port::Health;
use futures_util::future::{OptionFuture, join3};
use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::time::Duration;

/// An event that has waited for so long is told. Most are on Kafka within a second.
const OLD: Duration = Duration::from_secs(60);

/// Looks, and writes a line for each thing; whether all of it is well. What parts warn of is gathered meanwhile.
///
/// # Errors
/// Nothing can be written.
pub async fn examine(settings: &Settings, warnings: &Warnings, out: &mut impl Write) -> io::Result<bool> {
    let users = compose::users(&settings.logins);
    // As at a start: there may be fewer than are wanted.
    let _ = open_files::connections(settings.server.max_connections);
    let told = settings.warnings.iter().map(|warning| Finding::new("settings", Degraded, warning));
    let mut findings: Vec<Finding> = told.chain(warnings.take().into_iter().map(Finding::from)).collect();
    if findings.is_empty() {
        findings.push(Finding::new("settings", Healthy, "no fault, no warning"));
    }
    findings.push(port(settings));
    if let Err(error) = users {
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
    for warning in warnings.take() {
        // What is to be mended has said so.
        if !findings.iter().any(|finding| finding.what == warning.of && finding.found == Unhealthy) {
            findings.push(warning.into());
        }
    }
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
        Ok((store, outbox, runtime)) => {
            let looked_at = part(name, Ok(store)).await;
            let waits = outbox.backlog().await.ok();
            let held = waits.map(|it| held(it.events, it.age(runtime.now()), &settings.store.limits));
            [looked_at].into_iter().chain(held).collect()
        }
        Err(error) => vec![Finding::new(name, Unhealthy, error.to_string())],
    }
}

/// What the outbox holds. In front of Kafka that should be little, and not old; a log holds what it has room for.
fn held(events: u64, age: Duration, limits: &StoreLimits) -> Finding {
    let (waits, most) = (limits.outbox_full == OutboxFull::Refuse, limits.outbox_events);
    let told = format!("holds {events} events");
    let since = format!("the oldest has waited for {} s", age.as_secs());
    if waits && events >= most {
        let then = "messages are refused until Kafka takes some; see KAFKA_BOOTSTRAP_SERVERS, RELAY, OUTBOX_MAX";
        return Finding::new("outbox", Unhealthy, format!("is full: {told}, {since}, and {then}"));
    }
    if waits && age > OLD {
        let then = format!("Kafka takes none, or nothing relays; at {most} messages are refused");
        return Finding::new("outbox", Degraded, format!("{told}, and {since}: {then}; see RELAY, OUTBOX_MAX"));
    }
    Finding::new("outbox", Healthy, told)
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

impl From<Warning> for Finding {
    fn from(Warning { of, said }: Warning) -> Self {
        Self::new(of, Degraded, said)
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
        Ok(Health::Partly(what)) => Finding::new(probe.name(), Degraded, format!("not all of it is there: {what}")),
        Err(error) => {
            let source = &error.source;
            Finding::new(probe.name(), Unhealthy, format!("{source}; see {}; {meanwhile}", of_dependency(probe.name())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_that_is_full_is_to_be_mended_and_one_with_an_old_event_to_be_looked_at() {
        let of = |events, age, outbox_full| {
            let mut limits = StoreLimits::default();
            (limits.outbox_events, limits.outbox_full) = (10, outbox_full);
            let Finding { found, said, .. } = held(events, Duration::from_secs(age), &limits);
            (found, said.contains(&format!("waited for {age} s")))
        };
        for (events, age, found) in [(0, 0, Healthy), (9, 60, Healthy), (1, 61, Degraded), (10, 1, Unhealthy)] {
            assert_eq!(of(events, age, OutboxFull::Refuse), (found, found != Healthy), "{events} events, {age} s");
            // A log that is as full as it may be is as it should be.
            assert_eq!(of(events, age, OutboxFull::DropOldest), (Healthy, false), "{events} events, {age} s");
        }
    }
}

//! What is done with events, with what each handler needs to be told.

use crate::handlers::{Address, Archive, ArchiveConfig, WebhookConfig};
use app_kit::settings::parse::{self, Parsed};
use app_kit::settings::{Reader, Secret, table as t};
use reqwest::Url;

/// The handlers that there are.
#[derive(Debug, Clone)]
pub enum HandlerKind {
    /// A line on stdout.
    Log,
    /// Counters on `/metrics`.
    Counters,
    /// Files of JSON lines.
    Archive(ArchiveConfig),
    /// A signed POST.
    Webhook(WebhookConfig),
    /// Documents in MongoDB.
    MongoDb(MongoDbPlace),
}

/// Where documents are kept.
#[derive(Debug, Clone)]
pub struct MongoDbPlace {
    /// The address, with what logs in.
    pub uri: Secret,
    /// The database.
    pub database: String,
}

impl HandlerKind {
    /// What a build says that does not have all of them.
    pub(crate) const NO_MONGODB: &str = "this build has no handler mongodb: build app-worker with --features mongodb";

    /// As `WORKER_HANDLERS` calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Counters => "counters",
            Self::Archive(_) => "archive",
            Self::Webhook(_) => "webhook",
            Self::MongoDb(_) => "mongodb",
        }
    }

    /// All that were chosen, in their order. Whatever a handler needs is checked wherever it is given, chosen or not.
    pub(super) fn read(reader: &mut Reader, is_on_kafka: bool) -> Option<Vec<Self>> {
        let names = reader.get(&t::WORKER_HANDLERS, names);
        let wants = |name| names.iter().flatten().any(|chosen| chosen == name);
        let archive = archive(reader, wants("archive"));
        if is_on_kafka && wants("archive") {
            archived_topics(reader);
        }
        let webhook = webhook(reader, wants("webhook"));
        let mongodb = mongodb(reader, wants("mongodb"));
        let (archive, webhook, mongodb) = (archive?, webhook?, mongodb?);
        let kind = |name: &String| match name.as_str() {
            "log" => Some(Self::Log),
            "counters" => Some(Self::Counters),
            "archive" => archive.clone().map(Self::Archive),
            "webhook" => webhook.clone().map(Self::Webhook),
            _ => mongodb.clone().map(Self::MongoDb),
        };
        names.as_ref()?.iter().map(kind).collect()
    }

    /// What should be looked at.
    pub(super) fn warning(&self) -> Option<String> {
        let Self::Webhook(config) = self else { return None };
        config.secret.weakness().map(|weakness| format!("WEBHOOK_SECRET {weakness}: others may guess it and sign too"))
    }
}

fn archive(reader: &mut Reader, wanted: bool) -> Option<Option<ArchiveConfig>> {
    let dir = reader.optional(&t::ARCHIVE_DIR, parse::path);
    let max_bytes = reader.get(&t::ARCHIVE_MAX_BYTES, parse::bytes);
    if wanted && dir == Some(None) {
        reader.fault(&t::ARCHIVE_DIR, "is missing; the handler archive needs it");
    }
    let (dir, max_bytes) = (dir?, max_bytes? as u64);
    Some(dir.map(|dir| ArchiveConfig { dir, max_bytes }))
}

/// Kafka takes longer names than files can be called by: each event would be a dead letter.
fn archived_topics(reader: &mut Reader) {
    for spec in [&t::KAFKA_TOPIC_CHAT_REQUESTS, &t::KAFKA_TOPIC_CHAT_RESPONSES, &t::KAFKA_TOPIC_CHAT_SESSIONS] {
        if reader.seen(spec, parse::text).is_some_and(|topic| topic.len() > Archive::LONGEST_TOPIC) {
            let longest = Archive::LONGEST_TOPIC;
            reader.fault(
                spec,
                format!("is too long for the handler archive, whose files are called by it: {longest} at most"),
            );
        }
    }
}

fn webhook(reader: &mut Reader, wanted: bool) -> Option<Option<WebhookConfig>> {
    let url = reader.optional(&t::WEBHOOK_URL, url);
    let secret = reader.optional(&t::WEBHOOK_SECRET, |text| Ok(Secret::new(text)));
    if wanted && url == Some(None) {
        reader.fault(&t::WEBHOOK_URL, "is missing; the handler webhook needs it");
    }
    if wanted && secret == Some(None) {
        reader.fault(&t::WEBHOOK_SECRET, "is missing; the handler webhook needs it");
    }
    Some(url?.zip(secret?).map(|(url, secret)| WebhookConfig { url, secret }))
}

fn mongodb(reader: &mut Reader, wanted: bool) -> Option<Option<MongoDbPlace>> {
    let uri = reader.optional(&t::MONGODB_URI, mongodb_uri);
    let database = reader.get(&t::MONGODB_DATABASE, mongodb_database);
    if wanted && !cfg!(feature = "mongodb") {
        reader.fault(&t::WORKER_HANDLERS, HandlerKind::NO_MONGODB);
    }
    if wanted && uri == Some(None) {
        reader.fault(&t::MONGODB_URI, "is missing; the handler mongodb needs it");
    }
    let (uri, database) = (uri?, database?);
    Some(uri.map(|uri| MongoDbPlace { uri, database }))
}

/// The adapter looks closer.
fn mongodb_uri(text: &str) -> Parsed<Secret> {
    let good = text.strip_prefix("mongodb://").is_some_and(|rest| !rest.is_empty());
    good.then(|| Secret::new(text)).ok_or("like mongodb://user:password@host:27017; mongodb+srv:// is not known here")
}

fn mongodb_database(text: &str) -> Parsed<String> {
    let good = |letter: char| !letter.is_control() && !r#"/\. "$*<>:|?"#.contains(letter);
    let named = (1..64).contains(&text.len()) && text.chars().all(good);
    named.then(|| text.to_owned()).ok_or(r#"1 to 63 bytes, without spaces and /\."$*<>:|?"#)
}

fn url(text: &str) -> Parsed<Address> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
    url.map(Address).ok_or("a URL of http or https, without user and password")
}

/// Names, each once; `none` for none.
fn names(text: &str) -> Parsed<Vec<String>> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    let rule = "none, or some of log, counters, archive, webhook, mongodb, each once and with commas between";
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(|name| name.trim().to_lowercase()) {
        let known = matches!(name.as_str(), "log" | "counters" | "archive" | "webhook" | "mongodb");
        if !known || names.contains(&name) {
            return Err(rule);
        }
        names.push(name);
    }
    Ok(names)
}

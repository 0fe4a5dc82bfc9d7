//! What is done with events, with what each handler needs to be told.

use crate::handlers::{ArchiveConfig, WebhookConfig};
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
}

impl HandlerKind {
    /// As `WORKER_HANDLERS` calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Counters => "counters",
            Self::Archive(_) => "archive",
            Self::Webhook(_) => "webhook",
        }
    }

    /// All that were chosen, in their order. Whatever a handler needs is checked wherever it is given, chosen or not.
    pub(super) fn read(reader: &mut Reader) -> Option<Vec<Self>> {
        let names = reader.get(&t::WORKER_HANDLERS, names);
        let wants = |name| names.iter().flatten().any(|chosen| chosen == name);
        let archive = archive(reader, wants("archive"));
        let webhook = webhook(reader, wants("webhook"));
        let (archive, webhook) = (archive?, webhook?);
        let kind = |name: &String| match name.as_str() {
            "log" => Some(Self::Log),
            "counters" => Some(Self::Counters),
            "archive" => archive.clone().map(Self::Archive),
            _ => webhook.clone().map(Self::Webhook),
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

fn url(text: &str) -> Parsed<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
    url.ok_or("a URL of http or https, without user and password")
}

/// Names, each once; `none` for none.
fn names(text: &str) -> Parsed<Vec<String>> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    let rule = "none, or some of log, counters, archive, webhook, each once and with commas between";
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(|name| name.trim().to_lowercase()) {
        let known = matches!(name.as_str(), "log" | "counters" | "archive" | "webhook");
        if !known || names.contains(&name) {
            return Err(rule);
        }
        names.push(name);
    }
    Ok(names)
}

//! Where Redis is.

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::secret::Secret;
use super::table as t;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::PathBuf;

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Its URL, with the password in it; several are nodes of a cluster.
    pub urls: Vec<Secret>,
    /// The certificates to trust; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
    /// What every key's name begins with.
    pub key_prefix: String,
}

impl Redis {
    /// `Some(None)` where none is named.
    pub(super) fn read(reader: &mut Reader) -> Option<Option<Self>> {
        let (urls, host) = (reader.optional(&t::REDIS_URL, urls), reader.optional(&t::REDIS_HOST, host_name));
        let (port, password) = (reader.get(&t::REDIS_PORT, port), reader.optional(&t::REDIS_PASSWORD, parse::text));
        let (db, key_prefix) = (reader.get(&t::REDIS_DB, db), reader.get(&t::REDIS_KEY_PREFIX, key_prefix));
        let ca_file = reader.optional(&t::REDIS_CA_FILE, parse::certificates);
        let beside = [&t::REDIS_HOST, &t::REDIS_PORT, &t::REDIS_PASSWORD, &t::REDIS_DB];
        for spec in beside.into_iter().filter(|_| matches!(urls, Some(Some(_)))) {
            if reader.is_given(spec) {
                reader.fault(spec, "stands beside REDIS_URL, which says all of it: which of the two is meant?");
            }
        }
        if matches!((&urls, &host), (Some(None), Some(None))) {
            // A port or a database that is the default anyway may stand in an `.env` by itself.
            let alone = [
                (&t::REDIS_PORT, port.is_some_and(|port| port.to_string() != t::REDIS_PORT.default)),
                (&t::REDIS_PASSWORD, matches!(password, Some(Some(_)))),
                (&t::REDIS_DB, db.is_some_and(|db| db.to_string() != t::REDIS_DB.default)),
            ];
            for (spec, _) in alone.into_iter().filter(|(_, is_alone)| *is_alone) {
                reader.fault(spec, "is given without REDIS_HOST, so that no Redis would be used: where is it?");
            }
        }
        let (port, password, db, key_prefix) = (port?, password?, db?, key_prefix?);
        let is_plain = urls.iter().flatten().flatten().any(|url| !url.expose().starts_with("rediss://"));
        if matches!(&ca_file, Some(Some(_))) && (is_plain || matches!(&host, Some(Some(_)))) {
            reader.fault(&t::REDIS_CA_FILE, "is for a REDIS_URL that begins with rediss:// alone");
        }
        let host = host?;
        let urls = urls?.or_else(|| Some(vec![url(&host?, port, password.as_deref(), db)]));
        Some(urls.map(|urls| Self { urls, ca_file: ca_file.flatten(), key_prefix }))
    }
}

fn url(host: &str, port: u16, password: Option<&str>, db: u32) -> Secret {
    let password = password.map(|password| format!(":{}@", utf8_percent_encode(password, NON_ALPHANUMERIC)));
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Secret::new(format!("redis://{}{host}:{port}/{db}", password.unwrap_or_default()))
}

/// The adapter looks closer; this much can be told with all other faults.
fn urls(text: &str) -> Parsed<Vec<Secret>> {
    let good = |url: &str| {
        let rest = url.strip_prefix("redis://").or_else(|| url.strip_prefix("rediss://"));
        rest.is_some_and(|rest| !rest.rsplit('@').next().unwrap_or_default().is_empty())
    };
    let urls: Vec<&str> = text.split(',').map(str::trim).collect();
    let rule = "redis://host:6379/0 or rediss://..., with commas between the nodes of a cluster";
    if urls.iter().all(|url| good(url)) { Ok(urls.into_iter().map(Secret::new).collect()) } else { Err(rule) }
}

/// It goes into a URL, and is shown: a user and a password have their own settings.
fn host_name(text: &str) -> Parsed<String> {
    let rule = "a name or an address, without redis://, a user or a password";
    if text.contains(['@', '/']) { Err(rule) } else { Ok(text.to_owned()) }
}

fn port(text: &str) -> Parsed<u16> {
    let rule = parse::port_rule(text, "a port, 1 to 65535");
    parse::port(text).ok().filter(|port| *port > 0).ok_or(rule)
}

fn db(text: &str) -> Parsed<u32> {
    text.trim().parse().map_err(|_| "the number of a database, 0 to 15 unless Redis was told otherwise")
}

/// Braces would decide which slot of a cluster a key is in, the others stand for any letter in patterns.
fn key_prefix(text: &str) -> Parsed<String> {
    let bad = |letter: char| "{}*?[]".contains(letter) || letter.is_whitespace() || letter.is_control();
    let good = !text.contains(bad) && text.len() <= 64;
    if good { Ok(text.to_owned()) } else { Err("a text of at most 64 bytes without white space and {}*?[]") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const CA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings/ca.pem");

    fn read(pairs: &[(&str, &str)]) -> Option<Option<Redis>> {
        let mut reader = Reader::of_pairs(pairs.iter().copied());
        let redis = Redis::read(&mut reader);
        reader.finish(redis).ok()
    }

    fn first(redis: Option<Option<Redis>>) -> String {
        redis.flatten().unwrap().urls[0].expose().to_owned()
    }

    #[test]
    fn a_host_makes_a_url_in_which_a_password_may_hold_anything() {
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&[("REDIS_PORT", "6379"), ("REDIS_DB", "0")]), Some(None), "the defaults say nothing");
        assert_eq!(first(read(&[("REDIS_HOST", "127.0.0.1")])), "redis://127.0.0.1:6379/0");
        let pairs = [("REDIS_HOST", "::1"), ("REDIS_PORT", "7000"), ("REDIS_PASSWORD", "p@:/ß"), ("REDIS_DB", "2")];
        assert_eq!(first(read(&pairs)), "redis://:p%40%3A%2F%C3%9F@[::1]:7000/2");
    }

    #[test]
    fn several_urls_are_a_cluster_and_a_host_beside_them_is_a_fault() {
        let redis = read(&[("REDIS_URL", "rediss://u:p@a:1, rediss://b:2")]).flatten().unwrap();
        assert_eq!((redis.urls.len(), redis.key_prefix.as_str()), (2, "c:"));
        assert!(!format!("{redis:?}").contains("u:p"));
        for pairs in [
            [("REDIS_URL", "redis://a"), ("REDIS_HOST", "b")],
            [("REDIS_URL", "redis://a"), ("REDIS_PORT", "6379")],
            [("REDIS_URL", "redis://a"), ("REDIS_PASSWORD", "hush")],
            [("REDIS_URL", "redis://a"), ("REDIS_DB", "3")],
            [("REDIS_URL", "http://a"), ("REDIS_DB", "0")],
            [("REDIS_URL", "redis://"), ("REDIS_DB", "0")],
            [("REDIS_PASSWORD", "hush"), ("REDIS_DB", "0")],
            [("REDIS_PORT", "7000"), ("REDIS_DB", "0")],
            [("REDIS_PORT", "6379"), ("REDIS_DB", "3")],
            [("REDIS_HOST", "a"), ("REDIS_KEY_PREFIX", "{c}")],
            [("REDIS_HOST", "a"), ("REDIS_KEY_PREFIX", "c*")],
            [("REDIS_HOST", "a"), ("REDIS_KEY_PREFIX", "c[1]")],
            [("REDIS_HOST", "a"), ("REDIS_KEY_PREFIX", "a shop:")],
            [("REDIS_HOST", "a"), ("REDIS_CA_FILE", CA_FILE)],
            [("REDIS_HOST", "u:p@a"), ("REDIS_DB", "0")],
            [("REDIS_HOST", "redis://a"), ("REDIS_DB", "0")],
            [("REDIS_URL", "redis://a"), ("REDIS_CA_FILE", CA_FILE)],
            [("REDIS_URL", "rediss://a"), ("REDIS_CA_FILE", "nowhere.pem")],
            [("REDIS_URL", "rediss://a"), ("REDIS_CA_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))],
        ] {
            assert_eq!(read(&pairs), None, "{pairs:?}");
        }
        let trusting = read(&[("REDIS_URL", "rediss://a"), ("REDIS_CA_FILE", CA_FILE)]).flatten().unwrap();
        assert_eq!(trusting.ca_file.as_deref(), Some(Path::new(CA_FILE)));
    }
}

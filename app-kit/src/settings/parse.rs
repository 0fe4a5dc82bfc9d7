//! Texts to values. Each error is a rule, to be put behind "must be".

use chatcore::policy::Quota;
use ipnet::{IpNet, Ipv4Net};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// A value, or the rule that its text breaks.
pub type Parsed<T> = Result<T, &'static str>;

/// Any text.
pub fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// In any case: true, yes, on, 1 and their opposites.
pub fn boolean(text: &str) -> Parsed<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("true or false"),
    }
}

/// A whole number of at least one.
pub fn count(text: &str) -> Parsed<u64> {
    text.trim().parse().ok().filter(|number| *number >= 1).ok_or("a whole number of at least 1")
}

/// The same, for what is held in memory.
pub fn size(text: &str) -> Parsed<usize> {
    count(text).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// A path; whether there is something is not asked.
pub fn path(text: &str) -> Parsed<PathBuf> {
    Ok(PathBuf::from(text))
}

/// Certificates to trust. The file is read, so that one that cannot be used is told with all other faults.
pub fn certificates(text: &str) -> Parsed<PathBuf> {
    let read = || {
        let mut trusted = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(text).ok()? {
            trusted.add(certificate.ok()?).ok()?;
        }
        (!trusted.is_empty()).then(|| PathBuf::from(text))
    };
    read().ok_or("a file that can be read, with certificates as PEM in it and nothing that is none")
}

/// An address to listen on. A name is looked up here as it is by who listens, so that a wrong one is told with all other
/// faults.
pub fn host(text: &str) -> Parsed<String> {
    let found = (text, 0).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some());
    found.then(|| text.to_owned()).ok_or("an address like 127.0.0.1 or ::1, or a name that leads to one")
}

/// A TCP port; 0 for any free one.
pub fn port(text: &str) -> Parsed<u16> {
    text.trim().parse().map_err(|_| port_rule(text, "a port, 0 to 65535"))
}

/// This rule for a port, unless Kubernetes has set what was given, for a Service that is called as the setting begins.
pub fn port_rule(text: &str, rule: &'static str) -> &'static str {
    let of_kubernetes =
        "a port; Kubernetes sets this for a Service of that name, unless the Pod has `enableServiceLinks: false`";
    if text.starts_with("tcp://") { of_kubernetes } else { rule }
}

/// Bare seconds (also with a point), or a number with `ms`, `s`, `m`, `h` or `d`; at most a hundred years.
pub fn duration(text: &str) -> Parsed<Duration> {
    let rule = "a time like 500ms, 30s, 5m, 24h, 7d, or a number of seconds";
    let (number, unit) = split_unit(text);
    let unit = match unit.to_lowercase().as_str() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(rule),
    };
    let seconds = number.parse::<f64>().map_err(|_| rule)? * unit;
    // Rounded to microseconds, since 0.001 is not exact.
    let exact = Duration::try_from_secs_f64(seconds).map_err(|_| rule)?;
    let rounded = Duration::from_micros(u64::try_from((exact.as_nanos() + 500) / 1000).map_err(|_| rule)?);
    if rounded <= Duration::from_secs(100 * 365 * 86_400) { Ok(rounded) } else { Err(rule) }
}

/// The same, but longer than nothing.
pub fn some_time(text: &str) -> Parsed<Duration> {
    duration(text)?.checked_sub(Duration::from_millis(1)).ok_or("a time of at least 1ms, like 500ms, 30s, 24h")?;
    duration(text)
}

/// Bytes, or a number with `KiB`, `MiB`, `KB`, `MB`; at least one.
pub fn bytes(text: &str) -> Parsed<usize> {
    let rule = "a size like 65536, 32KiB or 1MiB";
    let (number, unit) = split_unit(text);
    let unit: usize = match unit.to_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1024,
        "kb" => 1000,
        "m" | "mib" => 1024 * 1024,
        "mb" => 1_000_000,
        _ => return Err(rule),
    };
    let number: usize = number.parse().map_err(|_| rule)?;
    number.checked_mul(unit).filter(|bytes| (1..=1 << 30).contains(bytes)).ok_or(rule)
}

/// `10/60s`, or `off` for no limit.
pub fn quota(text: &str) -> Parsed<Option<Quota>> {
    let rule = "a quota like 10/60s, or off";
    if text.trim().eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let (limit, window) = text.split_once('/').ok_or(rule)?;
    let limit = limit.trim().parse().ok().filter(|limit| *limit >= 1).ok_or(rule)?;
    let window = some_time(window).map_err(|_| rule)?;
    Ok(Some(Quota { limit, window }))
}

/// Addresses and networks like `10.0.0.0/8` with commas between.
pub fn networks(text: &str) -> Parsed<Vec<IpNet>> {
    let rule = "addresses or networks like 10.0.0.0/8 with commas between";
    let network = |text: &str| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| rule);
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(|text| network(text).map(canonical)).collect()
}

/// What is IPv4 behind the prefix that maps it into IPv6 is IPv4, as addresses are that are compared with it.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let length = mapped.prefix_len().checked_sub(96);
    let address = mapped.addr().to_ipv4_mapped().zip(length);
    address.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}

/// `*`, `none`, or origins like `https://shop.example:8443` with commas between. `None` means any.
pub fn origins(text: &str) -> Parsed<Option<Vec<String>>> {
    match text.trim() {
        "*" => return Ok(None),
        none if none.eq_ignore_ascii_case("none") => return Ok(Some(Vec::new())),
        _ => {}
    }
    let rule = "*, none, or origins like https://shop.example or http://[::1]:3000 with commas between";
    let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let checked: Option<Vec<String>> = origins.map(origin).collect();
    checked.map(Some).ok_or(rule)
}

/// A scheme, a host, perhaps a port; nothing behind it but a slash. As a browser sends it: in lower case, and without the port that
/// the scheme has anyway.
fn origin(text: &str) -> Option<String> {
    let text = text.strip_suffix('/').unwrap_or(text).to_lowercase();
    let (scheme, place) = text.split_once("://")?;
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !place.ends_with(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (place, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_host = match host.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(plain),
    };
    let good = matches!(scheme, "http" | "https") && is_host;
    let port = port.filter(|port| (scheme, *port) != ("https", 443) && (scheme, *port) != ("http", 80));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    good.then(|| format!("{scheme}://{host}{port}"))
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.trim(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, millis) in [
            ("30", 30_000),
            ("0.5", 500),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("24H", 86_400_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "ten", "-1", "1w", "1e400", "inf", "NaN", "s", "9999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(some_time("0").is_err());
    }

    #[test]
    fn booleans_are_read_in_any_case() {
        for text in ["True", "ON", "yes", "1"] {
            assert_eq!(boolean(text), Ok(true));
        }
        for text in ["False", "off", "No", "0"] {
            assert_eq!(boolean(text), Ok(false));
        }
        assert!(boolean("maybe").is_err());
    }

    #[test]
    fn quotas_and_sizes_have_units_too() {
        let ten = Quota { limit: 10, window: Duration::from_secs(60) };
        assert_eq!(quota("10/60s"), Ok(Some(ten)));
        assert_eq!(quota(" 10 / 1m"), Ok(Some(ten)));
        assert_eq!(quota("OFF"), Ok(None));
        for text in ["10", "0/60s", "10/0", "/60", "10/x"] {
            assert!(quota(text).is_err(), "{text}");
        }
        assert_eq!(bytes("32KiB"), Ok(32 * 1024));
        assert_eq!(bytes("1000"), Ok(1000));
        for text in ["0", "1.5k", "1TB", "-1", "99999999999999999999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_is_an_address_with_or_without_a_length() {
        let found = networks("10.0.0.0/8, ::1").unwrap();
        assert!(found[0].contains(&IpAddr::from([10, 1, 2, 3])) && !found[1].contains(&IpAddr::from([10, 1, 2, 3])));
        assert_eq!(networks(""), Ok(vec![]));
        assert_eq!(networks("::ffff:10.0.0.0/104, ::ffff:127.0.0.1"), networks("10.0.0.0/8, 127.0.0.1/32"));
        for text in ["10.0.0.0/33", "proxy", "10.0.0", "*"] {
            assert!(networks(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        assert_eq!(origins("*"), Ok(None));
        assert_eq!(origins("none"), Ok(Some(vec![])));
        let two = vec!["https://shop.example".to_owned(), "http://localhost:3000".to_owned()];
        assert_eq!(origins("https://Shop.example/, http://localhost:3000"), Ok(Some(two)));
        for (text, sent) in [
            ("https://a.b:443", "https://a.b"),
            ("http://a.b:80/", "http://a.b"),
            ("https://[::1]:443", "https://[::1]"),
            ("https://[::443]", "https://[::443]"),
            ("https://a.b:80", "https://a.b:80"),
            ("http://a.b:443", "http://a.b:443"),
        ] {
            assert_eq!(origins(text), Ok(Some(vec![sent.to_owned()])), "{text}");
        }
        for text in [
            "shop.example",
            "https://shop.example/path",
            "https://*",
            "ftp://x",
            "https://",
            "https://:443",
            "https://a.b:",
            "https://a.b:99999",
            "http://::1:3000",
            "http://::1",
            "https://a:b:80",
            "https://shop.example:8080:9090",
            "http://[::1",
            "http://a]",
            "http://[a]:80",
            "http://[]",
            "http://[::1]x",
            "http://[127.0.0.1]",
            "http://[fe80::1%eth0]",
        ] {
            assert!(origins(text).is_err(), "{text}");
        }
    }
}

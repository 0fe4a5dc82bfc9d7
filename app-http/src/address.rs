//! Where a request comes from, and whether over TLS: the peer, unless that is a proxy which is believed.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Once;

const FORWARDED: &str = "x-forwarded-for";
/// The standard's own header, which is not read.
const STANDARD: &str = "forwarded";
const PROTO: &str = "x-forwarded-proto";

/// The address that quotas count by. Somebody with an IPv6 address has its whole network of 64 bits, so that counts as one.
pub fn address(request: &HttpRequest, trusted: &[IpNet]) -> String {
    let Some(peer) = request.peer_addr() else { return String::new() };
    name(client(peer.ip(), request.headers(), trusted))
}

/// What an address counts as.
pub(crate) fn name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => IpNet::new(address.into(), 64).map_or(String::new(), |net| net.trunc().to_string()),
    }
}

/// Whether it came over TLS, as far as a believed proxy says so: of several, the nearest.
pub fn is_over_tls(request: &HttpRequest, trusted: &[IpNet]) -> bool {
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let nearest = request.headers().get_all(PROTO).last().and_then(|value| value.to_str().ok()?.rsplit(',').next());
    let says_so = nearest.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"));
    says_so && peer.is_some_and(|peer| is_trusted(&peer, trusted))
}

/// Warns once where a proxy seems to stand in front that is not believed, and once where one that is names clients in a way that
/// is not read: all its clients count as one then.
pub fn look_for_proxy(request: &HttpRequest, trusted: &[IpNet]) {
    static TOLD: Once = Once::new();
    static TOLD_OF_STANDARD: Once = Once::new();
    let Some(peer) = request.peer_addr().map(|peer| peer.ip().to_canonical()) else { return };
    let [named, named_by_standard] = [FORWARDED, STANDARD].map(|name| request.headers().contains_key(name));
    if is_trusted(&peer, trusted) {
        if named_by_standard && !named {
            TOLD_OF_STANDARD.call_once(|| {
                let told = "this proxy names clients in `Forwarded` alone, which is not read: they count as one address; have it send X-Forwarded-For";
                tracing::warn!(%peer, "{told}");
            });
        }
        return;
    }
    // From elsewhere anybody may send that.
    if (named || named_by_standard) && is_near(&peer) {
        TOLD.call_once(|| {
            let told = "all that this proxy forwards counts as one address for quotas, logins and connections; name it in TRUSTED_PROXIES";
            tracing::warn!(%peer, "{told}");
        });
    }
}

/// Of this machine or of a private network.
fn is_near(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

pub(crate) fn is_trusted(address: &IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address.to_canonical()))
}

/// The last address, from the nearest on, that no believed proxy has. What stands before it anybody may have written.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    // Bytes that are no text are in the name in which they are, and in no other.
    let values = headers.get_all(FORWARDED).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let named: Vec<&str> = values.map(|name| std::str::from_utf8(name).unwrap_or_default()).collect();
    let mut nearest = peer.to_canonical();
    for name in named.iter().rev() {
        if !is_trusted(&nearest, trusted) {
            break;
        }
        match parse(name.trim()) {
            Some(next) => nearest = next,
            None => break,
        }
    }
    nearest
}

/// An address, with a port where a proxy writes one.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().ok().map(|address: std::net::SocketAddr| address.ip());
    Some(bare.parse().ok().or_else(with_port)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
        for value in forwarded {
            // As ISO 8859-1 has it, so that there are bytes that are no UTF-8.
            let bytes: Vec<u8> = value.chars().map(|letter| letter as u8).collect();
            request = request.append_header((FORWARDED, HeaderValue::from_bytes(&bytes).unwrap()));
        }
        address(&request.to_http_request(), &trusted)
    }

    #[test]
    fn a_proxy_that_is_believed_says_where_a_request_comes_from_and_nobody_else() {
        for (peer, forwarded, expected) in [
            ("1.2.3.4:5", &[][..], "1.2.3.4"),
            ("1.2.3.4:5", &["9.9.9.9"], "1.2.3.4"),
            ("10.0.0.1:5", &["9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1:5", &["8.8.8.8, 9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1:5", &["9.9.9.9, 10.0.0.2"], "9.9.9.9"),
            ("10.0.0.1:5", &["8.8.8.8", "9.9.9.9:4711"], "9.9.9.9"),
            ("[::1]:5", &["[2001:db8:1:2:3::4]:443"], "2001:db8:1:2::/64"),
            ("[::ffff:10.0.0.1]:5", &["9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1:5", &["9.9.9.9, unknown"], "10.0.0.1"),
            ("10.0.0.1:5", &["\u{ff}, 9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1:5", &["9.9.9.9, \u{ff}"], "10.0.0.1"),
            ("10.0.0.1:5", &[], "10.0.0.1"),
        ] {
            assert_eq!(of(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }
}

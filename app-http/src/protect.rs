//! Headers that tell browsers, and caches on the way, what they may not do with an answer.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};

/// What every answer says that says nothing else. Answers are data: a browser that shows one as a page shall run nothing of
/// it; and most are for one caller alone.
const UNLESS_SET: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Adds them. `over_tls` says that the caller came over TLS; it shall then come in no other way for a year. An answer to
/// somebody else must not say so: without TLS browsers ignore it, and this program itself has none.
pub(crate) fn protect(headers: &mut HeaderMap, over_tls: bool) {
    for (name, value) in UNLESS_SET {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if over_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

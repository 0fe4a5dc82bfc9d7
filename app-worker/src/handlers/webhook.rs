//! The handler `webhook`: the event's JSON is posted to an address, signed.
//!
//! | header | holds |
//! |---|---|
//! | `X-Chatcore-Signature` | `t=<unix seconds>,v1=<hex>`, where hex is HMAC-SHA256 of `<t>.<body>` with `WEBHOOK_SECRET` |
//! | `X-Chatcore-Event-Id` | the event's id, the same whenever it comes |
//! | `X-Chatcore-Event-Type` | `chat.requested`, `chat.responded` or `session.deleted` |
//! | `X-Request-Id` | the request that asked, where there was one |
//!
//! Who receives it computes the same over `t`, a dot and the body's bytes as they came, compares in constant time, and
//! refuses a `t` that is more than five minutes off: nobody can send an old call again then. In Python:
//!
//! ```python
//! t, v1 = (part.split("=", 1)[1] for part in request.headers["X-Chatcore-Signature"].split(","))
//! expected = hmac.new(secret.encode(), t.encode() + b"." + body, "sha256").hexdigest()
//! good = hmac.compare_digest(v1, expected) and abs(time.time() - int(t)) < 300
//! ```
//!
//! What the answer says decides:
//!
//! | answer | the event |
//! |---|---|
//! | 2xx | is done |
//! | none: refused, no such name; 408, 425, 429 | waits for as long as it takes |
//! | none: broken off, none within 10 s; 502, 503, 504 | waits for as long as it takes, unless it alone gets none: after five minutes, and ten tries, between which the receiver took others, it is parked |
//! | another 5xx | may be what the receiver fails on: after five minutes, and ten tries, of nothing else it is parked, too |
//! | anything else; a redirect too, which is not followed | is parked at once: it goes to the dead letters |
//!
//! Who waits is posted again, each time signed anew, after pauses that grow up to 6.4 s, and not before `Retry-After` is over
//! (seconds or a date, of which five minutes are waited for). Later events of its session wait behind it, and as many sessions as there are
//! lanes (`WORKER_LANES`) keep all others waiting; after a minute `/readyz` says where the handler stands. An event may come twice: go
//! by its id.

mod doubts;

use app_kit::settings::Secret;
use app_kit::traces;
use async_trait::async_trait;
use chatcore::consume::{EventHandler, Unhandled};
use chatcore::event::Event;
use chatcore::port::{Place, Runtime};
use doubts::{Doubts, Failure};
use hmac::digest::InvalidLength;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use sha2::Sha256;
use std::error::Error;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const SIGNATURE: HeaderName = HeaderName::from_static("x-chatcore-signature");
const EVENT_ID: HeaderName = HeaderName::from_static("x-chatcore-event-id");
const EVENT_TYPE: HeaderName = HeaderName::from_static("x-chatcore-event-type");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a call may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read, so that its connection serves again.
const READ: usize = 64 * 1024;

/// An address. `Debug` leaves out its path and query, where some services want a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(pub Url);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

/// Where events are posted to.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// The address.
    pub url: Address,
    /// What calls are signed with.
    pub secret: Secret,
}

/// Posts each event.
#[derive(Debug)]
pub struct Webhook {
    url: Address,
    signer: Signer,
    client: Client,
    runtime: Arc<dyn Runtime>,
    doubts: Doubts,
}

impl Webhook {
    /// A handler that posts to this address.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(config: WebhookConfig, runtime: Arc<dyn Runtime>) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut builder = Client::builder()
            .user_agent(concat!("chatcore/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT)
            .timeout(TIMEOUT);
        if config.url.0.scheme() == "http" {
            // Without TLS the system's certificates are not needed, and a bare container has none.
            builder = builder.tls_certs_only([]);
        }
        let (signer, client) = (Signer::new(&config.secret)?, builder.build()?);
        Ok(Self { url: config.url, signer, client, runtime, doubts: Doubts::default() })
    }

    /// The status of the answer, and how long it asks to be left alone.
    async fn post(&self, event: &Event) -> reqwest::Result<(u16, Option<Duration>)> {
        let (body, at) = (event.to_json(), self.runtime.now().unix_timestamp());
        let mut request = self
            .client
            .post(self.url.0.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE, self.signer.sign(at, &body))
            .header(EVENT_ID, event.id().to_string())
            .header(EVENT_TYPE, event.kind());
        for (name, value) in traces::headers() {
            request = request.header(name, value);
        }
        if let Some(id) = &event.request_id {
            request = request.header(REQUEST_ID, id.as_str());
        }
        let answer = request.body(body).send().await?;
        let told = (answer.status().as_u16(), retry_after(answer.headers(), self.runtime.now().into()));
        drain(answer).await;
        Ok(told)
    }
}

#[async_trait]
impl EventHandler for Webhook {
    async fn handle(&self, event: &Event, _place: &Place) -> Result<(), Unhandled> {
        // For the dead letters: neither the address, which may hold a key, nor anything of the answer's text.
        let (reason, failure, retry_after) = match self.post(event).await {
            Ok((200..=299, _)) => {
                self.doubts.taken(event.id());
                return Ok(());
            }
            Ok((status, retry_after)) => {
                let reason = format!("the webhook answered {status}");
                let Some(failure) = failure(status) else { return Err(Unhandled::Refused(reason)) };
                (reason, failure, retry_after)
            }
            Err(error) if error.is_builder() => {
                return Err(Unhandled::Refused("the webhook cannot be called with this event".into()));
            }
            Err(error) => {
                let (reason, failure) = unanswered(&error);
                (reason.into(), failure, None)
            }
        };
        match self.doubts.is_hopeless(event.id(), failure, self.runtime.elapsed()) {
            true => Err(Unhandled::Refused(reason)),
            false => Err(Unhandled::Away { reason, retry_after }),
        }
    }
}

/// `None` where another try would change nothing.
fn failure(status: u16) -> Option<Failure> {
    match status {
        408 | 425 | 429 => Some(Failure::Busy),
        502..=504 => Some(Failure::Silent),
        500..=599 => Some(Failure::Own),
        _ => None,
    }
}

fn unanswered(error: &reqwest::Error) -> (&'static str, Failure) {
    match error {
        error if error.is_connect() => ("the webhook cannot be reached", Failure::Busy),
        error if error.is_timeout() => ("the webhook gave no answer in time", Failure::Silent),
        _ => ("the webhook broke off", Failure::Silent),
    }
}

/// As seconds or as a date; nothing where it is neither.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let told = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = || httpdate::parse_http_date(told).ok()?.duration_since(now).ok();
    told.parse().map(Duration::from_secs).ok().or_else(until)
}

async fn drain(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > READ {
            return;
        }
    }
}

/// Makes signatures; it shows nothing of the secret.
#[derive(Debug, Clone)]
struct Signer(Hmac<Sha256>);

impl Signer {
    fn new(secret: &Secret) -> Result<Self, InvalidLength> {
        Hmac::new_from_slice(secret.expose().as_bytes()).map(Self)
    }

    /// The value of the header.
    fn sign(&self, at: i64, body: &str) -> String {
        let mac = self.0.clone().chain_update(format!("{at}.{body}")).finalize();
        mac.into_bytes().iter().fold(format!("t={at},v1="), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_signature_is_what_other_programs_compute() {
        let signer = Signer::new(&Secret::new("a secret")).unwrap();
        let signed = signer.sign(1_700_000_000, r#"{"type":"chat.requested","message":"xin chào"}"#);
        assert!(!format!("{signer:?}").contains("secret"));
        assert_eq!(signed, "t=1700000000,v1=ac4b295aa95b5b456c381a32c0db3fdbe4eceec9640d55be1c772dee59e18ee3");
    }

    #[test]
    fn a_receiver_may_say_when_it_wants_to_be_asked_again() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let told = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        let values = ["7", " 120 ", "Sun, 06 Nov 1994 08:51:07 GMT", "Sun, 06 Nov 1994 08:00:00 GMT", "soon", "-1", ""];
        assert_eq!(values.map(told), [Some(7), Some(120), Some(90), None, None, None, None]);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}

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
//! Any 2xx is a receipt; a redirect is none, and is not followed. Everything else is tried again by the consumer, each time
//! signed anew, until the event goes to the dead letters. With five tries (`WORKER_TRIES`) that is 1.5 s after the first call where
//! the address refuses each at once, and 52 s after it where each takes the 10 s that a call has: a receiver that is away for
//! longer finds the events among the dead letters. An event may come twice: go by its id.

use app_kit::settings::Secret;
use app_kit::traces;
use async_trait::async_trait;
use chatcore::consume::EventHandler;
use chatcore::event::Event;
use chatcore::port::{Place, Runtime};
use hmac::digest::InvalidLength;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::Sha256;
use std::error::Error;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

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
        Ok(Self { url: config.url, signer, client, runtime })
    }

    async fn post(&self, event: &Event) -> reqwest::Result<Response> {
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
        request.body(body).send().await
    }
}

#[async_trait]
impl EventHandler for Webhook {
    async fn handle(&self, event: &Event, _place: &Place) -> Result<(), String> {
        let answer = self.post(event).await.map_err(|error| told(&error))?;
        let status = answer.status();
        drain(answer).await;
        if status.is_success() { Ok(()) } else { Err(refusal(status)) }
    }
}

/// For the dead letters: neither the address, which may hold a key, nor anything of the answer's text.
fn refusal(status: StatusCode) -> String {
    format!("the webhook answered {}", status.as_u16())
}

fn told(error: &reqwest::Error) -> String {
    let what = match error {
        error if error.is_connect() => "cannot be reached",
        error if error.is_timeout() => "gave no answer in time",
        _ => "broke off",
    };
    format!("the webhook {what}")
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
}

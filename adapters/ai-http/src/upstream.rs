//! One call of the service: connect, ask, and read what comes back, within a deadline.

use crate::config::{Endpoint, HttpAiConfig};
use crate::error::{ConfigError, Failure, causes};
use crate::wire::Wire;
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Request, Response};
use std::sync::Arc;
use std::time::Duration;

const TRIES: u32 = 3;
/// What comes before a second and a third try to connect.
const PAUSES: [Duration; TRIES as usize - 1] = [Duration::from_millis(50), Duration::from_millis(200)];
/// Shorter than the 5 s after which common servers close an idle connection: a POST sent into such a close is lost, and
/// must not be repeated.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// The service itself, without what shields it.
#[derive(Debug)]
pub(crate) struct Upstream {
    call: Arc<Call>,
}

#[derive(Debug)]
struct Call {
    client: Client,
    endpoint: Endpoint,
    wire: Wire,
    send_context: bool,
    connect_timeout: Duration,
    timeout: Duration,
    max_body: usize,
    runtime: Arc<dyn Runtime>,
}

impl Upstream {
    pub(crate) fn new(config: &HttpAiConfig, runtime: Arc<dyn Runtime>) -> Result<Self, ConfigError> {
        let call = Call {
            client: client(config)?,
            endpoint: config.endpoint.clone(),
            wire: config.wire,
            send_context: config.send_context,
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
            max_body: config.max_body,
            runtime,
        };
        Ok(Self { call: Arc::new(call) })
    }
}

impl AiGateway for Upstream {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let (call, timeout, runtime) = (Arc::clone(&self.call), self.call.timeout, Arc::clone(&self.call.runtime));
        let opened = async move {
            let response = call.ask(&prompt).await?;
            Ok(call.wire.answer(response, call.max_body))
        };
        within(timeout, runtime, stream::once(opened).try_flatten().boxed()).map_err(AiError::from).boxed()
    }
}

impl Call {
    async fn ask(&self, prompt: &Prompt) -> Result<Response, Failure> {
        let response = self.connect(prompt).await?;
        let status = response.status();
        if status.is_success() { Ok(response) } else { Err(Failure::Status(status.as_u16())) }
    }

    /// Only a call that found no connection is made again: any other may have taken effect.
    async fn connect(&self, prompt: &Prompt) -> Result<Response, Failure> {
        let begun = self.runtime.elapsed();
        for pause in PAUSES {
            let answered = self.client.execute(self.request(prompt)?).await;
            let next_ends = (self.runtime.elapsed() - begun) + pause + self.connect_timeout / TRIES;
            match answered {
                Err(error) if error.is_connect() && next_ends <= self.connect_timeout => {
                    tracing::debug!(error = causes(error), "connecting to the AI is tried again");
                    self.runtime.sleep(pause).await;
                }
                answered => return answered.map_err(Failure::of_call),
            }
        }
        self.client.execute(self.request(prompt)?).await.map_err(Failure::of_call)
    }

    fn request(&self, prompt: &Prompt) -> Result<Request, Failure> {
        let question = self.wire.question(prompt, self.send_context).map_err(|_| Failure::Request)?;
        let mut request = self
            .client
            .post(self.endpoint.url())
            .header(CONTENT_TYPE, "application/json")
            // A structured field's string, so in quotes.
            .header("idempotency-key", format!("\"{}\"", prompt.turn.message))
            .body(question);
        if let Some(id) = &prompt.request_id {
            request = request.header("x-request-id", id.as_str());
        }
        request.build().map_err(|_| Failure::Request)
    }
}

/// A client that does what is asked and no more: no redirects, no proxies from the environment, no tries of its own.
fn client(config: &HttpAiConfig) -> Result<Client, ConfigError> {
    let mut builder = Client::builder()
        .default_headers(headers(config)?)
        .user_agent(concat!("chatcore-ai-http/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(config.connect_timeout / TRIES)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_nodelay(true);
    if config.endpoint.is_plain() {
        // Without TLS the system's certificates are not needed, and a bare container has none.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| ConfigError::Client(causes(error)))
}

fn headers(config: &HttpAiConfig) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    if let Some(key) = config.api_key.as_ref().filter(|key| !key.expose().is_empty()) {
        let is_visible = key.expose().bytes().all(|byte| byte.is_ascii_graphic());
        let bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose())).ok().filter(|_| is_visible);
        let mut bearer = bearer.ok_or(ConfigError::ApiKey)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(headers)
}

type Chunks = BoxStream<'static, Result<AiChunk, Failure>>;

/// The same chunks, and [`Failure::Late`] in place of what comes later than `limit` after the first poll.
fn within(
    limit: Duration,
    runtime: Arc<dyn Runtime>,
    chunks: Chunks,
) -> impl Stream<Item = Result<AiChunk, Failure>> + Send {
    let start = move |chunks| {
        let alarm = runtime.sleep(limit);
        stream::unfold(Some((alarm, chunks)), move |running| next_before(limit, running))
    };
    stream::once(async move { start(chunks) }).flatten()
}

type Running = (BoxFuture<'static, ()>, Chunks);

async fn next_before(limit: Duration, running: Option<Running>) -> Option<(Result<AiChunk, Failure>, Option<Running>)> {
    let (alarm, mut chunks) = running?;
    match select(alarm, chunks.next()).await {
        Either::Left(_) => Some((Err(Failure::Late(limit)), None)),
        Either::Right((chunk, alarm)) => chunk.map(|chunk| (chunk, Some((alarm, chunks)))),
    }
}

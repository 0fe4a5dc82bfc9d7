//! One call of the service: connect, ask, and read what comes back, within a deadline.

use crate::clients::{Clients, TRIES};
use crate::config::{Endpoint, HttpAiConfig};
use crate::error::{ConfigError, Failure, causes};
use crate::tokens::Spent;
use crate::wire::{Asked, Limits, Wire};
use chatcore::TRACES;
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Span, info_span};

/// What comes before a second and a third try to connect.
const PAUSES: [Duration; TRIES as usize - 1] = [Duration::from_millis(50), Duration::from_millis(200)];
/// How long an answer's end waits for that of its connection, which is of use for the next call then.
const LINGER: Duration = Duration::from_millis(50);

/// The service itself, without what shields it.
#[derive(Debug)]
pub(crate) struct Upstream {
    call: Arc<Call>,
}

#[derive(Debug)]
struct Call {
    clients: Clients,
    endpoint: Endpoint,
    wire: Wire,
    send_context: bool,
    stream: bool,
    /// Whether the service can be asked to count tokens, as far as it is known.
    counts: AtomicBool,
    headers: fn() -> Vec<(&'static str, String)>,
    spent: Arc<Spent>,
    connect_timeout: Duration,
    timeout: Duration,
    max_body: usize,
    runtime: Arc<dyn Runtime>,
}

impl Upstream {
    pub(crate) fn new(
        config: &HttpAiConfig,
        spent: Arc<Spent>,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self, ConfigError> {
        let call = Call {
            clients: Clients::new(config)?,
            endpoint: config.endpoint.clone(),
            wire: config.wire.clone(),
            send_context: config.send_context,
            stream: config.stream,
            counts: AtomicBool::new(true),
            headers: config.headers,
            spent,
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
        let (server, port) = call.endpoint.host_and_port();
        let span = info_span!(
            target: TRACES, "AI", otel.name = "POST", otel.kind = "client", otel.status_code = Empty,
            http.request.method = "POST", http.response.status_code = Empty, server.address = server, server.port = i64::from(port),
        );
        let opened = async move {
            let response = call.ask(&prompt).await?;
            let limits = Limits { bytes: call.max_body, runtime: Arc::clone(&call.runtime) };
            Ok(call.wire.answer(response, limits, &call.spent))
        };
        let chunks = within(timeout, runtime, stream::once(opened).try_flatten().boxed());
        in_span(span, chunks.map_err(AiError::from).boxed())
    }
}

impl Call {
    /// A service that refused to count tokens did nothing else, so it may be asked again without that.
    async fn ask(&self, prompt: &Prompt) -> Result<Response, Failure> {
        let asked = |usage| Asked { context: self.send_context, stream: self.stream, usage };
        let counts = self.counts.load(Ordering::Relaxed);
        match self.answered(prompt, asked(counts)).await {
            Err(Failure::NoUsage(_)) if counts => {
                let response = self.answered(prompt, asked(false)).await?;
                self.counts.store(false, Ordering::Relaxed);
                Ok(response)
            }
            answered => answered,
        }
    }

    async fn answered(&self, prompt: &Prompt, asked: Asked) -> Result<Response, Failure> {
        let response = self.connect(prompt, asked).await?;
        Span::current().record("http.response.status_code", i64::from(response.status().as_u16()));
        if response.status().is_success() { Ok(response) } else { Err(self.wire.refusal(response).await) }
    }

    /// Only a call that found no connection is made again: any other may have taken effect.
    async fn connect(&self, prompt: &Prompt, asked: Asked) -> Result<Response, Failure> {
        let (begun, client) = (self.runtime.elapsed(), self.clients.here()?);
        for pause in PAUSES {
            let answered = client.execute(self.request(&client, prompt, asked)?).await;
            let next_ends = (self.runtime.elapsed() - begun) + pause + self.connect_timeout / TRIES;
            match answered {
                Err(error) if error.is_connect() && next_ends <= self.connect_timeout => {
                    tracing::debug!(error = causes(error), "connecting to the AI is tried again");
                    self.runtime.sleep(pause).await;
                }
                answered => return answered.map_err(Failure::of_call),
            }
        }
        client.execute(self.request(&client, prompt, asked)?).await.map_err(Failure::of_call)
    }

    fn request(&self, client: &Client, prompt: &Prompt, asked: Asked) -> Result<Request, Failure> {
        let question = self.wire.question(prompt, asked).map_err(|_| Failure::Request)?;
        let taken = if asked.stream { "text/event-stream, application/json" } else { "application/json" };
        let mut request = client
            .post(self.wire.address(self.endpoint.url()))
            .header(ACCEPT, taken)
            .header(CONTENT_TYPE, "application/json")
            // A structured field's string, so in quotes. What is asked without a count is another request.
            .header(
                "idempotency-key",
                format!("\"{}{}\"", prompt.turn.message, if asked.usage { "" } else { "-uncounted" }),
            )
            .body(question);
        for (name, value) in (self.headers)() {
            request = request.header(name, value);
        }
        if let Some(id) = &prompt.request_id {
            request = request.header("x-request-id", id.as_str());
        }
        request.build().map_err(|_| Failure::Request)
    }
}

type Chunks = BoxStream<'static, Result<AiChunk, Failure>>;

/// The same chunks up to `Done`, and [`Failure::Late`] in place of what comes later than `limit` after the first poll, or
/// [`Failure::TooLong`] where some of the text has come.
fn within(
    limit: Duration,
    runtime: Arc<dyn Runtime>,
    chunks: Chunks,
) -> impl Stream<Item = Result<AiChunk, Failure>> + Send {
    let start = async move { Running { limit, alarm: runtime.sleep(limit), runtime, chunks, has_text: false } };
    stream::once(start).flat_map(|running| stream::unfold(Some(running), next_before))
}

/// The same chunks, each waited for in this span.
fn in_span(
    span: Span,
    mut chunks: BoxStream<'static, Result<AiChunk, AiError>>,
) -> BoxStream<'static, Result<AiChunk, AiError>> {
    let next = move |context: &mut Context<'_>| {
        let _inside = span.enter();
        chunks.poll_next_unpin(context).map(|next| {
            next.inspect(|chunk| {
                if chunk.is_err() {
                    span.record("otel.status_code", "ERROR");
                }
            })
        })
    };
    stream::poll_fn(next).boxed()
}

struct Running {
    limit: Duration,
    alarm: BoxFuture<'static, ()>,
    runtime: Arc<dyn Runtime>,
    chunks: Chunks,
    has_text: bool,
}

async fn next_before(running: Option<Running>) -> Option<(Result<AiChunk, Failure>, Option<Running>)> {
    let mut running = running?;
    match select(&mut running.alarm, running.chunks.next()).await {
        Either::Left(_) if running.has_text => Some((Err(Failure::TooLong(running.limit)), None)),
        Either::Left(_) => Some((Err(Failure::Late(running.limit)), None)),
        Either::Right((Some(Ok(done @ AiChunk::Done(_))), _)) => {
            // In this order: mostly it has come already, and then no alarm is set.
            select(running.chunks.next(), running.runtime.sleep(LINGER)).await;
            Some((Ok(done), None))
        }
        Either::Right((chunk, _)) => {
            running.has_text |= matches!(chunk, Some(Ok(AiChunk::Text(_))));
            chunk.map(|chunk| (chunk, Some(running)))
        }
    }
}

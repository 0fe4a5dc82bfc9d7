//! Spans to a collector. A thread sends them in batches, and nothing waits for it: what a slow or dead collector does not take
//! in time is lost, and the log says so now and then.

use super::SpanLayer;
use crate::settings::{Sampler, Traces};
use chatcore::TRACES;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{self, SdkTracerProvider, SpanData, SpanExporter};
use reqwest::blocking::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;

type Failure = Box<dyn Error + Send + Sync>;

/// How long a batch may take on its way, with all its tries.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often at most the log says that traces are lost.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// The longest header of a caller's trace that is passed on.
const LONGEST: usize = 512;

/// What sends spans. Who drops it waits until the last are sent, but not for long.
#[derive(Debug)]
pub(crate) struct Sending {
    provider: SdkTracerProvider,
    flush: Duration,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.provider.shutdown_with_timeout(self.flush).is_err() {
            tracing::warn!("the last traces were not delivered in time");
        }
    }
}

/// Begins to send. The layer takes the spans that are for traces, whatever is logged.
pub(crate) fn start(settings: &Traces) -> Result<(SpanLayer, Sending), Failure> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", settings.endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .with_http_client(client(settings)?)
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler(settings.sampler))
        .with_resource(
            Resource::builder()
                .with_service_name(settings.service.clone())
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                .build(),
        )
        .with_batch_exporter(Told { exporter, lost: Mutex::default() })
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("chatcore"))
        .with_context_activation(false)
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(TRACES, LevelFilter::INFO));
    Ok((layer.boxed(), Sending { provider, flush: settings.flush }))
}

/// A client that does what is asked and no more. It blocks, so it is made, as it is used, by a thread that is no runtime's.
fn client(settings: &Traces) -> Result<Client, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| "a header for traces cannot be sent")?;
        value.set_sensitive(true);
        headers.append(HeaderName::try_from(name)?, value);
    }
    let mut builder = Client::builder()
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(TIMEOUT / 3)
        .timeout(TIMEOUT);
    if settings.endpoint.starts_with("http:") {
        // Without TLS the system's certificates are not needed, and a bare container has none.
        builder = builder.tls_certs_only([]);
    }
    let made = std::thread::spawn(move || builder.build()).join();
    Ok(made.map_err(|_| "the client for traces could not be made")??)
}

fn sampler(settings: Sampler) -> trace::Sampler {
    let share = trace::Sampler::TraceIdRatioBased(settings.share);
    if settings.by_caller { trace::Sampler::ParentBased(Box::new(share)) } else { share }
}

/// An exporter whose failures are told.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    lost: Mutex<Lost>,
}

/// What was lost since it was told last.
#[derive(Debug, Default)]
struct Lost {
    spans: usize,
    told: Option<Instant>,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        if result.is_err() {
            self.tell(spans);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> Told<E> {
    /// Not why: what the exporter says may hold words of whoever answered in the collector's place.
    #[expect(clippy::disallowed_methods, reason = "this thread is the exporter's, which keeps real time")]
    fn tell(&self, spans: usize) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.spans += spans;
        if lost.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tracing::warn!(
                spans = lost.spans,
                "the collector takes no traces (OTEL_EXPORTER_OTLP_ENDPOINT); they are lost"
            );
            *lost = Lost { spans: 0, told: Some(Instant::now()) };
        }
    }
}

/// Lets a span go on from where a caller was, if its headers say so (W3C Trace Context). Called before the span is entered.
pub fn follow<'a>(span: &Span, header: impl Fn(&str) -> Option<&'a str>) {
    if span.is_disabled() {
        return;
    }
    let given = Given(["traceparent", "tracestate"].map(|name| (name, header(name))));
    let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &given);
    if caller.span().span_context().is_valid() {
        // It fails where nobody takes spans.
        let _ = span.set_parent(caller);
    }
}

struct Given<'a>([(&'static str, Option<&'a str>); 2]);

impl Extractor for Given<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == name)?;
        value.filter(|value| value.len() <= LONGEST)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }
}

/// Gives a span another name, that was not known when it began.
pub fn rename(span: &Span, name: impl FnOnce() -> String) {
    if !span.is_disabled() {
        span.context().span().update_name(name());
    }
}

/// Headers that let who is called go on from the current span: none where it is in no trace.
#[must_use]
pub fn headers() -> Vec<(&'static str, String)> {
    let mut passed = Passed(Vec::new());
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut passed);
    passed.0
}

struct Passed(Vec<(&'static str, String)>);

impl Injector for Passed {
    fn set(&mut self, name: &str, value: String) {
        let known = ["traceparent", "tracestate"].into_iter().find(|known| *known == name);
        self.0.extend(known.filter(|_| !value.is_empty()).map(|known| (known, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_told_at_once_and_then_gathered_for_a_minute() {
        let told = Told { exporter: (), lost: Mutex::default() };
        let lost = |spans| {
            told.tell(spans);
            told.lost.lock().unwrap().spans
        };
        assert_eq!([lost(5), lost(3), lost(4)], [0, 3, 7]);
    }
}

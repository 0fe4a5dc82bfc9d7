//! Where traces go, and of which requests there are some.

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::secret::Secret;
use super::table as t;
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// How long the end of a program waits for the last traces: at most this, and at most a sixteenth of its grace.
const FLUSH: Duration = Duration::from_millis(500);

/// Where traces go, and of which requests there are some.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The address of the collector.
    pub endpoint: String,
    /// Headers that go along, names and values.
    pub headers: Vec<(String, Secret)>,
    /// What the program is called.
    pub service: String,
    /// Which requests have a trace.
    pub sampler: Sampler,
    /// How long the end of the program may wait for the last of them.
    pub flush: Duration,
}

/// Which requests have a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether a caller who says so decides.
    pub by_caller: bool,
    /// The share of all others, 0 to 1.
    pub share: f64,
}

impl Traces {
    /// What a build says that cannot make any.
    pub(crate) const NOT_BUILT: &str = "needs a build with the feature otlp: `cargo build --features otlp`";

    /// `Some(None)` where no collector is named. `program` is what the program is called unless it is told otherwise.
    pub fn read(reader: &mut Reader, program: &str, grace: Option<Duration>) -> Option<Option<Self>> {
        let endpoint = reader.optional(&t::OTEL_EXPORTER_OTLP_ENDPOINT, endpoint);
        let headers = reader.optional(&t::OTEL_EXPORTER_OTLP_HEADERS, headers);
        let service = reader.optional(&t::OTEL_SERVICE_NAME, parse::text);
        let sampler = reader.get(&t::OTEL_TRACES_SAMPLER, sampler);
        let share = reader.get(&t::OTEL_TRACES_SAMPLER_ARG, share);
        if matches!(endpoint, Some(Some(_))) && !cfg!(feature = "otlp") {
            reader.fault(&t::OTEL_EXPORTER_OTLP_ENDPOINT, Self::NOT_BUILT);
        }
        let (headers, service) = (headers?.unwrap_or_default(), service?.unwrap_or_else(|| program.to_owned()));
        let ((by_caller, fixed), share) = (sampler?, share?);
        let sampler = Sampler { by_caller, share: fixed.unwrap_or(share) };
        let flush = FLUSH.min(grace? / 16);
        Some(endpoint?.map(|endpoint| Self { endpoint, headers, service, sampler, flush }))
    }
}

/// A scheme, a host, perhaps a port and a path. A user or a password would be shown.
fn endpoint(text: &str) -> Parsed<String> {
    let rule = "a URL like http://localhost:4318, without a user, a password or a query";
    let text = text.trim();
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).ok_or(rule)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let named = !authority.is_empty() && !authority.starts_with(':') && authority.bytes().all(plain);
    let port = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).map(|(_, port)| port.parse::<u16>());
    let path = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte));
    if named && path && port.is_none_or(|port| port.is_ok()) { Ok(text.to_owned()) } else { Err(rule) }
}

/// As in the W3C's `baggage`: `name=value` with commas between, values as in a URL.
fn headers(text: &str) -> Parsed<Vec<(String, Secret)>> {
    let rule = "headers like name=value,other=value, the values encoded as in a URL";
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let name = name.trim();
        let good =
            !name.is_empty() && name.bytes().all(token) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        good.then(|| (name.to_ascii_lowercase(), Secret::new(value)))
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| header(pair).ok_or(rule)).collect()
}

/// Whether a caller decides first, and the share where it needs no other setting.
fn sampler(text: &str) -> Parsed<(bool, Option<f64>)> {
    let rule = "always_on, always_off or traceidratio, or one of these behind parentbased_";
    let text = text.trim().to_lowercase();
    let (by_caller, name) = text.strip_prefix("parentbased_").map_or((false, text.as_str()), |name| (true, name));
    match name {
        "always_on" => Ok((by_caller, Some(1.0))),
        "always_off" => Ok((by_caller, Some(0.0))),
        "traceidratio" => Ok((by_caller, None)),
        _ => Err(rule),
    }
}

fn share(text: &str) -> Parsed<f64> {
    text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or("a number from 0 to 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Traces>, String> {
        let mut reader = Reader::of_pairs(pairs.iter().copied());
        let traces = Traces::read(&mut reader, "a-program", Some(Duration::from_secs(30)));
        reader.finish(traces).map_err(|faults| faults.to_string())
    }

    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://[::1]:4318/otlp");

    #[test]
    fn a_collector_needs_a_build_that_makes_traces() {
        assert_eq!(read(&[]), Ok(None));
        let read = read(&[COLLECTOR, ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20hunter2, x-tenant=7")]);
        if !cfg!(feature = "otlp") {
            let told = read.unwrap_err();
            assert!(
                told.contains("OTEL_EXPORTER_OTLP_ENDPOINT (environment): needs a build with the feature otlp"),
                "{told}"
            );
            return;
        }
        let traces = read.unwrap().unwrap();
        assert!(!format!("{traces:?}").contains("hunter2"));
        let headers: Vec<_> = traces.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(headers, [("authorization", "Bearer hunter2"), ("x-tenant", "7")]);
        assert_eq!((traces.service.as_str(), traces.flush), ("a-program", FLUSH));
        assert_eq!(traces.sampler, Sampler { by_caller: true, share: 1.0 });
    }

    #[test]
    fn a_sampler_is_one_of_the_standard_names() {
        for (name, by_caller, share) in [
            ("always_on", false, 1.0),
            ("always_off", false, 0.0),
            ("traceidratio", false, 0.25),
            ("parentbased_always_off", true, 0.0),
            ("ParentBased_TraceIdRatio", true, 0.25),
        ] {
            assert_eq!(
                sampler(name).map(|(first, fixed)| (first, fixed.unwrap_or(0.25))),
                Ok((by_caller, share)),
                "{name}"
            );
        }
    }

    #[test]
    fn what_cannot_be_right_is_told_by_name_and_without_a_secret() {
        for (name, values) in [
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &[
                    "localhost:4318",
                    "grpc://x:1",
                    "http://",
                    "http://:4318",
                    "http://a:b@c",
                    "http://a/?k=hush",
                    "http://a:99999",
                    "http://a b",
                ][..],
            ),
            ("OTEL_EXPORTER_OTLP_HEADERS", &["hush", "=hush", "a b=hush", "a=hush%0A", "a=1,hush"]),
            ("OTEL_TRACES_SAMPLER", &["jaeger_remote", "on"]),
            ("OTEL_TRACES_SAMPLER_ARG", &["2", "-0.1", "NaN", "half"]),
        ] {
            for value in values {
                let told = read(&[(name, value)]).unwrap_err();
                assert!(told.contains(&format!("{name} (environment): must be")), "{name}={value}: {told}");
                assert!(name != "OTEL_EXPORTER_OTLP_HEADERS" || !told.contains("hush"), "{told}");
            }
        }
    }
}

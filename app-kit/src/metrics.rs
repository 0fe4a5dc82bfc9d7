//! Numbers for Prometheus. Whoever counts uses the facade `metrics` alone; this is what gathers and shows them.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// The type of Prometheus' text format.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds, in seconds, of what is counted as `*_seconds`: from a call in memory to a service that hangs.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

static OF_PROCESS: OnceLock<Option<Metrics>> = OnceLock::new();

/// Everything that this process counts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// What gathers the numbers of the process, from its first call on; `None` where something else gathers them already.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        OF_PROCESS.get_or_init(Self::install).clone()
    }

    fn install() -> Option<Self> {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS);
        let recorder = builder.ok()?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok().map(|()| Self { handle })
    }

    /// All of it in the text format of Prometheus.
    #[must_use]
    pub fn text(&self) -> String {
        self.handle.render()
    }

    /// Puts what was measured into its buckets. To be called every few seconds: until then each sample takes room.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_and_seconds_have_buckets() {
        let metrics = Metrics::of_process().unwrap();
        metrics::counter!("of_this_test_total", "outcome" => "good").increment(2);
        metrics::histogram!("of_this_test_seconds").record(0.02);
        Metrics::of_process().unwrap().tidy();
        let text = metrics.text();
        for line in [r#"of_this_test_total{outcome="good"} 2"#, r#"of_this_test_seconds_bucket{le="0.025"} 1"#] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}

//! Traces: what the spans of the target [`TRACES`](chatcore::TRACES) tell, for a collector that speaks OTLP. In a build with
//! the feature `otlp`; any other makes none, and its settings refuse a collector.

#[cfg(feature = "otlp")]
mod otlp;
#[cfg(not(feature = "otlp"))]
#[path = "traces/without.rs"]
mod otlp;

pub(crate) use otlp::{Sending, start};
pub use otlp::{follow, headers, rename};

use tracing_subscriber::{Layer, Registry};

/// Something that takes spans.
pub(crate) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

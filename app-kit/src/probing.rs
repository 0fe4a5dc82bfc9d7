//! Whether a dependency is well, as both programs' health reports tell it.

use chatcore::port::Probe;

/// Looks; what is wrong goes to the log.
pub async fn is_well(probe: &dyn Probe) -> bool {
    let checked = probe.check().await;
    if let Err(error) = &checked {
        tracing::warn!(dependency = probe.name(), source = %error.source, "a dependency is unhealthy");
    }
    checked.is_ok()
}

/// The word for it.
#[must_use]
pub fn word(healthy: bool) -> &'static str {
    if healthy { "healthy" } else { "unhealthy" }
}

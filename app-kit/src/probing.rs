//! How a dependency is, as both programs' health reports tell it.

use chatcore::port::{Health, Probe};

/// How a dependency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// All of it is there.
    Healthy,
    /// Some of it is not.
    Degraded,
    /// It is not there.
    Unhealthy,
}

impl Found {
    /// Whether it can be worked with.
    #[must_use]
    pub fn serves(self) -> bool {
        self != Self::Unhealthy
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Looks; what is wrong goes to the log.
pub async fn look(probe: &dyn Probe) -> Found {
    let dependency = probe.name();
    match probe.check().await {
        Ok(Health::Well) => Found::Healthy,
        Ok(Health::Partly(what)) => {
            tracing::warn!(dependency, what, "a dependency is degraded");
            Found::Degraded
        }
        Err(error) => {
            tracing::warn!(dependency, source = %error.source, "a dependency is unhealthy");
            Found::Unhealthy
        }
    }
}

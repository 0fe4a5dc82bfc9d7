//! What parts warn of, for a command that has no log and tells it by itself.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Whose it is: `redis`, or `settings` for the program's own.
    pub of: &'static str,
    /// What it says, with its values.
    pub said: String,
}

/// The warnings that came since they were taken last, in their order.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<Warning>>>);

impl Warnings {
    /// Begins to gather those of the whole process. Where there is a log, they go there and nothing is gathered.
    #[must_use]
    pub fn gather() -> Self {
        let warnings = Self::default();
        _ = warnings.subscriber().try_init();
        warnings
    }

    fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        tracing_subscriber::registry().with(self.clone().with_filter(LevelFilter::WARN))
    }

    /// Takes what has come.
    #[must_use]
    pub fn take(&self) -> Vec<Warning> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(of) = part(event.metadata().target()) else { return };
        let mut told = Told::default();
        event.record(&mut told);
        let said = if told.values.is_empty() { told.said } else { format!("{} ({})", told.said, told.values) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Warning { of, said });
    }
}

/// Whose a warning is; `None` for those of crates that are not the project's.
fn part(target: &'static str) -> Option<&'static str> {
    let name = target.split("::").next().unwrap_or(target);
    match name.strip_prefix("chatcore_") {
        Some(part) => Some(part),
        None => (name == "chatcore" || name.starts_with("app_")).then_some("settings"),
    }
}

#[derive(Default)]
struct Told {
    said: String,
    values: String,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.said = format!("{value:?}");
            return;
        }
        let comma = if self.values.is_empty() { "" } else { ", " };
        _ = write!(self.values, "{comma}{} {value:?}", field.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_gathered_with_whose_they_are_and_their_values() {
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.subscriber(), || {
            tracing::warn!(target: "chatcore_shelf::check", "sessions may be lost");
            tracing::warn!(wanted = 3, room = 1, "too few");
            tracing::info!("no warning");
            tracing::warn!(target: "somebody::else", "not ours");
        });
        let warning = |of, said: &str| Warning { of, said: said.to_owned() };
        let told = [warning("shelf", "sessions may be lost"), warning("settings", "too few (wanted 3, room 1)")];
        assert_eq!((warnings.take(), warnings.take()), (told.to_vec(), Vec::new()));
    }
}

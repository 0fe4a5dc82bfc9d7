//! What this process tells in its log, from warnings on.

use std::fmt::Debug;
use std::sync::{Mutex, Once};
use tracing::field::Field;

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

struct Warnings(Mutex<Vec<String>>);

/// All that was told since this was called first.
pub(crate) fn warnings() -> Vec<String> {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| tracing::subscriber::set_global_default(&WARNINGS).unwrap());
    WARNINGS.0.lock().unwrap().clone()
}

impl tracing::Subscriber for &'static Warnings {
    fn enabled(&self, of: &tracing::Metadata<'_>) -> bool {
        *of.level() <= tracing::Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| text += &format!("{field}={value:?} "));
        self.0.lock().unwrap().push(text);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

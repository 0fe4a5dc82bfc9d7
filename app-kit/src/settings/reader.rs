//! Reads setting after setting and gathers what is wrong, so that all of it is told at once.

use super::fault::{Fault, Faults};
use super::parse::Parsed;
use super::show;
use super::source::{Given, Origin, Sources};
use super::table::Spec;
use std::collections::BTreeMap;

/// Reads settings, of the process or of a test.
pub struct Reader {
    sources: Sources,
    faults: Vec<Fault>,
    of_parts: Vec<String>,
    read: BTreeMap<&'static str, Given>,
}

impl Reader {
    /// Reads the environment and `.env`.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(Sources::of_process())
    }

    /// Reads these pairs as if they were all that stands in the environment: for tests.
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(Sources::of_pairs(pairs))
    }

    fn new(sources: Sources) -> Self {
        Self { sources, faults: Vec::new(), of_parts: Vec::new(), read: BTreeMap::new() }
    }

    /// The value of a setting, or of its default.
    pub fn get<T>(&mut self, spec: &'static Spec, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        self.get_or(spec, spec.default, parse)
    }

    /// The same with a default that depends on others.
    pub fn get_or<T>(&mut self, spec: &'static Spec, default: &str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let unset = || Given { value: default.to_owned(), origin: Origin::Default };
        let given = self.sources.take(spec)?.unwrap_or_else(unset);
        let parsed = parse(&given.value);
        let shown = given.shown(spec).map(|value| format!(", not `{value}`")).unwrap_or_default();
        self.read.insert(spec.name, given);
        parsed.map_err(|rule| self.fault(spec, format!("must be {rule}{shown}"))).ok()
    }

    /// A setting that may be absent.
    pub fn optional<T>(&mut self, spec: &'static Spec, parse: impl Fn(&str) -> Parsed<T>) -> Option<Option<T>> {
        self.get(spec, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
    }

    /// The value of a setting that was read, where it is good: for what settings have to do with each other.
    pub fn seen<T>(&self, spec: &Spec, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        parse(&self.read.get(spec.name)?.value).ok()
    }

    /// Whether somebody gave a setting that was read.
    #[must_use]
    pub fn is_given(&self, spec: &Spec) -> bool {
        self.read.get(spec.name).is_some_and(|given| given.origin != Origin::Default)
    }

    /// Something that is wrong with a setting that was read.
    pub fn fault(&mut self, spec: &Spec, what: impl Into<String>) {
        let origin = self.read.get(spec.name).map_or(Origin::Default, |given| given.origin.clone());
        self.faults.push(Fault { name: spec.name.into(), origin, what: what.into() });
    }

    /// Looks for what no part can be made of, where `always`; else only where something is wrong already, so that all of it
    /// is told: a program that can start looks when it makes its parts.
    pub fn look(&mut self, always: bool, look: impl FnOnce() -> Vec<String>) {
        if always || !self.faults.is_empty() || !self.sources.faults.is_empty() {
            self.of_parts = look();
        }
    }

    /// A sentence for each name that is none but looks like one.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.sources.warnings()
    }

    /// Every setting with its value, read or not, a line each; what is or may be a secret as `***`.
    #[must_use]
    pub fn print(&self) -> String {
        show::print(|spec| match self.read.get(spec.name) {
            Some(given) => given.shown(spec),
            None => self.sources.shown(spec),
        })
    }

    /// What was read, if nothing is wrong.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn finish<T>(mut self, settings: Option<T>) -> Result<T, Faults> {
        let warnings = self.warnings();
        self.sources.faults.append(&mut self.faults);
        let faults = Faults { all: self.sources.faults, of_parts: self.of_parts, warnings };
        settings.filter(|_| faults.all.is_empty() && faults.of_parts.is_empty()).ok_or(faults)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

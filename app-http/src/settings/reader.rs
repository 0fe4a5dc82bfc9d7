//! Reads setting after setting and gathers what is wrong, so that all of it is told at once.

use super::fault::{Fault, Faults};
use super::parse::Parsed;
use super::source::{Given, Origin, Sources};
use super::table::Spec;
use std::collections::BTreeMap;

pub(super) struct Reader {
    sources: Sources,
    faults: Vec<Fault>,
    read: BTreeMap<&'static str, (&'static Spec, Given)>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, faults: Vec::new(), read: BTreeMap::new() }
    }

    /// The value of a setting, or of its default.
    pub(super) fn get<T>(&mut self, spec: &'static Spec, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        self.get_or(spec, spec.default, parse)
    }

    /// The same with a default that depends on others.
    pub(super) fn get_or<T>(
        &mut self,
        spec: &'static Spec,
        default: &str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        let unset = || Given { value: default.to_owned(), origin: Origin::Default };
        let given = self.sources.take(spec).unwrap_or_else(unset);
        let parsed = parse(&given.value);
        let shown = if spec.secret { String::new() } else { format!(", not `{}`", given.value) };
        self.read.insert(spec.name, (spec, given));
        parsed.map_err(|rule| self.fault(spec, format!("must be {rule}{shown}"))).ok()
    }

    /// A setting that may be absent.
    pub(super) fn optional<T>(&mut self, spec: &'static Spec, parse: impl Fn(&str) -> Parsed<T>) -> Option<Option<T>> {
        self.get(spec, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
    }

    /// Something that is wrong with a setting that was read.
    pub(super) fn fault(&mut self, spec: &Spec, what: impl Into<String>) {
        let origin = self.read.get(spec.name).map_or(Origin::Default, |(_, given)| given.origin.clone());
        self.faults.push(Fault { name: spec.name.into(), origin, what: what.into() });
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.sources.warnings()
    }

    /// The text of each setting that was read, `***` for secrets.
    pub(super) fn shown(&self) -> BTreeMap<&'static str, String> {
        let text = |(spec, given): &(&Spec, Given)| match given.value.as_str() {
            value if spec.secret && !value.is_empty() => "***".to_owned(),
            value => value.to_owned(),
        };
        self.read.iter().map(|(name, read)| (*name, text(read))).collect()
    }

    /// All faults, if there is any.
    pub(super) fn finish(mut self) -> Faults {
        self.sources.faults.append(&mut self.faults);
        Faults(self.sources.faults)
    }
}

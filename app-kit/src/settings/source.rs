//! Where values come from: the environment, then `.env`; each name also as `NAME_FILE`, which names a file to read.

use super::dot_env;
use super::fault::Fault;
use super::near;
use super::table::{Spec, all};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// A value, and where it came from.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) value: String,
    pub(super) origin: Origin,
}

impl Given {
    /// The value, unless it is or may be a secret: what stands in a file was to be read by few, and a URL may name a password.
    pub(super) fn shown(&self, spec: &Spec) -> Option<&str> {
        let is_file = matches!(self.origin, Origin::File(_));
        let is_url = self.value.contains('@') || (self.value.contains("://") && self.value.contains('?'));
        let is_secret = spec.secret && !self.value.is_empty();
        (!is_file && !is_url && !is_secret).then_some(&self.value)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The environment of the process.
    Environment,
    /// The file `.env` in the working directory.
    DotEnv,
    /// The file that this `NAME_FILE` names.
    File(String),
    /// Nobody gave it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::DotEnv => f.write_str(".env"),
            Self::File(name) => write!(f, "the file of {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Everything that was given, by name.
#[derive(Default)]
pub(super) struct Sources {
    given: BTreeMap<String, Given>,
    pub(super) faults: Vec<Fault>,
}

impl Sources {
    /// The environment of the process over the `.env` of the working directory.
    #[expect(clippy::disallowed_methods, reason = "the settings are the one reader of the environment")]
    pub(super) fn of_process() -> Self {
        let mut sources = Self::default();
        sources.add_dot_env(Path::new(".env"));
        sources.add_environment(std::env::vars_os());
        sources
    }

    /// These pairs alone, as if they stood in the environment.
    pub(super) fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sources = Self::default();
        sources.add_environment(pairs.into_iter().map(|(name, value)| (name.into(), value.into())));
        sources
    }

    fn add_environment(&mut self, pairs: impl Iterator<Item = (OsString, OsString)>) {
        for (name, value) in pairs {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => self.add(name, value, Origin::Environment),
                Err(_) if is_ours(&name) => self.fault(&name, Origin::Environment, "is not UTF-8"),
                Err(_) => {}
            }
        }
    }

    fn add_dot_env(&mut self, path: &Path) {
        match std::fs::read(path) {
            Ok(bytes) => self.add_lines(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.fault(".env", Origin::DotEnv, format!("cannot be read: {error}")),
        }
    }

    fn add_lines(&mut self, text: &str) {
        // Editors on Windows may begin a file with a mark.
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let what = match dot_env::read(line) {
                _ if line.contains(char::REPLACEMENT_CHARACTER) => "is not UTF-8",
                Some(pair) => {
                    pair.into_iter().for_each(|(name, value)| self.add(name, value, Origin::DotEnv));
                    continue;
                }
                None => dot_env::ADVICE,
            };
            // Only a name that is known: it may be a piece of a secret.
            let name = Some(dot_env::name(line)).filter(|name| is_ours(name)).unwrap_or(".env");
            self.fault(name, Origin::DotEnv, format!("line {number} {what}"));
        }
    }

    /// An empty value is none: that is how compose files pass on what is not set.
    fn add(&mut self, name: String, value: String, origin: Origin) {
        if !value.is_empty() {
            self.given.insert(name, Given { value, origin });
        }
    }

    /// What was given for a setting; from its file where `NAME_FILE` stands instead. `None` where it cannot be read, which a fault
    /// tells: then it is not missing.
    pub(super) fn take(&mut self, spec: &Spec) -> Option<Option<Given>> {
        let direct = self.given.get(spec.name).cloned();
        let by_file = format!("{}_FILE", spec.name);
        let Some(file) = self.given.get(&by_file).cloned() else {
            let is_told = self.faults.iter().any(|fault| fault.name == spec.name || fault.name == by_file);
            return if direct.is_none() && is_told { None } else { Some(direct) };
        };
        if direct.is_some() {
            self.fault(&by_file, file.origin, format!("stands beside {}: which of the two is meant?", spec.name));
            return Some(direct);
        }
        match std::fs::read_to_string(&file.value).map(without_last_newline) {
            Ok(text) if text.is_empty() => {
                self.fault(&by_file, file.origin, "names a file in which nothing stands");
                None
            }
            Ok(text) => Some(Some(Given { value: text, origin: Origin::File(by_file) })),
            Err(error) => {
                self.fault(&by_file, file.origin, format!("names a file that cannot be read: {error}"));
                None
            }
        }
    }

    /// What is shown of a setting that was not read. Its file is not read for that: it may be another program's.
    pub(super) fn shown<'a>(&'a self, spec: &'a Spec) -> Option<&'a str> {
        match self.given.get(spec.name) {
            Some(direct) => direct.shown(spec),
            None if self.given.contains_key(&format!("{}_FILE", spec.name)) => None,
            None => Some(spec.default),
        }
    }

    /// One line for each name that is not known but looks like one that is.
    pub(super) fn warnings(&self) -> Vec<String> {
        let unknown = self.given.iter().filter(|(name, _)| !is_ours(name));
        let known: Vec<_> = all().map(|spec| spec.name).collect();
        unknown
            .filter_map(|(name, given)| {
                let by_file = || Some(format!("{}_FILE", near::nearest(name.strip_suffix("_FILE")?, &known)?));
                let nearest = near::nearest(name, &known).map(str::to_owned).or_else(by_file)?;
                Some(format!("{name} ({}) is not a setting; is {nearest} meant?", given.origin))
            })
            .collect()
    }

    fn fault(&mut self, name: &str, origin: Origin, what: impl Into<String>) {
        self.faults.push(Fault { name: name.into(), origin, what: what.into() });
    }
}

/// Whether it is the name of a setting, or of the file of one.
pub(super) fn is_ours(name: &str) -> bool {
    all().any(|spec| name.strip_prefix(spec.name).is_some_and(|rest| rest.is_empty() || rest == "_FILE"))
}

fn without_last_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

//! Reads the members of a JSON object one by one and gathers what is wrong, so that a caller is told all of it at once.

use crate::body::FromMembers;
use crate::problem::{FieldFault, Kind, Place, Problem};
use chatcore::error::Invalid;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The members of a JSON object. Those that nobody asks for are ignored.
#[derive(Debug)]
pub struct Members {
    map: Map<String, Value>,
    faults: Vec<FieldFault>,
}

impl FromMembers for Members {
    fn from_members(members: Members) -> Result<Self, Problem> {
        Ok(members)
    }
}

impl Members {
    /// Reads a body. All of it is parsed, ignored members too: what is nested deeper than 127 levels is refused.
    ///
    /// # Errors
    /// It is no JSON, or no object.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Self { map, faults: Vec::new() }),
            Ok(_) => Err(Problem::fault(Place::Pointer("#".into()), "must be a JSON object")),
            Err(error) => Err(Problem::new(Kind::MalformedJson).with_detail(why(body, &error))),
        }
    }

    /// What such a member is that is not `null`, before it is read.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text that must be there.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let text = self.optional_text(name);
        if text.is_none() && !self.faults.iter().any(|fault| fault.place == pointer(name)) {
            self.fault(name, "is missing");
        }
        text
    }

    /// A text that may be absent or `null`.
    pub fn optional_text(&mut self, name: &'static str) -> Option<String> {
        match self.map.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.fault(name, "must be a string");
                None
            }
        }
    }

    /// A text of a type with a rule; it may be absent or `null`.
    pub fn optional<T>(&mut self, name: &'static str, parse: impl Fn(String) -> Result<T, Invalid>) -> Option<T> {
        match parse(self.optional_text(name)?) {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.fault(name, format!("must be {}", invalid.rule));
                None
            }
        }
    }

    /// Something that is wrong with a member.
    pub fn fault(&mut self, name: &'static str, detail: impl Into<Cow<'static, str>>) {
        self.faults.push(FieldFault { detail: detail.into(), place: pointer(name) });
    }

    /// What was read, unless something is wrong.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        read.filter(|_| self.faults.is_empty()).ok_or_else(|| Problem::faults(self.faults))
    }
}

/// Why a body is not taken for JSON. What it holds is not told.
fn why(body: &[u8], error: &serde_json::Error) -> Cow<'static, str> {
    let said = error.to_string();
    if body.iter().all(u8::is_ascii_whitespace) {
        "The body is empty".into()
    } else if said.starts_with("recursion limit") {
        "The body is nested too deeply".into()
    } else if said.starts_with("number out of range") {
        "The body holds a number that is too large".into()
    } else {
        format!("The body is not JSON, from line {} column {} on", error.line(), error.column()).into()
    }
}

fn pointer(name: &str) -> Place {
    Place::Pointer(format!("#/{name}"))
}

//! As much of JSON Schema as the document speaks.

use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a value breaks of a schema. Members that the schema does not name are a fault, too.
pub(crate) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "", &mut faults);
    faults
}

/// What a reference leads to; anything else is itself.
pub(crate) fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => {
            document.pointer(place.trim_start_matches('#')).unwrap_or_else(|| panic!("{place} leads nowhere"))
        }
        None => value,
    }
}

fn check(document: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    let mut fault = |what: String| faults.push(format!("{place}: {what}"));
    if let Some(choice) = resolved(document, schema)["oneOf"].as_array() {
        let told: Vec<_> = choice.iter().map(|schema| self::faults(document, schema, value)).collect();
        if told.iter().filter(|told| told.is_empty()).count() != 1 {
            fault(format!("{value} is not one of the schemas: {told:?}"));
        }
        return;
    }
    if let Some(members) = value.as_object() {
        match known(document, schema) {
            Some(known) => members.keys().filter(|name| !known.contains(name.as_str())).for_each(|name| {
                fault(format!("has a member {name}, which the schema does not name"));
            }),
            None => return,
        }
    }
    parts(document, schema).into_iter().for_each(|schema| part(document, schema, value, place, faults));
}

/// The schema itself, and all that it puts together.
fn parts<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let schema = resolved(document, schema);
    let together = schema["allOf"].as_array().into_iter().flatten();
    let mut all = vec![schema];
    all.extend(together.flat_map(|schema| parts(document, schema)));
    all
}

/// The members that a schema names; `None` where there may be any.
fn known<'a>(document: &'a Value, schema: &'a Value) -> Option<BTreeSet<&'a str>> {
    let parts = parts(document, schema);
    let any = parts.iter().any(|schema| schema["additionalProperties"] == true);
    let names = parts.into_iter().filter_map(|schema| schema["properties"].as_object());
    (!any).then(|| names.flat_map(|members| members.keys().map(String::as_str)).collect())
}

fn part(document: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    let mut fault = |what: String| faults.push(format!("{place}: {what}"));
    if !has_type(schema, value) {
        return fault(format!("{value} is no {}", schema["type"]));
    }
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.contains(value)) {
        fault(format!("{value} is none of {values:?}"));
    }
    if let Some(text) = value.as_str().filter(|text| !allows(schema, text)) {
        fault(format!("{text:?} breaks {schema}"));
    }
    if let Some((schema, text)) = schema.get("contentSchema").zip(value.as_str()) {
        match serde_json::from_str(text) {
            Ok(value) => check(document, schema, &value, place, faults),
            Err(error) => fault(format!("{text:?}: {error}")),
        }
    }
    let mut fault = |what: String| faults.push(format!("{place}: {what}"));
    if let Some(number) = value.as_f64().filter(|number| !within(schema, *number)) {
        fault(format!("{number} breaks {schema}"));
    }
    let missing = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    missing.filter(|name| value.get(name).is_none()).for_each(|name| fault(format!("has no {name}")));
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check(document, schema, value, &format!("{place}/{name}"), faults);
        }
    }
    let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], value, &format!("{place}/{index}"), faults);
        if index as u64 >= most {
            faults.push(format!("{place}: more than {most}"));
        }
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        other => panic!("no type of the document: {other:?}"),
    };
    match &schema["type"] {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

/// Whether a schema allows this text.
pub(crate) fn allows(schema: &Value, text: &str) -> bool {
    let limit = |name: &str| schema[name].as_u64().map(|limit| limit as usize);
    let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(&rust(pattern)).unwrap());
    let length = text.chars().count();
    (schema["format"] != "uuid" || uuid::Uuid::try_parse(text).is_ok_and(|_| text.len() == 36))
        && schema["enum"].as_array().is_none_or(|words| words.contains(&text.into()))
        && pattern.is_none_or(|pattern| pattern.is_match(text))
        && limit("minLength").is_none_or(|min| length >= min)
        && limit("maxLength").is_none_or(|max| length <= max)
        && limit("x-max-bytes").is_none_or(|max| text.len() <= max)
}

/// `\u0000` is `\x{0000}` in the patterns of Rust.
fn rust(pattern: &str) -> String {
    Regex::new(r"\\u([0-9a-f]{4})").unwrap().replace_all(pattern, r"\x{$1}").into_owned()
}

/// Whether a schema allows this number.
pub(crate) fn within(schema: &Value, number: f64) -> bool {
    let limit = |name: &str| schema[name].as_f64();
    limit("minimum").is_none_or(|min| number >= min) && limit("maximum").is_none_or(|max| number <= max)
}

#[test]
fn a_value_that_breaks_a_schema_is_told() {
    let number = json!({ "type": ["integer", "null"], "minimum": 1 });
    let text = json!({ "type": "string", "pattern": "^[^\\u0000]$" });
    let a = json!({ "type": "object", "properties": { "n": number }, "required": ["n"] });
    let b = json!({ "allOf": [{ "$ref": "#/parts/A" }, { "properties": { "t": text } }] });
    let document = json!({ "parts": { "A": a, "B": b } });
    let schema = json!({ "type": "array", "items": { "$ref": "#/parts/B" }, "maxItems": 2 });
    let of = |value: Value| faults(&document, &schema, &value);
    assert_eq!(of(json!([{ "n": 1, "t": "x" }, { "n": null }])), [""; 0]);
    for bad in [
        json!({}),
        json!([{}]),
        json!([{ "n": 0 }]),
        json!([{ "n": "1" }]),
        json!([{ "n": 1, "t": "" }]),
        json!([{ "n": 1, "t": "\u{0}" }]),
        json!([{ "n": 1, "other": 1 }]),
        json!([{ "n": 1 }, { "n": 1 }, { "n": 1 }]),
    ] {
        assert_eq!(of(bad.clone()).len(), 1, "{bad}: {:?}", of(bad.clone()));
    }
}

//! Which package of the project may depend on which. The arrows are the design; cargo only knows that they have no circle.

use crate::run::{cargo, output};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What each package may name among its normal and build dependencies, and what its tests may name besides.
const ALLOWED: &[(&str, &[&str], &[&str])] = &[
    ("chatcore", &[], &[]),
    ("chatcore-ports", &["chatcore"], &[]),
    ("chatcore-ai-demo", &["chatcore"], &["chatcore-ports"]),
    ("chatcore-ai-http", &["chatcore"], &["chatcore-ports"]),
    ("chatcore-auth", &["chatcore"], &["chatcore-ports"]),
    ("chatcore-kafka", &["chatcore"], &["chatcore-ports"]),
    ("chatcore-mongodb", &["chatcore"], &["chatcore-ports"]),
    ("chatcore-redis", &["chatcore"], &["chatcore-ports"]),
    ("chatcore-sqlite", &["chatcore"], &["chatcore-ports"]),
    ("app-kit", &["chatcore", "chatcore-kafka", "chatcore-redis", "chatcore-sqlite"], &["chatcore-ports"]),
    ("app-http", PROGRAM, &[]),
    ("app-worker", PROGRAM, &[]),
    ("chat-sim", &["chatcore", "chatcore-ports"], &[]),
    ("chat-tests", &["chat-sim", "chatcore", "chatcore-ports"], PROGRAM),
    ("xtask", &[], &[]),
];

/// A program wires adapters together, so it may name them all.
const PROGRAM: &[&str] = &[
    "app-kit",
    "chatcore",
    "chatcore-ports",
    "chatcore-ai-demo",
    "chatcore-ai-http",
    "chatcore-auth",
    "chatcore-kafka",
    "chatcore-mongodb",
    "chatcore-redis",
    "chatcore-sqlite",
];

/// Crates that the domain must not pull in, however far away.
const NOT_IN_DOMAIN: &[&str] =
    &["tokio", "async-std", "smol", "actix-web", "axum", "reqwest", "redis", "rskafka", "rusqlite", "mongodb"];

/// How many crates the domain may pull in.
const DOMAIN_CRATES: usize = 25;

/// Every arrow that the design forbids.
pub(crate) fn faults() -> Result<Vec<String>, String> {
    let metadata = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut faults: Vec<String> = packages.iter().flat_map(|package| package_faults(package, &ours)).collect();
    faults.extend(domain_faults()?);
    Ok(faults)
}

fn package_faults(package: &Value, ours: &BTreeSet<&str>) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some((_, normal, tests)) = ALLOWED.iter().find(|row| row.0 == name) else {
        return vec![format!("{name}: the package has no place in xtask/src/arrows.rs")];
    };
    let dependencies = package["dependencies"].as_array().cloned().unwrap_or_default();
    let forbidden = |dependency: &Value| {
        let to = dependency["name"].as_str().unwrap_or_default();
        let in_tests = dependency["kind"] == "dev";
        let allowed = normal.contains(&to) || (in_tests && tests.contains(&to));
        (ours.contains(to) && !allowed).then(|| format!("{name} -> {to}: the design has no such arrow"))
    };
    dependencies.iter().filter_map(forbidden).collect()
}

fn domain_faults() -> Result<Vec<String>, String> {
    let tree = output(&mut cargo(&["tree", "-p", "chatcore", "-e", "normal", "--prefix", "none", "--no-dedupe"]))?;
    let crates: BTreeMap<&str, ()> = tree.lines().filter_map(|line| Some((line.split(' ').next()?, ()))).collect();
    let pulled = crates.keys().filter(|name| **name != "chatcore").count();
    let mut faults: Vec<String> = NOT_IN_DOMAIN
        .iter()
        .filter(|name| crates.contains_key(**name))
        .map(|name| format!("chatcore pulls in {name}"))
        .collect();
    if pulled > DOMAIN_CRATES {
        faults.push(format!("chatcore pulls in {pulled} crates, more than {DOMAIN_CRATES}"));
    }
    println!("chatcore pulls in {pulled} crates (at most {DOMAIN_CRATES})");
    Ok(faults)
}

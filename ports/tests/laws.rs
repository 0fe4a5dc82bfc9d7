//! The docs of the ports and the suite name the same laws.

use chatcore_ports::conformance::{
    ai_gateway, dead_letters, event_bus, outbox, runtime, session_store, throttle, token_issuer, user_directory,
};
use std::collections::BTreeSet;
use std::path::Path;

/// The bold phrases among the laws of a port's docs, as names of tests.
fn promised(file: &str) -> std::io::Result<BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../domain/src/port").join(file);
    let text = std::fs::read_to_string(path)?;
    let docs: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("///")).map(str::trim).collect();
    let bold = docs.join(" ");
    Ok(bold.split("**").skip(1).step_by(2).map(name).collect())
}

fn name(phrase: &str) -> String {
    phrase.replace('\'', "").replace(' ', "_").to_lowercase()
}

fn names<H>(laws: &[chatcore_ports::conformance::Law<H>]) -> BTreeSet<String> {
    laws.iter().map(|law| law.name.to_owned()).collect()
}

#[test]
fn each_law_in_the_docs_of_a_port_has_a_test_of_its_name() -> std::io::Result<()> {
    for (file, tested, laws) in [
        ("session_store.rs", names(session_store::LAWS), 27),
        ("outbox.rs", names(outbox::LAWS), 5),
        ("event_bus.rs", names(event_bus::LAWS), 8),
        ("dead_letters.rs", names(dead_letters::LAWS), 2),
        ("throttle.rs", names(throttle::LAWS), 3),
        ("token_issuer.rs", names(token_issuer::LAWS), 3),
        ("user_directory.rs", names(user_directory::LAWS), 1),
        ("ai_gateway.rs", names(ai_gateway::LAWS), 3),
        ("runtime.rs", names(runtime::LAWS), 5),
    ] {
        let promised = promised(file)?;
        let untested: Vec<_> = promised.difference(&tested).collect();
        assert!(untested.is_empty(), "{file} has laws without a test: {untested:?}");
        let untold: Vec<_> = tested.difference(&promised).collect();
        assert!(untold.is_empty(), "{file} does not tell the laws of these tests: {untold:?}");
        assert!(promised.len() >= laws, "{file} once had {laws} laws, and now has {}", promised.len());
    }
    Ok(())
}

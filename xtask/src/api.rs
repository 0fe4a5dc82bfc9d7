//! The API against its document: schemathesis calls the running server as the document says, once with a token and once
//! as a guest, a TypeScript client that is generated from the document walks it, and a browser shows its pages.

mod pages;
mod server;
mod tools;

use crate::run::{build, output, root, step};
use serde_json::Value;
use server::Server;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tools::Tools;

const DOCUMENT: &str = "app-http/openapi.json";
/// Files of ours, and what they are in the package of ReDoc.
const REDOC: [(&str, &str); 3] = [
    ("redoc.standalone.js.gz", "bundles/redoc.standalone.js"),
    ("redoc.standalone.js.LICENSE.txt", "bundles/redoc.standalone.js.LICENSE.txt"),
    ("redoc.LICENSE", "LICENSE"),
];
/// How many requests each run makes at least, in all of these phases.
const CASES: u64 = 2000;
const PHASES: [&str; 4] = ["examples", "coverage", "fuzzing", "stateful"];

/// Checks all of it.
pub(crate) fn check() -> Result<(), String> {
    let tools = Tools::bring()?;
    build()?;
    redoc_is_the_packages(&tools)?;
    // Where there are no guests, a request without a good token is refused, which is looked at too.
    let users = Server::start(&tools.folder, &[("GUESTS", "off")])?;
    let guests = Server::start(&tools.folder, &[])?;
    let token = format!("Authorization: Bearer {}", users.token()?);
    let as_user = Run::start(&tools, &users, "token", &token, &["--max-examples", "190"])?;
    // Any device is a guest: none is refused.
    let flags = ["--max-examples", "150", "--exclude-checks", "ignored_auth"];
    let as_guest = Run::start(&tools, &guests, "guest", "X-Device-Id: device-4711", &flags)?;
    let walked = walk(&tools);
    let ran = [as_user.end(), as_guest.end()];
    walked?;
    ran.into_iter().collect::<Result<(), _>>()?;
    users.stop()?;
    guests.stop()
}

/// The script in the program is that of the npm package, and so are its licences.
fn redoc_is_the_packages(tools: &Tools) -> Result<(), String> {
    for (ours, theirs) in REDOC {
        let (file, theirs) = (format!("app-http/src/openapi/pages/{ours}"), tools.redoc.join(theirs));
        let theirs = fs::read_to_string(&theirs).map_err(|error| format!("{}: {error}", theirs.display()))?;
        // Without `-f` only what is compressed would be taken.
        if output(Command::new("gzip").args(["-dcf", &file]).current_dir(root()))? != theirs {
            return Err(format!("{file} is not what {} has", tools::REDOC));
        }
    }
    Ok(())
}

/// Generates the types of the client, compiles it, and runs it. Then a browser shows the pages.
fn walk(tools: &Tools) -> Result<(), String> {
    let server = Server::start(&tools.folder, &[])?;
    let bin = |name: &str| Command::new(tools.client.join("node_modules/.bin").join(name));
    step(bin("openapi-typescript").arg(root().join(DOCUMENT)).arg("-o").arg(tools.client.join("schema.d.ts")))?;
    step(bin("tsc").arg("-p").arg(&tools.client))?;
    step(Command::new("node").arg(tools.client.join("walk.js")).arg(&server.url))?;
    pages::show(&server, &tools.folder)?;
    server.stop()
}

/// A run of schemathesis.
struct Run {
    name: &'static str,
    process: Child,
    folder: PathBuf,
}

impl Run {
    /// Starts it with this header in every request.
    fn start(tools: &Tools, server: &Server, name: &'static str, header: &str, flags: &[&str]) -> Result<Self, String> {
        let folder = tools.folder.join(name);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let log = File::create(folder.join("log")).map_err(|error| error.to_string())?;
        println!("\n==> schemathesis, {name}, to {}", folder.display());
        let process = Command::new(tools.python.join("bin/schemathesis"))
            .args(["--no-color", "run", &format!("{}/openapi.json", server.url), "--header", header])
            .args(["--seed", "1", "--report", "json", "--report-json-path", "report.json"])
            .args(flags)
            .env("SCHEMATHESIS_HOOKS", root().join("tests/client/rules.py"))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log)
            .spawn();
        Ok(Self { name, process: process.map_err(|error| format!("schemathesis: {error}"))?, folder })
    }

    /// Waits for it, and looks at what it did.
    fn end(mut self) -> Result<(), String> {
        let status = self.process.wait().map_err(|error| error.to_string())?;
        let report = fs::read_to_string(self.folder.join("report.json")).unwrap_or_default();
        let report: Value = serde_json::from_str(&report).unwrap_or_default();
        let cases = report["test_cases"]["generated"].as_u64().unwrap_or_default();
        println!("schemathesis, {}: {cases} requests, {status}", self.name);
        let fault = fault(&report).or_else(|| (!status.success()).then(|| format!("it ended with {status}")));
        let Some(fault) = fault else { return Ok(()) };
        Err(format!("schemathesis, {}: {fault}\n{}", self.name, read_log(&self.folder)))
    }
}

/// What is wrong with a run, by its report.
fn fault(report: &Value) -> Option<String> {
    let cases = report["test_cases"]["generated"].as_u64().unwrap_or_default();
    let bad = PHASES.into_iter().find(|phase| report["phases"][phase]["status"] != "success");
    match bad {
        Some(phase) => Some(format!("the phase {phase} did not succeed")),
        None => (cases < CASES).then(|| format!("only {cases} requests, not {CASES}")),
    }
}

fn read_log(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    // A line may hold a body of megabytes.
    log.lines().map(|line| line.chars().take(500).collect::<String>() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_good_with_all_its_phases_and_enough_requests() {
        let good = json!({ "status": "success" });
        let phases = json!({ "examples": good, "coverage": good, "fuzzing": good, "stateful": good });
        let report = |cases: u64| json!({ "phases": phases, "test_cases": { "generated": cases } });
        assert_eq!(fault(&report(CASES)), None);
        assert_eq!(fault(&report(CASES - 1)).as_deref(), Some("only 1999 requests, not 2000"));
        let mut skipped = report(CASES);
        skipped["phases"]["stateful"]["status"] = "skip".into();
        assert_eq!(fault(&skipped).as_deref(), Some("the phase stateful did not succeed"));
        assert!(fault(&Value::Null).is_some());
    }
}

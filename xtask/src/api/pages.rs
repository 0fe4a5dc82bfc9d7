//! Swagger UI and ReDoc in a real browser that can reach nothing but the server.

use super::DOCUMENT;
use super::server::Server;
use crate::run::{install, read, unseen};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

const PAGES: [&str; 2] = ["/docs", "/redoc"];
/// ReDoc would load its maker's logo, which the page's policy forbids.
const ALLOWED: &str = "cdn.redoc.ly/redoc/logo-mini.svg";

/// Each shows every operation, and nothing that it wants was refused.
pub(super) fn show(server: &Server, folder: &Path) -> Result<(), String> {
    install(&["chromium"])?;
    let document: Value = serde_json::from_str(&read(DOCUMENT)?).map_err(|error| format!("{DOCUMENT}: {error}"))?;
    let items = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    let operations = items.filter_map(Value::as_object).flat_map(|item| item.values());
    let ids: Vec<&str> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    for page in PAGES {
        let (shown, told) = browse(&format!("{}{page}", server.url), folder)?;
        if let Some(id) = ids.iter().find(|id| !shown.contains(&format!("{id}\""))) {
            return Err(format!("{page} does not show {id} in a browser:\n{told}"));
        }
        if let Some(fault) = told.lines().find(|line| line.contains(":CONSOLE") && !line.contains(ALLOWED)) {
            return Err(format!("{page} in a browser: {fault}"));
        }
        println!("{page} shows all {} operations in a browser", ids.len());
    }
    Ok(())
}

/// What a page became, and the browser's log.
fn browse(url: &str, folder: &Path) -> Result<(String, String), String> {
    // The time is virtual: it stands still while something is loaded.
    let run = Command::new("timeout")
        .args(["120", "chromium"])
        .args(unseen(&folder.join("browser")))
        .args(["--dump-dom", "--enable-logging=stderr", "--virtual-time-budget=10000"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("chromium: {error}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&run.stdout), text(&run.stderr)))
}

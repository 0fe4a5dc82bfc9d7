//! A server in memory, without quotas, whose log may hold no error.

use crate::run::built;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// It ends with this value.
pub(super) struct Server {
    process: Child,
    /// Reads the log to its end, and gives its errors.
    log: Option<JoinHandle<Vec<String>>>,
    pub(super) url: String,
}

impl Server {
    /// Starts it with these settings, and waits until it listens.
    pub(super) fn start(folder: &Path, settings: &[(&str, &str)]) -> Result<Self, String> {
        let always = [("STORE", "memory"), ("PORT", "0"), ("LOG_FORMAT", "json"), ("LOG_LEVEL", "info,access=off")];
        let quotas = [("MESSAGE_QUOTA", "off"), ("GUEST_QUOTA", "off"), ("LOGIN_QUOTA", "off")];
        let mut command = Command::new(built()?.join("app-http"));
        command.env_clear().envs(always).envs(quotas).envs(settings.iter().copied());
        let process = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = process.map_err(|error| format!("app-http: {error}"))?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("app-http has no stdout")?).lines();
        let mut server = Self { process, log: None, url: String::new() };
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| port(&line));
        server.url = format!("http://127.0.0.1:{}", port.ok_or("app-http ended before it listened")?);
        let errors = move || lines.map_while(Result::ok).filter(|line| line.contains("\"level\":\"ERROR\"")).collect();
        server.log = Some(std::thread::spawn(errors));
        Ok(server)
    }

    /// A token of the demo user.
    pub(super) fn token(&self) -> Result<String, String> {
        let body = r#"{"username": "testuser", "password": "testpass"}"#;
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.url.trim_start_matches("http://"))?;
            write!(
                stream,
                "POST /auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )?;
            std::io::read_to_string(stream)
        };
        let answer = asked().map_err(|error| format!("login: {error}"))?;
        let body: Option<Value> = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
        let token = body.and_then(|body| Some(body["access_token"].as_str()?.to_owned()));
        token.ok_or_else(|| format!("login: {answer}"))
    }

    /// Ends it; it must have been alive, without an error in its log.
    pub(super) fn stop(mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.process.try_wait() {
            return Err(format!("app-http ended: {status}"));
        }
        drop(self.process.kill());
        let errors = self.log.take().and_then(|log| log.join().ok()).ok_or("app-http: its log was not read")?;
        if errors.is_empty() { Ok(()) } else { Err(format!("app-http has errors in its log:\n{}", errors.join("\n"))) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The port that a line of the log tells.
fn port(line: &str) -> Option<u64> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "listening").then(|| line["port"].as_u64())?
}

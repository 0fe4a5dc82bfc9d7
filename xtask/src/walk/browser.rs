//! The README's script for a browser, in a real one: what it shows is what is stored, although its first streams break.

use super::{PORT, Started, block, json};
use crate::run::unseen;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Marks the script in the README.
const SCRIPT: &str = "<!-- walk: browser -->\n```js\n";
/// How long the browser may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What calls the script. Its first two streams break off; at the end it tells what it has shown.
const CALLER: &str = r#"
const api = 'http://localhost:API', real = fetch, shown = []
let streams = 0
globalThis.fetch = async (...request) => {
  const response = await real(...request)
  if (++streams > 2) return response
  let left = 500
  const cut = new TransformStream({
    transform(bytes, out) { (left -= bytes.length) < 0 ? out.error('cut') : out.enqueue(bytes) },
  })
  return new Response(response.body.pipeThrough(cut), response)
}
const post = (url, body) => real(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
try {
  const login = await post(`${api}/auth/login`, { username: 'testuser', password: 'testpass' })
  const { access_token } = await login.json()
  const answer = await ask(api, access_token, { message: 'tai nghe dưới 3 triệu' }, (text) => shown.push(text))
  await post('/told', { answer, shown, streams })
} catch (error) {
  await post('/told', { error: String(error) })
}
"#;

/// Runs it against a server that takes its time.
pub(super) fn browse(readme: &str, program: &Path) -> Result<(), String> {
    let script = block(readme, SCRIPT)?;
    let page = format!("<!doctype html><meta charset=utf-8><script type=module>\n{script}{CALLER}</script>");
    let page = page.replace("localhost:API", &format!("localhost:{PORT}"));
    let mut server = Command::new(program);
    let _server = Started::start(server.env_clear().env("AI_DEMO_DELAY", "1s"), PORT, super::Ends::Killed)?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let url = format!("http://{}/", listener.local_addr().map_err(|error| error.to_string())?);
    println!("\n==> the README's script in a browser");
    let profile = std::env::temp_dir().join(format!("browser-{}", std::process::id()));
    let mut browser = Command::new("chromium")
        .args(unseen(&profile))
        .arg(&url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("chromium: {error}"))?;
    let told = told(&listener, &page);
    drop(browser.kill());
    drop(browser.wait());
    drop(fs::remove_dir_all(profile));
    judge(&json(&told?)?)
}

fn judge(told: &Value) -> Result<(), String> {
    let (shown, stored) = (&told["shown"], &told["answer"]["ai_response"]);
    let shown = shown.as_array().filter(|shown| shown.len() > 2 && shown.last() == Some(stored));
    match (shown, told["streams"].as_u64()) {
        (Some(shown), Some(streams @ 3..)) => {
            println!("shown in {} steps, over {streams} streams: {stored}", shown.len());
            Ok(())
        }
        _ => Err(format!("the browser told {told}")),
    }
}

/// Serves the page until it tells something.
fn told(listener: &TcpListener, page: &str) -> Result<String, String> {
    let (tell, heard) = std::sync::mpsc::channel();
    let (listener, page) = (listener.try_clone().map_err(|error| error.to_string())?, page.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Ok(Some(told)) = serve(stream, &page) {
                drop(tell.send(told));
                return;
            }
        }
    });
    heard.recv_timeout(PATIENCE).map_err(|_| format!("the browser told nothing in {PATIENCE:?}"))
}

/// One request: answers the page, or gives the body that was sent.
fn serve(stream: TcpStream, page: &str) -> std::io::Result<Option<String>> {
    let mut reader = BufReader::new(&stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        length = line.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap_or(0));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let is_page = first.starts_with("GET / ");
    let answer = if is_page { page } else { "" };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\nContent-Length";
    (&stream).write_all(format!("{head}: {}\r\n\r\n{answer}", answer.len()).as_bytes())?;
    Ok(first.starts_with("POST /told").then(|| String::from_utf8_lossy(&body).into_owned()))
}

//! The README's script for a browser, in a real one: what it shows is what is stored, although its first streams break.

use super::{PORT, Started, block, json};
use crate::run::unseen;
use serde_json::Value;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Marks the script in the README.
const SCRIPT: &str = "<!-- walk: browser -->\n```js\n";
/// How long the browser may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What calls the script. To its first question a proxy says that it has no answer, though the server has it. Its first streams
/// break off, each after so many bytes; a number below 0 is so many behind the begin of the last event. The last just says no
/// more. At the end it tells what it has shown.
const CALLER: &str = r#"
const api = 'http://localhost:API', real = fetch, shown = [], places = PLACES
let streams = 0, broken = 0, asked = 0
globalThis.fetch = async (...request) => {
  const response = await real(...request)
  if (!asked++) return new Response('<html>Bad gateway</html>', { status: 502 })
  const place = places[streams++]
  if (place === undefined) return response
  const reader = response.body.getReader()
  let left = place < 0 ? Infinity : place
  const cut = {
    async pull(out) {
      if (left <= 0) return ++broken === places.length ? new Promise(() => {}) : out.error(`cut ${broken}`)
      const { value, done } = await reader.read()
      if (done) return out.close()
      const last = new TextDecoder('latin1').decode(value).indexOf('event: done')
      if (place < 0 && last >= 0) left = last - place
      out.enqueue(value.subarray(0, left))
      left -= Math.min(left, value.length)
    },
  }
  return new Response(new ReadableStream(cut, { highWaterMark: 0 }), response)
}
const post = (url, body) => real(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
try {
  const login = await post(`${api}/auth/login`, { username: 'testuser', password: 'testpass' })
  const { access_token } = await login.json()
  const answer = await ask(api, access_token, { message: 'tai nghe dưới 3 triệu\u2028' }, (text) => shown.push(text))
  await post('/told', { answer, shown, streams, broken })
} catch (error) {
  await post('/told', { error: String(error) })
}
"#;

/// How many streams break off.
const BROKEN: u64 = 4;

/// `SEED=7` for the places of another run.
#[expect(clippy::disallowed_methods, reason = "a setting of this run alone")]
fn seed() -> Result<u64, String> {
    match std::env::var("SEED") {
        Ok(seed) => seed.parse().map_err(|_| format!("SEED={seed} is no number")),
        Err(_) => Ok(RandomState::new().hash_one(0) % 1_000_000),
    }
}

/// Where streams break off: anywhere in what is surely there, and within the last event.
fn places(seed: u64) -> [i64; BROKEN as usize] {
    let mut state = seed;
    let mut below = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % most) as i64
    };
    [below(600), below(300), below(150), -1 - below(100)]
}

/// Runs it against a server that takes its time.
pub(super) fn browse(readme: &str, program: &Path) -> Result<(), String> {
    // It waits long for a stream that says nothing, but not as long as here.
    let script = block(readme, SCRIPT)?.replace("30000", "12000");
    let page = format!("<!doctype html><meta charset=utf-8><script type=module>\n{script}{CALLER}</script>");
    let seed = seed()?;
    let page =
        page.replace("localhost:API", &format!("localhost:{PORT}")).replace("PLACES", &format!("{:?}", places(seed)));
    let mut server = Command::new(program);
    let _server = Started::start(server.env_clear().env("AI_DEMO_DELAY", "8s"), PORT, super::Ends::Killed)?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let url = format!("http://{}/", listener.local_addr().map_err(|error| error.to_string())?);
    println!("\n==> the README's script in a browser, with SEED={seed}");
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
    match (shown, told["broken"].as_u64()) {
        (Some(shown), Some(BROKEN)) => {
            println!("shown in {} steps, over {} streams: {stored}", shown.len(), told["streams"]);
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

//! Many streams at once: what each byte takes on its way from the AI through the server to the client, whether any is lost or
//! doubled, and what a stream costs.
//!
//! ```sh
//! cargo build --release --package app-http --package chat-tests --bins --example streams
//! target/release/examples/streams --streams 1000 --seconds 20 --store redis
//! ```
//! The AI says 20 pieces a second, each with its number and the time at which it was said. It, the clients, the server and Redis
//! share the machine. With `--streams 1` it tells the delay of the first piece at light load, over many turns.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]
#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "it fails by a panic")]

#[path = "../it/process.rs"]
#[allow(dead_code, reason = "scenarios use the rest")]
mod process;
#[path = "../../adapters/redis/tests/common/server.rs"]
#[allow(dead_code, reason = "the adapter's own tests use the rest")]
mod servers;
#[path = "../it/stand_in.rs"]
mod stand_in;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream::unfold;
use process::Server;
use serde_json::{Value, json};
use servers::Server as Redis;
use stand_in::{serve, token};
use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, interval_at, sleep};

const SECRET: &str = "wR6yH3dJ5gAcq8fK2mZ0pX7vL4nB9sT1";
/// How often the AI says a piece.
const GAP: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| words.iter().position(|word| word == name).and_then(|place| words.get(place + 1));
    let number = |name: &str, default| value(name).map_or(default, |text| text.parse().unwrap());
    let (streams, seconds) = (number("--streams", 1000), number("--seconds", 20));
    let redis = value("--store").is_some_and(|store| store == "redis").then(Redis::start);
    let pieces = seconds * 20;
    let server = start(&ai(pieces).await, redis.as_ref());
    let reader = Reader {
        client: reqwest::Client::new(),
        url: server.url("/chat/message"),
        token: token(SECRET, "user_123"),
        pieces,
    };
    if streams == 1 {
        return reader.first_pieces().await;
    }
    let before = (memory(&server), redis.as_ref().map(scripts));
    let readers: Vec<_> = (0..streams)
        .map(|number| {
            let reader = reader.clone();
            tokio::spawn(async move {
                // Nobody begins at the same instant.
                sleep(GAP * 20 * u32::try_from(number).unwrap() / u32::try_from(streams).unwrap()).await;
                reader.read().await
            })
        })
        .collect();
    sleep(Duration::from_secs(seconds as u64 / 2)).await;
    let during = memory(&server);
    let mut delays = Vec::new();
    for reader in readers {
        delays.extend(reader.await.unwrap());
    }
    println!("{streams} streams of {pieces} pieces, 20 a second each: none lost, none doubled");
    tell("delay of a piece", delays);
    println!(
        "memory of a stream: {:.1} kB (the server: {} kB, before: {})",
        (during - before.0) as f64 / streams as f64,
        during,
        before.0
    );
    if let (Some(redis), Some(before)) = (&redis, before.1) {
        let calls = (scripts(redis) - before) as f64 / (streams * seconds) as f64;
        println!("calls of Redis: {calls:.1} a second for each stream");
    }
}

/// A server like any other, on a machine that has to do with as little as may be.
fn start(ai: &str, redis: Option<&Redis>) -> Server {
    let url = redis.map(Redis::url);
    let mut settings = vec![("AI", "openai"), ("AI_API_URL", ai), ("AI_MODEL", "words"), ("AI_TIMEOUT", "10m")];
    settings.extend([("MESSAGE_QUOTA", "off"), ("ANSWER_MAX_BYTES", "10MiB"), ("JWT_SECRET_KEY", SECRET)]);
    settings.push(url.as_deref().map_or(("STORE", "memory"), |url| ("REDIS_URL", url)));
    Server::start(&settings)
}

/// Says its pieces in the format of OpenAI. Answers where it is.
async fn ai(pieces: usize) -> String {
    serve(Router::new().route("/v1/chat/completions", post(move || async move { answer(pieces) }))).await + "/v1"
}

fn answer(pieces: usize) -> Response {
    let ticks = interval_at(Instant::now() + GAP, GAP);
    let said = unfold((0, ticks), move |(number, mut ticks)| async move {
        let chunk = |delta: Value, end: Value| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": end });
            format!("data: {}\n\n", json!({ "object": "chat.completion.chunk", "choices": [choice] }))
        };
        if number > pieces {
            return None;
        }
        ticks.tick().await;
        let text = match number == pieces {
            true => chunk(json!({}), json!("stop")) + "data: [DONE]\n\n",
            false => chunk(json!({ "content": format!("{number}:{} ", micros()) }), Value::Null),
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (number + 1, ticks)))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(said)).into_response()
}

#[derive(Clone)]
struct Reader {
    client: reqwest::Client,
    url: String,
    token: String,
    pieces: usize,
}

impl Reader {
    /// Reads a whole answer; how long each piece took.
    async fn read(&self) -> Vec<Duration> {
        let (mut delays, mut done) = (Vec::with_capacity(self.pieces), false);
        let mut response = self.open().await;
        let mut unread = String::new();
        while let Some(bytes) = response.chunk().await.unwrap() {
            let now = micros();
            unread += std::str::from_utf8(&bytes).unwrap();
            while let Some((event, rest)) = unread.split_once("\n\n") {
                done |= event.starts_with("event: done");
                if event.starts_with("event: delta") {
                    let (_, data) = event.split_once("data: ").unwrap();
                    let data: Value = serde_json::from_str(data).unwrap();
                    for piece in data["text"].as_str().unwrap().split_terminator(' ') {
                        let (number, said) = piece.split_once(':').unwrap();
                        assert_eq!(number.parse::<usize>().unwrap(), delays.len(), "each piece once, in order");
                        delays.push(Duration::from_micros(now.saturating_sub(said.parse().unwrap())));
                    }
                }
                unread = rest.to_owned();
            }
        }
        assert!(done && delays.len() == self.pieces, "{} pieces of {}", delays.len(), self.pieces);
        delays
    }

    /// The delay of the first piece of many turns, one after the other.
    async fn first_pieces(&self) {
        let mut first = Vec::new();
        for _ in 0..50 {
            first.push(self.read().await[0]);
        }
        tell("delay of the first piece at light load", first);
    }

    async fn open(&self) -> reqwest::Response {
        let request = self.client.post(&self.url).bearer_auth(&self.token);
        let request = request.header("accept", "text/event-stream").json(&json!({ "message": "say it" }));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        response
    }
}

fn tell(what: &str, mut delays: Vec<Duration>) {
    delays.sort();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!("{what}: median {:.2} ms, 99 % {:.2} ms, longest {:.2} ms", at(0.5), at(0.99), at(1.0));
}

fn micros() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// What a process has in memory, in kB.
fn memory(server: &Server) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// How many scripts were called.
fn scripts(redis: &Redis) -> u64 {
    redis.commands().iter().filter(|(name, _)| name == "evalsha").map(|(_, count)| count).sum()
}

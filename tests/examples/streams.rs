//! Many streams at once: what each byte takes on its way from the AI through the server to the client, whether any is lost or
//! doubled, and what a stream costs.
//!
//! ```sh
//! cargo build --release --package app-http --package chat-tests --bins --example streams
//! target/release/examples/streams --streams 1000 --seconds 20 --store redis
//! ```
//! The AI says 20 pieces a second, each with its number and the time at which it was said. It, the clients, the server and Redis
//! share the machine. With `--streams 1` it tells the delay of the first piece at light load, over many turns. With `--followed`
//! each stream is read along at a second server. With `--check` it ends with 1 if a figure is missed, and says which: a quiet
//! machine meets them all. With `--busy` delays may be ten times as long, and memory twice as much: so it is a part of
//! `cargo xtask test`, without optimisation.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]
#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "it fails by a panic")]

#[path = "../it/pieces.rs"]
mod pieces;
#[path = "../it/process.rs"]
#[allow(dead_code, reason = "scenarios use the rest")]
mod process;
#[path = "../../adapters/redis/tests/common/server.rs"]
#[allow(dead_code, reason = "the adapter's own tests use the rest")]
mod servers;
#[path = "../it/stand_in.rs"]
mod stand_in;

use pieces::{GAP, micros};
use process::Server;
use serde_json::{Value, json};
use servers::Server as Redis;
use stand_in::token;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

const OPTIONS: [&str; 6] = ["--streams", "--seconds", "--store", "--followed", "--check", "--busy"];
const SECRET: &str = "wR6yH3dJ5gAcq8fK2mZ0pX7vL4nB9sT1";
/// What clients send to Redis; the others are run inside of scripts.
const SENT: [&str; 13] = [
    "auth",
    "client|setinfo",
    "config|get",
    "eval",
    "evalsha",
    "hello",
    "info",
    "lrange",
    "ping",
    "subscribe",
    "unsubscribe",
    "xlen",
    "xrange",
];

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| words.iter().position(|word| word == name).and_then(|place| words.get(place + 1));
    let number = |name: &str, default| value(name).map_or(default, |text| text.parse().unwrap());
    let is_given = |name: &str| words.iter().any(|word| word == name);
    let unknown = words.iter().find(|word| word.starts_with('-') && !OPTIONS.contains(&&***word));
    assert!(unknown.is_none(), "{unknown:?} is none of {OPTIONS:?}");
    let streams = number("--streams", 1000);
    let seconds: f64 = value("--seconds").map_or(20.0, |text| text.parse().unwrap());
    let redis = value("--store").is_some_and(|store| store == "redis").then(Redis::start);
    let pieces = (seconds * 20.0) as usize;
    let ai = pieces::ai(pieces).await;
    let server = start(&ai, redis.as_ref());
    let second = is_given("--followed").then(|| start(&ai, Some(redis.as_ref().expect("--store redis"))));
    let reader = Reader {
        client: reqwest::Client::new(),
        url: server.url(""),
        elsewhere: second.as_ref().map(|second| second.url("")),
        token: token(SECRET, "user_123"),
        pieces,
    };
    let mut figures = Figures { busy: is_given("--busy"), missed: Vec::new() };
    match streams {
        1 => reader.first_pieces(&mut figures).await,
        _ => many(streams, &reader, &server, redis.as_ref(), &mut figures).await,
    }
    figures.missed.iter().for_each(|missed| println!("missed: {missed}"));
    ExitCode::from(u8::from(is_given("--check") && !figures.missed.is_empty()))
}

/// What was measured, and what of it is not as promised.
struct Figures {
    busy: bool,
    missed: Vec<String>,
}

impl Figures {
    fn delay(&mut self, what: &str, measured: f64, below: f64) {
        self.tell(what, "ms", measured, if self.busy { below * 10.0 } else { below });
    }

    fn memory(&mut self, what: &str, measured: f64, below: f64) {
        self.tell(what, "kB", measured, if self.busy { below * 2.0 } else { below });
    }

    fn tell(&mut self, what: &str, unit: &str, measured: f64, below: f64) {
        println!("{what}: {measured:.2} {unit} (below {below})");
        if measured >= below {
            self.missed.push(format!("{what}: {measured:.2} {unit}, not below {below}"));
        }
    }
}

async fn many(streams: u32, reader: &Reader, server: &Server, redis: Option<&Redis>, figures: &mut Figures) {
    let (before, commands) = (memory(server), redis.map(commands));
    let readers: Vec<_> = (0..streams)
        .map(|number| {
            // A server lets nobody read along more than a few at once.
            let reader = Reader { token: token(SECRET, &format!("user_{}", number / 50)), ..reader.clone() };
            tokio::spawn(async move {
                // Nobody begins at the same instant.
                sleep(GAP * 20 * number / streams).await;
                let since = Instant::now();
                (reader.read().await, since.elapsed())
            })
        })
        .collect();
    sleep(GAP * reader.pieces as u32 / 2).await;
    let during = memory(server);
    let (mut delays, mut told, mut all) = (Vec::new(), Vec::new(), Duration::ZERO);
    for reader in readers {
        let ((of_asker, of_follower), took) = reader.await.unwrap();
        delays.extend(of_asker);
        told.extend(of_follower);
        all += took;
    }
    println!("{streams} streams of {} pieces, 20 a second each: none lost, none doubled", reader.pieces);
    let (_, p99) = tell("delay of a piece", delays);
    figures.delay("99 % of the delays", p99, 100.0);
    if !told.is_empty() {
        let (_, p99) = tell("delay of a piece at the second server", told);
        figures.delay("99 % of the delays at the second server", p99, 250.0);
    }
    println!("memory of the server: {during} kB, before: {before} kB");
    figures.memory("memory of a stream", (during - before) as f64 / f64::from(streams), 60.0);
    if let (Some(redis), Some(before)) = (redis, commands) {
        let rates = |(name, count): (String, u64)| {
            let count = count - before.get(&name).copied().unwrap_or_default();
            (count > 0).then(|| (name, count as f64 / all.as_secs_f64()))
        };
        let rates: Vec<_> = self::commands(redis).into_iter().filter_map(rates).collect();
        let (sent, in_scripts): (Vec<_>, Vec<_>) = rates.into_iter().partition(|(name, _)| SENT.contains(&&**name));
        println!("sent to Redis, a second for each stream: {sent:.2?}; run inside of scripts: {in_scripts:.2?}");
        let sum = |rates: &[(String, f64)]| rates.iter().map(|(_, rate)| rate).sum::<f64>();
        figures.tell("commands of Redis a second for each stream", "", sum(&sent), 10.0);
        println!("with all that scripts run: {:.2}", sum(&sent) + sum(&in_scripts));
    }
}

/// A server like any other, on a machine that has to do with as little as may be.
fn start(ai: &str, redis: Option<&Redis>) -> Server {
    let url = redis.map(Redis::url);
    let mut settings = pieces::settings(ai).to_vec();
    settings.extend([("MESSAGE_QUOTA", "off"), ("ANSWER_MAX_BYTES", "10MiB"), ("JWT_SECRET_KEY", SECRET)]);
    settings.push(url.as_deref().map_or(("STORE", "memory"), |url| ("REDIS_URL", url)));
    Server::start(&settings)
}

#[derive(Clone)]
struct Reader {
    client: reqwest::Client,
    url: String,
    /// Another server, where each stream is read along.
    elsewhere: Option<String>,
    token: String,
    pieces: usize,
}

impl Reader {
    /// Reads a whole answer, and perhaps reads it along elsewhere; how long each piece took.
    async fn read(&self) -> (Vec<Duration>, Vec<Duration>) {
        let (tell, turn) = oneshot::channel();
        let ask = self.client.post(format!("{}/chat/message", self.url)).json(&json!({ "message": "say it" }));
        let read_along = async {
            let Some(elsewhere) = &self.elsewhere else { return Vec::new() };
            let turn: Value = turn.await.unwrap();
            let of = |name: &str| turn[name].as_str().unwrap();
            let path = format!("/chat/session/{}/turns/{}/stream", of("session_id"), of("message_id"));
            self.pieces_of(self.client.get(elsewhere.clone() + &path), None).await
        };
        tokio::join!(self.pieces_of(ask, Some(tell)), read_along)
    }

    async fn pieces_of(
        &self,
        request: reqwest::RequestBuilder,
        mut tell: Option<oneshot::Sender<Value>>,
    ) -> Vec<Duration> {
        let (mut delays, mut done) = (Vec::with_capacity(self.pieces), false);
        let request = request.bearer_auth(&self.token).header("accept", "text/event-stream");
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let mut unread = String::new();
        while let Some(bytes) = response.chunk().await.unwrap() {
            let now = micros();
            unread += std::str::from_utf8(&bytes).unwrap();
            while let Some((event, rest)) = unread.split_once("\n\n") {
                let data: Value = event.split_once("data: ").map_or(Value::Null, |(_, data)| data.parse().unwrap());
                done |= event.starts_with("event: done");
                if event.starts_with("event: delta") {
                    for piece in data["text"].as_str().unwrap().split_terminator(' ') {
                        let (number, said) = piece.split_once(':').unwrap();
                        assert_eq!(number.parse::<usize>().unwrap(), delays.len(), "each piece once, in order");
                        delays.push(Duration::from_micros(now.saturating_sub(said.parse().unwrap())));
                    }
                } else if let Some(tell) = tell.take_if(|_| event.starts_with("event: turn")) {
                    let _ = tell.send(data);
                }
                unread = rest.to_owned();
            }
        }
        assert!(done && delays.len() == self.pieces, "{} pieces of {}", delays.len(), self.pieces);
        delays
    }

    /// The delay of the first piece of many turns, one after the other.
    async fn first_pieces(&self, figures: &mut Figures) {
        let mut first = Vec::new();
        for _ in 0..50 {
            first.push(self.read().await.0[0]);
        }
        let (median, _) = tell("delay of the first piece at light load", first);
        figures.delay("median of the delays of first pieces", median, 5.0);
    }
}

/// Answers the median and the 99th percentile, in milliseconds.
fn tell(what: &str, mut delays: Vec<Duration>) -> (f64, f64) {
    delays.sort();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!("{what}: median {:.2} ms, 99 % {:.2} ms, longest {:.2} ms", at(0.5), at(0.99), at(1.0));
    (at(0.5), at(0.99))
}

/// What a process has in memory, in kB.
fn memory(server: &Server) -> i64 {
    i64::try_from(process::memory(server.pid(), "VmRSS")).unwrap()
}

/// How often each command was run.
fn commands(redis: &Redis) -> BTreeMap<String, u64> {
    redis.commands().into_iter().collect()
}

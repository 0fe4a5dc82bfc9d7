//! What Redis is asked for behind a message, whoever sends it.

#[path = "../../../adapters/redis/tests/common/monitor.rs"]
mod monitor;

use super::durable;
use super::servers::Server;
use super::wire::Wire;
use crate::client::Client as Reader;
use crate::pieces;
use crate::process::Server as App;
use crate::sse;
use crate::stand_in::token;
use futures_util::future::join_all;
use monitor::{Monitor, Ran};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::time::Instant;

const SECRET: &str = "wR6yH3dJ5gAcq8fK2mZ0pX7vL4nB9sT1";
const MESSAGES: usize = 100;

/// So much more is sent at most for whatever servers ask now and then: what an outbox of 16 parts holds, each few seconds.
fn now_and_then(since: Instant) -> usize {
    20 * (2 + since.elapsed().as_secs() as usize / 4)
}

/// So many messages of one session, one after the other: what was sent meanwhile, and how much of it may be for others.
async fn sent(redis: &Server, app: &App, sender: impl Fn(RequestBuilder) -> RequestBuilder) -> (Vec<String>, usize) {
    let (client, mut session) = (Client::new(), Value::Null);
    let mut ask = async |number: usize| {
        let body = json!({ "message": number.to_string(), "session_id": session });
        let answer = sender(client.post(app.url("/chat/message"))).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        session = answer.json::<Value>().await.unwrap()["session_id"].clone();
    };
    // Before, connections are made, and scripts made known.
    for number in 0..20 {
        ask(number).await;
    }
    let (monitor, since) = (Monitor::of(redis), Instant::now());
    for number in 0..MESSAGES {
        ask(number).await;
    }
    let others = now_and_then(since);
    let by_client = |ran: &Ran| !ran.by_script;
    let script_or_name = |ran: Ran| match ran.name.as_str() {
        "evalsha" => String::from_utf8_lossy(&ran.words[1]).into_owned(),
        _ => ran.name,
    };
    (monitor.seen(redis).into_iter().filter(by_client).map(script_or_name).collect(), others)
}

/// How often each was sent that is sent for messages, and how many others.
fn counts(sent: &[String]) -> (Vec<usize>, usize) {
    let mut names: Vec<_> = sent.to_vec();
    names.sort();
    let of_each: Vec<usize> = names.chunk_by(|one, two| one == two).map(<[_]>::len).collect();
    let (often, seldom): (Vec<_>, Vec<_>) = of_each.into_iter().partition(|count| *count >= MESSAGES / 2);
    (often, seldom.into_iter().sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_user_costs_two_scripts_and_a_guests_one_more() {
    let redis = durable();
    let quotas = [("MESSAGE_QUOTA", "1000/60s"), ("GUEST_QUOTA", "1000/60s")];
    let app = App::start(&[&[("REDIS_URL", &*redis.url()), ("JWT_SECRET_KEY", SECRET)], &quotas[..]].concat());
    let of_user = sent(&redis, &app, |request| request.bearer_auth(token(SECRET, "user_1"))).await;
    let of_guest = sent(&redis, &app, |request| request.header("x-device-id", "device-0001")).await;
    let window = |sent: &(Vec<String>, usize)| sent.0.iter().filter(|name| *name == "lrange").count();
    assert_eq!((window(&of_user), window(&of_guest)), (MESSAGES, MESSAGES), "the window comes along");
    for ((sent, most), each) in [(&of_user, 3), (&of_guest, 4)] {
        let (often, others) = counts(sent);
        assert_eq!(often, [MESSAGES].repeat(each), "{sent:?}");
        assert!(others < *most, "{others} of {most}: {sent:?}");
    }
}

/// What was sent is what went over the wire: nothing is asked twice, and nothing waits for an answer that is not needed.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_user_is_two_round_trips() {
    let redis = durable();
    let wire = Wire::to(redis.port).await;
    let app = App::start(&[("REDIS_URL", &*wire.url()), ("HTTP_WORKERS", "1"), ("MESSAGE_QUOTA", "1000/60s")]);
    let reader = Reader::login(&app).await;
    let mut session = Value::Null;
    let mut ask = async |number: usize| {
        session =
            reader.ask(json!({ "message": number.to_string(), "session_id": session })).await["session_id"].take();
    };
    for number in 0..20 {
        ask(number).await;
    }
    let (before, since) = (wire.trips(), Instant::now());
    for number in 0..MESSAGES {
        ask(number).await;
    }
    let (trips, two_each) = (wire.trips() - before, 2 * MESSAGES as u64);
    let most = two_each + now_and_then(since) as u64;
    assert!((two_each..most).contains(&trips), "{trips} trips for {MESSAGES} messages, {most} at most");
}

/// How many streams there are, and how many pieces each has: six seconds.
const STREAMS: usize = 20;
const PIECES: usize = 120;
/// How many commands a second a stream may cost.
const MOST: f64 = 10.0;

/// What a reader of a stream waits for.
struct Stream {
    response: Response,
    unread: Vec<u8>,
    text: String,
}

impl Stream {
    /// Reads until this event has come; its data.
    async fn until(&mut self, name: &str) -> Value {
        loop {
            let bytes = self.response.chunk().await.unwrap().expect("a stream goes on to its end");
            self.unread.extend(bytes);
            let mut found = None;
            for event in sse::take(&mut self.unread) {
                assert_ne!(event.name, "restart");
                self.text += event.data["text"].as_str().unwrap_or_default();
                found = found.or_else(|| (event.name == name).then_some(event.data));
            }
            if let Some(data) = found {
                return data;
            }
        }
    }

    async fn of(reader: &Reader, path: &str, message: Option<&Value>) -> Self {
        Self { response: reader.stream(path, message, &[]).await, unread: Vec::new(), text: String::new() }
    }
}

/// Asks on one server, reads along on the other; what both have read.
async fn followed(here: &Reader, there: &Reader, number: usize) -> [String; 2] {
    let message = json!({ "message": "say it", "client_message_id": number.to_string() });
    let mut asker = Stream::of(here, "/chat/message", Some(&message)).await;
    let turn = asker.until("turn").await;
    let of = |name: &str| turn[name].as_str().unwrap();
    let path = format!("/chat/session/{}/turns/{}/stream", of("session_id"), of("message_id"));
    let mut follower = Stream::of(there, &path, None).await;
    let (done, told) = tokio::join!(asker.until("done"), follower.until("done"));
    assert_eq!(done, told);
    assert_eq!(done["ai_response"], *asker.text);
    [asker.text, follower.text]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_followed_at_another_server_costs_less_than_ten_commands_a_second() {
    let redis = durable();
    let (ai, url) = (pieces::ai(PIECES).await, redis.url());
    let settings = [&pieces::settings(&ai)[..], &[("MESSAGE_QUOTA", "off"), ("REDIS_URL", &url)]].concat();
    let (one, two) = (App::start(&settings), App::start(&settings));
    let here = Reader::login(&one).await;
    let there = here.at(&two);
    followed(&here, &there, STREAMS).await;
    let (monitor, since) = (Monitor::of(&redis), Instant::now());
    let shown = join_all((0..STREAMS).map(|number| followed(&here, &there, number))).await;
    let seconds = since.elapsed().as_secs_f64() * STREAMS as f64;
    let (mut sent, mut in_scripts) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    for ran in monitor.seen(&redis) {
        let counts = if ran.by_script { &mut in_scripts } else { &mut sent };
        *counts.entry(ran.name).or_default() += 1;
    }
    let commands = sent.values().sum::<usize>() as f64 / seconds;
    println!("{commands:.1} commands a second for each stream: {sent:?}; inside of scripts: {in_scripts:?}");
    for [asked, read] in shown {
        assert_eq!((asked.matches(' ').count(), &asked), (PIECES, &read), "each piece once");
    }
    assert!(commands < MOST, "{commands:.1} commands a second for each stream: {sent:?}");
}

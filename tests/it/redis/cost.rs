//! What Redis is asked for behind a message, whoever sends it.

#[path = "../../../adapters/redis/tests/common/monitor.rs"]
mod monitor;

use super::durable;
use super::servers::Server;
use crate::process::Server as App;
use crate::stand_in::token;
use monitor::{Monitor, Ran};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

const SECRET: &str = "wR6yH3dJ5gAcq8fK2mZ0pX7vL4nB9sT1";
const MESSAGES: usize = 100;

/// So many messages of one session, one after the other; what was sent for them, but for what servers ask now and then.
async fn sent(redis: &Server, app: &App, sender: impl Fn(RequestBuilder) -> RequestBuilder) -> Vec<String> {
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
    let monitor = Monitor::of(redis);
    for number in 0..MESSAGES {
        ask(number).await;
    }
    let by_client = |ran: &Ran| !ran.by_script;
    let script_or_name = |ran: Ran| match ran.name.as_str() {
        "evalsha" => String::from_utf8_lossy(&ran.words[1]).into_owned(),
        _ => ran.name,
    };
    monitor.seen(redis).into_iter().filter(by_client).map(script_or_name).collect()
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
    let window = |sent: &[String]| sent.iter().filter(|name| *name == "lrange").count();
    assert_eq!((window(&of_user), window(&of_guest)), (MESSAGES, MESSAGES), "the window comes along");
    for (sent, each) in [(&of_user, 3), (&of_guest, 4)] {
        let (often, others) = counts(sent);
        assert_eq!(often, [MESSAGES].repeat(each), "{sent:?}");
        assert!(others < MESSAGES / 10, "{sent:?}");
    }
}

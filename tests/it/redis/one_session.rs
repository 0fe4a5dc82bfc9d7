//! Many writers on one session over several servers; and beside it what the same writers lose where a session is a text
//! that is read, added to and written back.

use super::durable;
use super::servers::Server as Redis;
use crate::client::Client;
use crate::process::Server;
use crate::writers::{WRITERS, check, open, within, write};
use serde_json::Value;
use std::time::Duration;

const SERVERS: usize = 4;
const MESSAGES: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_on_one_session_over_four_servers_lose_and_double_nothing() {
    let redis = durable();
    let url = redis.url();
    let servers: Vec<_> =
        (0..SERVERS).map(|_| Server::start(&[("REDIS_URL", &url), ("MESSAGE_QUOTA", "off")])).collect();
    let client = Client::login(&servers[0]).await;
    let clients: Vec<_> = (0..WRITERS).map(|writer| client.at(&servers[writer % SERVERS])).collect();
    let session = open(&client).await;
    within(Duration::from_secs(300), write(&clients, &session, MESSAGES)).await;
    check(&client.history(&session).await, WRITERS, MESSAGES);

    let (written, kept) = (WRITERS * MESSAGES, kept_by_get_append_setex(&redis));
    println!("GET, append, SETEX: of {written} questions and their answers {} are lost", written - kept);
    assert!(kept < written, "it lost nothing, so this test shows nothing");
}

/// How many questions are there once all writers have put each of theirs into the list with its answer.
fn kept_by_get_append_setex(redis: &Redis) -> usize {
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || (0..MESSAGES).for_each(|message| append(redis, &format!("{writer}/{message}"))));
        }
    });
    let session: Vec<Value> = serde_json::from_str(&redis.ask(&["GET", "session"])).unwrap();
    session.len() / 2
}

/// A question and its answer, added to the list of messages in the text of the session.
fn append(redis: &Redis, question: &str) {
    let session = redis.ask(&["GET", "session"]);
    let before = session.strip_suffix(']').map_or("[".to_owned(), |messages| format!("{messages},"));
    let session = format!(r#"{before}{{"user":"{question}"}},{{"assistant":"an answer"}}]"#);
    assert_eq!(redis.ask(&["SETEX", "session", "86400", &session]), "OK");
}

//! Many writers on one session: nothing lost, nothing doubled, no gap.

use crate::client::Client;
use crate::process::Server;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const WRITERS: usize = 8;
const MESSAGES: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_on_one_session_lose_and_double_nothing() {
    let server = Server::start(&[("MESSAGE_QUOTA", "off")]);
    let client = Client::login(&server).await;
    let session = open(&client).await;
    within(Duration::from_secs(120), write(&client, &session)).await;
    check(&client.history(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_they_while_the_server_is_killed_every_second() {
    let mut server = Server::start(&[("MESSAGE_QUOTA", "off"), ("TURN_LEASE", "500ms")]);
    let client = Client::login(&server).await;
    let session = open(&client).await;
    let writing = tokio::spawn({
        let (client, session) = (client.clone(), session.clone());
        async move { within(Duration::from_secs(300), write(&client, &session)).await }
    });
    let mut kills = 0;
    while !writing.is_finished() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.kill();
        server.restart();
        kills += 1;
    }
    writing.await.unwrap();
    assert!(kills >= 2, "the server was killed {kills} times");
    check(&client.history(&session).await);
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| panic!("not done within {limit:?}"))
}

async fn open(client: &Client) -> String {
    let answer = client.ask(json!({"message": "hello", "client_message_id": "open"})).await;
    answer["session_id"].as_str().unwrap().to_owned()
}

async fn write(client: &Client, session: &str) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (client, session) = (client.clone(), session.to_owned());
            tokio::spawn(async move {
                for message in 0..MESSAGES {
                    let name = format!("{writer}/{message}");
                    let body = json!({"message": name, "session_id": session, "client_message_id": name});
                    let answer = client.ask(body).await;
                    assert_eq!(answer["user_message"], name);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

fn check(history: &[Value]) {
    let seqs: Vec<_> = history.iter().filter_map(|message| message["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=history.len() as u64).collect::<Vec<_>>(), "seq has no gap");
    let questions: Vec<_> = history.iter().filter(|message| message["role"] == "user").collect();
    let texts: BTreeSet<_> = questions.iter().filter_map(|message| message["content"].as_str()).collect();
    assert_eq!(questions.len(), WRITERS * MESSAGES + 1);
    assert_eq!(texts.len(), questions.len(), "no question twice");
    let answers: BTreeSet<_> = history.iter().filter_map(|message| message["reply_to"].as_u64()).collect();
    assert_eq!(answers, questions.iter().filter_map(|message| message["seq"].as_u64()).collect(), "an answer to each");
}

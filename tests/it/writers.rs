//! Many writers on one session: nothing lost, nothing doubled, no gap.

use crate::client::Client;
use crate::process::Server;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const WRITERS: usize = 8;
const MESSAGES: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_on_one_session_lose_and_double_nothing() {
    let server = Server::start(&[("MESSAGE_QUOTA", "off")]);
    let client = Client::login(&server).await;
    let session = open(&client).await;
    within(Duration::from_secs(120), write(&vec![client.clone(); WRITERS], &session, MESSAGES)).await;
    check(&client.history(&session).await, WRITERS, MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_they_while_the_server_is_killed_every_second() {
    let mut server = Server::start(&[("MESSAGE_QUOTA", "off"), ("TURN_LEASE", "500ms")]);
    let client = Client::login(&server).await;
    let session = open(&client).await;
    let writing = tokio::spawn({
        let (clients, session) = (vec![client.clone(); WRITERS], session.clone());
        async move { within(Duration::from_secs(300), write(&clients, &session, MESSAGES)).await }
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
    check(&client.history(&session).await, WRITERS, MESSAGES);
}

pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| panic!("not done within {limit:?}"))
}

/// A session with one question.
pub(crate) async fn open(client: &Client) -> String {
    let answer = client.ask(json!({"message": "hello", "client_message_id": "open"})).await;
    answer["session_id"].as_str().unwrap().to_owned()
}

/// Each of these clients asks so many questions, one after the other.
pub(crate) async fn write(clients: &[Client], session: &str, messages: usize) {
    let ask_all = |(writer, client): (usize, &Client)| {
        let (client, session) = (client.clone(), session.to_owned());
        tokio::spawn(async move {
            for message in 0..messages {
                let name = format!("{writer}/{message}");
                let body = json!({"message": name, "session_id": session, "client_message_id": name});
                let answer = client.ask(body).await;
                assert_eq!(answer["user_message"], name);
            }
        })
    };
    let writers: Vec<_> = clients.iter().enumerate().map(ask_all).collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Every question of so many writers is there once, each writer's in order.
pub(crate) fn check(history: &[Value], writers: usize, messages: usize) {
    let questions = questions(history);
    for writer in 0..writers {
        let own = questions.iter().filter_map(|text| text.strip_prefix(&format!("{writer}/"))?.parse().ok());
        assert_eq!(own.collect::<Vec<usize>>(), (0..messages).collect::<Vec<_>>(), "the questions of writer {writer}");
    }
    assert_eq!(questions.len(), writers * messages + 1, "and the one that opened the session");
}

/// The questions of a history that has no gap, and one answer to each of them.
pub(crate) fn questions(history: &[Value]) -> Vec<&str> {
    let seqs: Vec<_> = history.iter().filter_map(|message| message["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=history.len() as u64).collect::<Vec<_>>(), "seq has no gap");
    let questions: Vec<_> = history.iter().filter(|message| message["role"] == "user").collect();
    let asked: Vec<_> = questions.iter().filter_map(|message| message["seq"].as_u64()).collect();
    let answered: Vec<_> = history.iter().filter_map(|message| message["reply_to"].as_u64()).collect();
    assert_eq!(answered, asked, "one answer to each question, in their order");
    assert_eq!(history.len(), asked.len() + answered.len(), "and nothing else");
    questions.into_iter().filter_map(|message| message["content"].as_str()).collect()
}

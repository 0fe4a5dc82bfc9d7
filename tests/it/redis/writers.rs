//! Clients that go on while a store misbehaves, and note how they were treated.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::client::Client;
use crate::writers::questions;
use reqwest::StatusCode;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long an answer may take that says that the store is away: a second, and room for a busy machine. The server itself allows
/// 800 ms, whatever is asked for (`compose::PATIENCE`, the laws of the core, and the adapter's deadline are tested in still time).
pub(super) const REFUSED_WITHIN: Duration = Duration::from_millis(1300);

/// Clients, each with a session of its own in which it asks one question after the other.
pub(crate) struct Writers {
    client: Client,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Asked>>,
}

/// What one of them asked.
struct Asked {
    session: String,
    questions: usize,
    refused: usize,
}

impl Writers {
    /// So many, each after its first answer.
    pub(crate) async fn start(client: &Client, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for writer in 0..count {
            let answer = client.ask(json!({"message": "0", "client_message_id": format!("{writer}/0")})).await;
            let session = answer["session_id"].as_str().unwrap().to_owned();
            tasks.push(tokio::spawn(write(client.clone(), writer, session, stop.clone())));
        }
        Self { client: client.clone(), stop, tasks }
    }

    /// Waits until each has the answer to what it asked last, and sees that nothing was lost or doubled. Answers how often
    /// they were refused.
    pub(crate) async fn end_within(self, limit: Duration) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let (start, mut refused) = (Instant::now(), 0);
        for task in self.tasks {
            let left = limit.saturating_sub(start.elapsed());
            let asked = tokio::time::timeout(left, task).await;
            let asked =
                asked.unwrap_or_else(|_| panic!("a question was not answered {limit:?} after the fault")).unwrap();
            check(&self.client, &asked).await;
            refused += asked.refused;
        }
        refused
    }
}

/// Asks until it is told to stop, and the last question until it is answered.
async fn write(client: Client, writer: usize, session: String, stop: Arc<AtomicBool>) -> Asked {
    let mut asked = Asked { session, questions: 1, refused: 0 };
    while !stop.load(Ordering::Relaxed) {
        let key = format!("{writer}/{}", asked.questions);
        let body =
            json!({"message": asked.questions.to_string(), "session_id": asked.session, "client_message_id": key});
        let mut was_in_hand = false;
        loop {
            let start = Instant::now();
            let (status, wait, answer) = client.try_ask(&body).await.expect("the server answers");
            match status {
                // One that was in hand when the store went away may have been closed before anybody came back to it.
                StatusCode::OK if was_in_hand && answer["status"] == "failed" => break,
                StatusCode::OK => break assert_eq!(answer["status"], "completed", "{answer}"),
                StatusCode::CONFLICT => {}
                StatusCode::SERVICE_UNAVAILABLE => {
                    asked.refused += 1;
                    was_in_hand = true;
                    assert!(start.elapsed() < REFUSED_WITHIN, "a 503 took {:?}", start.elapsed());
                }
                other => panic!("{other}: {answer}"),
            }
            tokio::time::sleep(wait.expect("a refusal says when to come again").min(Duration::from_millis(100))).await;
        }
        asked.questions += 1;
    }
    asked
}

/// Each question once, in order, each with one answer.
async fn check(client: &Client, asked: &Asked) {
    let history = client.history(&asked.session).await;
    let texts: Vec<usize> = questions(&history).iter().filter_map(|text| text.parse().ok()).collect();
    assert_eq!(texts, (0..asked.questions).collect::<Vec<_>>(), "each question once, in order");
}

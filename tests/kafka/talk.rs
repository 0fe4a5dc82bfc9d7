//! Clients that chat, and send nothing twice: each message has to be answered at once. A session that is over is deleted.

use crate::client::Client;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How many turns a session has that is over.
pub(crate) const TURNS: u64 = 5;

/// How many turns each session has had.
pub(crate) type Turns = BTreeMap<String, u64>;

/// Clients that go on until they are told to stop.
pub(crate) struct Talks {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Turns>>,
}

impl Talks {
    /// So many clients at once, each with this pause behind every answer.
    pub(crate) fn start(client: &Client, clients: usize, pause: Duration) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let talk = |_| tokio::spawn(talk(client.clone(), pause, stop.clone(), answered.clone()));
        let clients = (0..clients).map(talk).collect();
        Self { stop, answered, clients }
    }

    /// Turns a second in three windows of this length, the slowest first.
    pub(crate) async fn speeds(&self, window: Duration) -> [f64; 3] {
        let mut speeds = [self.speed(window).await, self.speed(window).await, self.speed(window).await];
        speeds.sort_by(f64::total_cmp);
        speeds
    }

    async fn speed(&self, time: Duration) -> f64 {
        let (start, before) = (Instant::now(), self.answered.load(Ordering::Relaxed));
        tokio::time::sleep(time).await;
        let turns = u32::try_from(self.answered.load(Ordering::Relaxed) - before).unwrap();
        f64::from(turns) / start.elapsed().as_secs_f64()
    }

    /// Ends them, and answers what they have had. Fails where one was refused.
    pub(crate) async fn end(mut self) -> Turns {
        self.stop.store(true, Ordering::Relaxed);
        let mut turns = Turns::new();
        for client in std::mem::take(&mut self.clients) {
            turns.extend(client.await.unwrap());
        }
        turns
    }
}

impl Drop for Talks {
    /// A test that fails takes their server away.
    fn drop(&mut self) {
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

/// One session after the other.
async fn talk(client: Client, pause: Duration, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Turns {
    let mut turns = Turns::new();
    let mut session = None;
    while !stop.load(Ordering::Relaxed) {
        let id = say(&client, session.as_deref()).await;
        answered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(pause).await;
        let had = turns.entry(id.clone()).or_insert(0);
        *had += 1;
        session = match *had < TURNS {
            true => Some(id),
            false => {
                assert_eq!(client.delete(&id).await, StatusCode::OK);
                None
            }
        };
    }
    turns
}

/// One message, sent once, in this session or in a new one; answers which.
pub(crate) async fn say(client: &Client, session: Option<&str>) -> String {
    let mut body = json!({"message": "hello"});
    if let Some(session) = session {
        body["session_id"] = Value::from(session);
    }
    let (status, _, answer) = client.try_ask(&body).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["session_id"].as_str().unwrap().to_owned()
}

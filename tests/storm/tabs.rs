//! Other tabs: each shows a session that several clients ask in, message by message as they are stored, at any server.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::audit::whole;
use crate::sse::{self, Event};
use crate::streams::STUCK;
use crate::talk::patience;
use crate::who::Who;
use crate::world::{USERS, World};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// How long one stays at a server.
const STAYS: Duration = Duration::from_secs(4);

/// Starts all of them.
pub(crate) fn start(world: &Arc<World>) -> impl Iterator<Item = JoinHandle<()>> {
    (0..USERS).map(|user| tokio::spawn(run(world.clone(), user)))
}

async fn run(world: Arc<World>, user: usize) {
    while !world.ledger.stopped() {
        let session = world.shared[user].lock().unwrap().clone();
        match session {
            Some(session) => {
                let (who, world) = (Who::User(user), world.clone());
                Tab { world, who, session, connected: String::new(), shown: Vec::new(), over: false }.show().await;
            }
            None => sleep(Duration::from_millis(50)).await,
        }
    }
}

struct Tab {
    world: Arc<World>,
    who: Who,
    session: String,
    /// When it was connected.
    connected: String,
    /// All messages from the first on.
    shown: Vec<Value>,
    /// The session was deleted, or something is wrong.
    over: bool,
}

impl Tab {
    async fn show(mut self) {
        while !self.world.ledger.stopped() && !self.over {
            self.connect().await;
            if fastrand::u32(..4) == 0 {
                self.catch_up().await;
            }
        }
        self.catch_up().await;
    }

    /// What stands in the history now is shown soon, as it stands there.
    async fn catch_up(&mut self) {
        let (there, end) = (whole(&self.world, self.who, &self.session).await, Instant::now() + STUCK);
        while self.shown.len() < there.len() && !self.over {
            if Instant::now() > end {
                return self.wrong(&format!("hangs behind {:?} of {} messages", self.shown.last(), there.len()));
            }
            self.connect().await;
        }
        // A session that is deleted while it is read has no beginning.
        let is_whole = there.first().is_some_and(|first| first["seq"] == 1);
        if is_whole && !self.over && self.shown[..there.len()] != there {
            self.wrong(&format!("shows {:?}, and there is {there:?}", self.shown));
        }
    }

    async fn connect(&mut self) {
        let (path, last) = (format!("/chat/session/{}/events", self.session), self.shown.len().to_string());
        let (patience, start) = (patience(), Instant::now());
        match self.world.open(self.who, Method::GET, &path, None, Some(&last), patience).await {
            Ok(response) => self.read(response, start + patience.unwrap_or(STAYS)).await,
            Err(Some(said)) if said.status == StatusCode::NOT_FOUND => self.gone(),
            Err(Some(said)) => sleep(said.wait).await,
            Err(None) => sleep(Duration::from_millis(30)).await,
        }
    }

    async fn read(&mut self, mut response: Response, until: Instant) {
        self.world.ledger.count("tabs opened");
        self.connected = self.world.now();
        let mut unread = Vec::new();
        while let Ok(Ok(Some(bytes))) = timeout_at(until, response.chunk()).await {
            unread.extend(bytes);
            sse::take(&mut unread).into_iter().for_each(|event| self.see(event));
        }
    }

    fn see(&mut self, Event { name, id, data }: Event) {
        match name.as_str() {
            _ if self.over => {}
            "message" if data["seq"] == self.shown.len() + 1 => {
                if self.world.is_late(&self.connected, data["timestamp"].as_str().unwrap_or_default()) {
                    self.wrong(&format!("is told too late, at {}, of {data}", self.world.now()));
                }
                self.shown.push(data);
            }
            "error" if data["status"] == 503 => {}
            "error" if data["status"] == 404 => self.gone(),
            _ => self.wrong(&format!("is told {name} {data} behind {:?}", self.shown.last())),
        }
        if !self.over && id != self.shown.len().to_string() {
            self.wrong(&format!("stands at {id}, and shows {:?} last", self.shown.last()));
        }
    }

    /// Only what somebody deletes may be gone.
    fn gone(&mut self) {
        let doomed = self.world.ledger.book().sessions.get(&self.session).is_some_and(|session| session.doomed);
        if !doomed {
            self.wrong("is told that there is no such session");
        }
        self.over = true;
    }

    fn wrong(&mut self, what: &str) {
        self.over = true;
        self.world.ledger.violation(format!("tab: that of {:?} in session {} {what}", self.who, self.session));
    }
}

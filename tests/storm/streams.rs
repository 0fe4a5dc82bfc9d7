//! Clients that read answers as they come. Whatever breaks, they go on behind the last event that they have, at any server; what
//! they show in the end is the stored text.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use crate::ledger::Answer;
use crate::sse::{self, Event};
use crate::talk::{Question, patience};
use crate::who::Who;
use crate::world::{USERS, World};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// How many ask.
const STREAMERS: usize = 6;
/// How long a reader may see nothing new, at whatever servers it is: longer than a round and the pause behind it, in which all
/// runs that an answer needs.
pub(crate) const STUCK: Duration = Duration::from_secs(20);

/// Starts all of them.
pub(crate) fn start(world: &Arc<World>) -> impl Iterator<Item = JoinHandle<()>> {
    (0..STREAMERS).map(|number| tokio::spawn(run(world.clone(), number)))
}

async fn run(world: Arc<World>, number: usize) {
    let (mut asked, mut session) = (0, None);
    while !world.ledger.stopped() {
        asked += 1;
        let question = Question { who: Who::User(number % USERS), key: format!("s{number}.{asked}"), session };
        let answer = ask(&world, question).await;
        session = answer.filter(|_| fastrand::u32(..8) > 0).map(|answer| answer.session().to_owned());
    }
}

/// Asks and reads; then some others read what is all there.
async fn ask(world: &Arc<World>, question: Question) -> Option<Answer> {
    let mut asker = Reader::new(world.clone(), question);
    let answer = asker.read_to_the_end().await;
    if let Some(beside) = asker.beside.take()
        && let Err(panicked) = beside.await
    {
        world.ledger.violation(format!("stream: it cannot be read: {panicked}"));
    }
    if answer.is_some() && fastrand::bool() {
        let shown = fastrand::choice(&asker.before).cloned().unwrap_or_default();
        asker.joined_by(shown).read_to_the_end().await;
    }
    answer
}

/// What a client shows of a turn.
#[derive(Debug, Clone, Default)]
struct Shown {
    text: String,
    /// The last event that it has.
    last: Option<String>,
}

struct Reader {
    world: Arc<World>,
    question: Question,
    /// It asks, where others only read along.
    asks: bool,
    /// Where the turn can be read on.
    path: Option<String>,
    shown: Shown,
    /// What was shown before.
    before: Vec<Shown>,
    done: Option<Value>,
    /// When it was connected, and when it saw something new.
    connected: String,
    moved: Instant,
    /// Where there is no turn any more, or it is stuck.
    given_up: bool,
    /// Who reads along.
    beside: Option<JoinHandle<()>>,
}

impl Reader {
    fn new(world: Arc<World>, question: Question) -> Self {
        let (path, shown, done) = (None, Shown::default(), None);
        let (before, connected, moved) = (Vec::new(), String::new(), Instant::now());
        let (given_up, beside) = (false, None);
        Self { world, question, asks: true, path, shown, before, done, connected, moved, given_up, beside }
    }

    /// Somebody else, who has so much of the turn, and only reads along.
    fn joined_by(&self, shown: Shown) -> Self {
        let other = Self::new(self.world.clone(), self.question.clone());
        Self { asks: false, path: self.path.clone(), shown, ..other }
    }

    /// `None` where there is no end.
    async fn read_to_the_end(&mut self) -> Option<Answer> {
        while self.done.is_none() && !self.given_up {
            self.connect().await;
            sleep(Duration::from_millis(fastrand::u64(..60))).await;
        }
        self.world.ledger.count("streams read to the end");
        self.world.take(&self.question, self.done.clone()?, false)
    }

    /// Asks, or goes on reading. Whoever asks again is told the turn from its beginning.
    async fn connect(&mut self) {
        let (patience, start) = (patience(), Instant::now());
        let path = self.path.clone().filter(|_| !self.asks || fastrand::u32(..4) > 0);
        let opened = match &path {
            Some(path) => {
                self.world.ledger.count("streams resumed");
                let last = self.shown.last.as_deref();
                self.world.open(self.question.who, Method::GET, path, None, last, patience).await
            }
            None => {
                (self.shown, self.moved) = (Shown::default(), if self.path.is_none() { start } else { self.moved });
                let body = self.question.body();
                self.world.open(self.question.who, Method::POST, "/chat/message", Some(&body), None, patience).await
            }
        };
        match opened {
            Ok(response) if response.status() == StatusCode::OK => {
                self.read(response, patience.map(|most| start + most)).await
            }
            // Behind the end there is nothing.
            Ok(_) if self.shown.last.as_ref().is_some_and(|last| last.ends_with("-end")) => self.given_up = true,
            Ok(response) => self.wrong(&format!("was answered {}", response.status())),
            Err(Some(said)) if said.status == StatusCode::NOT_FOUND => self.not_found(),
            Err(Some(said)) => sleep(said.wait).await,
            Err(None) => {}
        }
        self.look_whether_stuck();
    }

    async fn read(&mut self, mut response: Response, until: Option<Instant>) {
        self.connected = self.world.now();
        let mut unread = Vec::new();
        while self.done.is_none() && !self.given_up && self.moved.elapsed() < STUCK {
            let stuck = self.moved + STUCK;
            let Ok(Ok(Some(bytes))) = timeout_at(until.unwrap_or(stuck).min(stuck), response.chunk()).await else {
                return;
            };
            unread.extend(bytes);
            for event in sse::take(&mut unread) {
                // Whoever has seen something wrong has seen enough.
                if !self.given_up {
                    self.see(event);
                }
            }
        }
    }

    fn see(&mut self, Event { name, id, data }: Event) {
        match name.as_str() {
            "turn" => self.see_turn(&data),
            "delta" => {
                self.shown.text += data["text"].as_str().unwrap_or_default();
                if id.split_once('-').and_then(|(_, offset)| offset.parse().ok()) != Some(self.shown.text.len()) {
                    self.wrong(&format!("stands at {id}, and shows {:?}", self.shown));
                }
            }
            "restart" => {
                self.world.ledger.count("streams begun anew");
                self.shown.text.clear();
            }
            "done" if data["ai_response"] == *self.shown.text => {
                if self.world.is_late(&self.connected, data["timestamp"].as_str().unwrap_or_default()) {
                    self.wrong(&format!("is told too late, at {}, of {data}", self.world.now()));
                }
                self.done = Some(data);
            }
            "done" => self.wrong(&format!("shows {:?}, and the answer is {data}", self.shown)),
            "error" if data["status"] == 503 => self.world.ledger.count("streams broken off"),
            "error" if data["status"] == 404 => self.not_found(),
            _ => self.wrong(&format!("was told {name} {data}")),
        }
        if name != "error" {
            self.moved = Instant::now();
        }
        self.shown.last = Some(id);
        self.before.push(self.shown.clone());
    }

    /// Once it is known which turn this is, somebody may read along.
    fn see_turn(&mut self, data: &Value) {
        let of = |name: &str| data[name].as_str().unwrap_or_default();
        let path = format!("/chat/session/{}/turns/{}/stream", of("session_id"), of("message_id"));
        match &self.path {
            Some(known) if *known != path => self.wrong(&format!("was {known}, and is {path}")),
            Some(_) => {}
            None => {
                self.path = Some(path);
                self.beside = fastrand::bool()
                    .then(|| self.joined_by(Shown::default()))
                    .map(|mut other| tokio::spawn(async move { drop(other.read_to_the_end().await) }));
            }
        }
    }

    fn not_found(&mut self) {
        self.world.not_found(&self.question);
        self.given_up = true;
    }

    fn look_whether_stuck(&mut self) {
        if self.done.is_none() && self.moved.elapsed() > STUCK {
            self.world
                .ledger
                .violation(format!("hang: the answer to {:?} does not go on, behind {:?}", self.question, self.shown));
            self.given_up = true;
        }
    }

    fn wrong(&mut self, what: &str) {
        self.given_up = true;
        let whose = if self.asks { "the asker's" } else { "a reader's" };
        self.world.ledger.violation(format!("stream: {whose} of {:?} {what}", self.question.text()));
    }
}

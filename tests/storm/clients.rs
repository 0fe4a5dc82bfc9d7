//! Those who ask.

use crate::ai::{SLOW, UNHURRIED};
use crate::ledger::Answer;
use crate::talk::Question;
use crate::who::Who;
use crate::world::{USERS, World};
use reqwest::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Clients that ask until they have an answer.
const TALKERS: usize = 18;
/// Clients that ask once, hang up and never come back: only the sweeper ends what their server left.
const QUITTERS: usize = 4;
/// Clients that delete a session in which a question is being answered.
const SPOILERS: usize = 2;

/// Starts all of them.
pub(crate) fn start(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let talkers = (0..TALKERS).map(|number| {
        let talker =
            Talker { world: world.clone(), number, user: number % USERS, asked: 0, own: None, told: Vec::new() };
        tokio::spawn(talker.run())
    });
    let quitters = (0..QUITTERS).map(|number| tokio::spawn(quit(world.clone(), number)));
    let spoilers = (0..SPOILERS).map(|number| tokio::spawn(spoil(world.clone(), number)));
    talkers.chain(quitters).chain(spoilers).collect()
}

struct Talker {
    world: Arc<World>,
    number: usize,
    user: usize,
    asked: usize,
    own: Option<String>,
    told: Vec<Answer>,
}

impl Talker {
    async fn run(mut self) {
        while !self.world.ledger.stopped() {
            match fastrand::u32(..1000) {
                0..8 => self.delete_own().await,
                8..12 => self.delete_shared().await,
                12..100 => self.ask_again().await,
                100..115 => self.look_at_deleted().await,
                115..140 => self.own = None,
                140..600 => {
                    let answer = self.ask(self.own.clone()).await;
                    self.own = answer.map(|answer| answer.session().to_owned());
                }
                _ => self.ask_in_shared().await,
            }
            sleep(Duration::from_millis(fastrand::u64(..10))).await;
        }
    }

    async fn ask(&mut self, session: Option<String>) -> Option<Answer> {
        self.asked += 1;
        let key = format!("{}.{}", self.number, self.asked);
        let answer = self.world.talk(&Question { who: Who::User(self.user), key, session }).await;
        self.told.extend(answer.clone());
        answer
    }

    async fn ask_in_shared(&mut self) {
        let shared = self.world.shared[self.user].lock().unwrap().clone();
        let answer = self.ask(shared.clone()).await;
        // Whoever opened one where there was none shows it to the others.
        let mut now = self.world.shared[self.user].lock().unwrap();
        if *now == shared {
            *now = answer.map(|answer| answer.session().to_owned());
        }
    }

    async fn delete_own(&mut self) {
        if let Some(session) = self.own.take() {
            self.world.delete(Who::User(self.user), &session).await;
        }
    }

    async fn delete_shared(&mut self) {
        let session = self.world.shared[self.user].lock().unwrap().take();
        if let Some(session) = session {
            self.world.delete(Who::User(self.user), &session).await;
        }
    }

    /// The same key again has the same answer, or none where its session was deleted.
    async fn ask_again(&mut self) {
        let Some(told) = fastrand::choice(&self.told).cloned() else { return };
        self.world.talk(&Question { who: told.who, key: told.key, session: told.target }).await;
    }

    /// A deleted session stays deleted, whatever is asked of it.
    async fn look_at_deleted(&mut self) {
        let deleted: Vec<_> = self.told.iter().filter(|told| self.world.is_deleted(Some(told.session()))).collect();
        let Some(told) = fastrand::choice(&deleted).copied().cloned() else { return };
        let session = told.session().to_owned();
        let path = format!("/chat/session/{session}");
        let said = self.world.any(Who::User(self.user), Method::GET, &path, None, None).await;
        if said.as_ref().is_some_and(|said| said.status == StatusCode::OK) {
            self.world.ledger.violation(format!("I5: a deleted session came back: {said:?}"));
        }
        self.ask(Some(session)).await;
    }
}

async fn quit(world: Arc<World>, number: usize) {
    let mut asked = 0;
    while !world.ledger.stopped() {
        asked += 1;
        let question = special(SLOW, Who::User(number % USERS), &format!("{number}.{asked}"), None);
        world.try_once(&question, Some(Duration::from_millis(fastrand::u64(50..400)))).await;
        sleep(Duration::from_millis(fastrand::u64(300..900))).await;
    }
}

async fn spoil(world: Arc<World>, number: usize) {
    let (mut asked, who) = (0, Who::User(number % USERS));
    while !world.ledger.stopped() {
        asked += 1;
        let key = format!("d{number}.{asked}");
        let Some(answer) = world.talk(&Question { who, key: key.clone(), session: None }).await else { continue };
        let question = special(UNHURRIED, who, &key, Some(answer.session().to_owned()));
        world.try_once(&question, Some(Duration::from_millis(fastrand::u64(30..100)))).await;
        world.delete(who, answer.session()).await;
        sleep(Duration::from_millis(fastrand::u64(200..600))).await;
    }
}

/// A question that the AI knows by its beginning.
fn special(beginning: &str, who: Who, name: &str, session: Option<String>) -> Question {
    let letter = beginning.trim_start_matches("q ");
    Question { who, key: format!("{letter}{name}"), session }
}

//! Guests who log in: what a device was told in its sessions is its user's afterwards, all of it, once, and nobody else's.

use crate::ai::UNHURRIED;
use crate::audit::list_of;
use crate::talk::{Question, patience};
use crate::who::Who;
use crate::world::{USERS, World};
use futures_util::future::join;
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How many clients begin as guests, each time on a new device, and log in as a user of their own. These are numbered behind
/// the other users.
pub(crate) const GUESTS: usize = 4;
const PASSWORD: &str = "known to all of the storm";

/// Writes down the users who can log in; answers where.
pub(crate) fn users_file(folder: &Path) -> PathBuf {
    let (path, hash) = (folder.join("users"), chatcore_auth::hash_password(PASSWORD).unwrap());
    let users = (USERS..USERS + GUESTS).map(|user| format!("user-{user}:user-{user}:{hash}\n"));
    std::fs::write(&path, users.collect::<String>()).unwrap();
    path
}

/// Starts all of them.
pub(crate) fn start(world: &Arc<World>) -> impl Iterator<Item = JoinHandle<()>> {
    (0..GUESTS).map(|number| {
        let guest = Guest { world: world.clone(), number, user: USERS + number, devices: 0, asked: 0 };
        tokio::spawn(guest.run())
    })
}

struct Guest {
    world: Arc<World>,
    number: usize,
    user: usize,
    devices: usize,
    asked: usize,
}

impl Guest {
    async fn run(mut self) {
        while !self.world.ledger.stopped() {
            self.devices += 1;
            self.visit(Who::Guest(self.number + GUESTS * self.devices)).await;
        }
    }

    /// Asks as a guest, logs in, and goes on in the same sessions.
    async fn visit(&mut self, guest: Who) {
        let (user, mut sessions) = (Who::User(self.user), Vec::new());
        for _ in 0..fastrand::usize(1..=3) {
            // Whoever has no answer yet does not know the session, and asks for it as who it was.
            let Some(session) = self.ask("", guest, None).await else { return };
            if fastrand::bool() {
                self.ask("", guest, Some(session.clone())).await;
            }
            sessions.push(session);
        }
        // Something may be asked and not yet answered when the sessions change hands.
        let open = self.question(UNHURRIED.trim_start_matches("q "), guest, fastrand::choice(&sessions).cloned());
        if fastrand::bool() {
            self.world.try_once(&open, Some(Duration::from_millis(fastrand::u64(5..200)))).await;
        }
        self.world.ledger.book().leaving.insert(guest);
        match fastrand::u32(..3) {
            0 => drop(join(self.log_in(guest), self.log_in(guest)).await),
            _ => self.log_in(guest).await,
        }
        self.world.adopted(guest, user, &sessions).await;
        self.world.talk(&Question { who: user, ..open }).await;
        for session in sessions {
            match fastrand::u32(..4) {
                0 => self.world.delete(user, &session).await,
                _ => drop(self.ask("", user, Some(session)).await),
            }
        }
    }

    /// The session of the answer.
    async fn ask(&mut self, kind: &str, who: Who, session: Option<String>) -> Option<String> {
        let question = self.question(kind, who, session);
        self.world.talk(&question).await.map(|answer| answer.session().to_owned())
    }

    fn question(&mut self, kind: &str, who: Who, session: Option<String>) -> Question {
        self.asked += 1;
        Question { who, key: format!("{kind}g{}.{}", self.number, self.asked), session }
    }

    /// Logs in with the device, however often it takes.
    async fn log_in(&self, guest: Who) {
        let name = Who::User(self.user).user_id();
        let body = json!({ "username": name, "password": PASSWORD, "device_id": guest.device_id() });
        loop {
            match self.world.any(guest, Method::POST, "/auth/login", Some(&body), patience()).await {
                Some(said) if said.status == StatusCode::OK => return,
                Some(said) => sleep(said.wait).await,
                None => sleep(Duration::from_millis(30)).await,
            }
        }
    }
}

impl World {
    /// A login of this guest was answered: these sessions are the user's, and in no other's list.
    async fn adopted(&self, guest: Who, user: Who, sessions: &[String]) {
        for session in sessions {
            if let Some(known) = self.ledger.book().sessions.get_mut(session) {
                (known.who, known.before) = (user, Some(guest));
            }
            self.ledger.count("sessions adopted");
        }
        let (his, left) = (list_of(self, user, None).await, list_of(self, guest, None).await);
        if !left.is_empty() {
            self.ledger.violation(format!("adoption: {guest:?} has become {user:?}, and has {left:?}"));
        }
        for session in sessions {
            let count = his.iter().filter(|listed| *listed == session).count();
            if count != 1 {
                self.ledger.violation(format!("adoption: {user:?} has session {session} of {guest:?} {count} times"));
            }
        }
        if let Some(session) = fastrand::choice(sessions) {
            self.is_refused(guest, session).await;
        }
    }

    /// Whose session this was has no part in it any more.
    async fn is_refused(&self, guest: Who, session: &str) {
        loop {
            match self.any(guest, Method::GET, &format!("/chat/session/{session}"), None, None).await {
                Some(said) if said.status == StatusCode::FORBIDDEN => return,
                Some(said) if said.status == StatusCode::SERVICE_UNAVAILABLE => sleep(said.wait).await,
                Some(said) => return self.ledger.violation(format!("adoption: {guest:?} sees {said:?}")),
                None => sleep(Duration::from_millis(30)).await,
            }
        }
    }
}

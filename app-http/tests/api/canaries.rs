//! Many users and guests at once: nobody sees anything of another, and neither log nor numbers hold what anybody says.

use crate::app::{SECRET, send, token_of};
use crate::process::Running;
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::sync::Mutex;

const OWNERS: usize = 50;
const OPERATIONS: usize = 2000;

/// Stands in every text of this owner, and in no other's.
fn canary(owner: usize) -> String {
    format!("canary-{owner:02}-")
}

/// One of those at once; every other one is a guest.
struct Chatter<'a> {
    owner: usize,
    server: &'a Running,
    /// All sessions, with whose they are.
    sessions: &'a Mutex<Vec<(usize, String)>>,
    said: usize,
    seen: usize,
}

impl Chatter<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.server.client.request(method, format!("{}{path}", self.server.url));
        match self.owner % 2 {
            0 => request.bearer_auth(token_of(&format!("user-{}", self.owner))),
            _ => request.header("x-device-id", format!("device-{:04}", self.owner)),
        }
    }

    /// Sends it; the answer holds no other's text.
    async fn send(&mut self, request: RequestBuilder) -> Value {
        let answer = send(request).await;
        let told = format!("{} {:?}", answer.text, answer.headers);
        for other in (0..OWNERS).filter(|other| *other != self.owner) {
            assert!(!told.contains(&canary(other)), "{} sees of {other}: {told}", self.owner);
        }
        self.seen += usize::from(told.contains(&canary(self.owner)));
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    /// A session of this owner, or of any.
    fn session(&self, of_any: bool) -> Option<String> {
        let sessions = self.sessions.lock().unwrap();
        let of_these: Vec<_> = sessions.iter().filter(|(whose, _)| of_any || *whose == self.owner).collect();
        fastrand::choice(of_these).map(|(_, id)| id.clone())
    }

    async fn say(&mut self, session: Option<String>, in_pieces: bool) {
        self.said += 1;
        let text = format!("{}{}", canary(self.owner), self.said);
        // All have the same keys, and each uses one twice.
        let key = format!("key-{}", self.said / 2);
        let body = json!({ "message": text, "session_id": session, "client_message_id": key });
        let request = self.request(Method::POST, "/chat/message").json(&body);
        let answer = if in_pieces {
            self.send(request.header("accept", "text/event-stream")).await
        } else {
            self.send(request).await
        };
        if let (Some(id), Some(_)) = (answer["session_id"].as_str(), answer.get("ai_response")) {
            self.sessions.lock().unwrap().push((self.owner, id.to_owned()));
        }
    }

    async fn act(&mut self) {
        let (own, any) = (self.session(false), self.session(true).unwrap_or_default());
        let path = |id: &str, rest: &str| format!("/chat/session/{id}{rest}");
        match fastrand::u8(0..10) {
            0..3 => self.say(None, false).await,
            3 => self.say(own, true).await,
            4 => self.say(Some(any).filter(|id| !id.is_empty()), false).await,
            5 => drop(self.send(self.request(Method::GET, "/chat/sessions")).await),
            6 => drop(self.send(self.request(Method::GET, &path(&any, "/messages"))).await),
            7 => drop(self.send(self.request(Method::GET, &path(&any, ""))).await),
            8 => drop(self.send(self.request(Method::GET, &path(&own.unwrap_or(any), "/messages"))).await),
            _ if fastrand::bool() => drop(self.send(self.request(Method::DELETE, &path(&any, ""))).await),
            _ => drop(self.send(self.request(Method::GET, &path(&any, "/stream"))).await),
        }
    }
}

#[tokio::test]
async fn two_thousand_operations_of_fifty_owners_show_nobody_anything_of_another() {
    let (directory, seed) = (tempfile::tempdir().unwrap(), fastrand::u64(..));
    fastrand::seed(seed);
    let pairs =
        [("JWT_SECRET_KEY", SECRET), ("MESSAGE_QUOTA", "off"), ("GUEST_QUOTA", "off"), ("SHUTDOWN_GRACE", "4s")];
    let server = Running::start(directory.path(), &[&pairs[..], &[("LOG_LEVEL", "debug")]].concat());
    let sessions = Mutex::new(Vec::new());
    let chat = async |owner| {
        let mut chatter = Chatter { owner, server: &server, sessions: &sessions, said: 0, seen: 0 };
        for _ in 0..OPERATIONS / OWNERS {
            chatter.act().await;
        }
        chatter.seen
    };
    let seen = join_all((0..OWNERS).map(chat)).await;
    assert!(seen.iter().all(|seen| *seen > 3), "each sees its own; seed {seed}: {seen:?}");
    let numbers = server.client.get(format!("{}/metrics", server.url)).send().await.unwrap().text().await.unwrap();
    server.signal("TERM");
    let (code, log) = server.end();
    assert!(code == Some(0) && log.lines().count() > OPERATIONS / 2, "{code:?}");
    for (what, text) in [("the numbers", numbers), ("the log", log)] {
        assert!(!text.contains("canary-"), "{what} hold a text; seed {seed}");
    }
}

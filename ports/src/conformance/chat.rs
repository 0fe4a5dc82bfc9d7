//! An owner at a store, in verbs: each insists on the answer that its name promises.

use chatcore::id::{AttemptId, DeviceId, Key, MessageId, RequestId, SessionId, UserId};
use chatcore::message::{AiReply, Answer, Message, MessagesPage, Products, Status};
use chatcore::owner::Owner;
use chatcore::port::{Outbox, SessionStore};
use chatcore::session::{Session, SessionsPage};
use chatcore::turn::{
    Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Position, Refusal, Replayed, Started, Target, Turn,
    TurnId,
};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A lease that a law waits out.
pub(super) const SHORT: Duration = Duration::from_millis(100);
/// A lease that outlives every law.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// An owner at a store.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) owner: Owner,
}

impl Chat {
    pub(super) fn new(store: &Arc<dyn SessionStore>, user: &str) -> Self {
        Self { store: store.clone(), owner: Owner::User(user_id(user)) }
    }

    pub(super) fn guest(store: &Arc<dyn SessionStore>, device: &str) -> Self {
        Self { store: store.clone(), owner: Owner::Guest(device_id(device)) }
    }

    /// The same owner at another process.
    pub(super) fn at(&self, store: &Arc<dyn SessionStore>) -> Self {
        Self { store: store.clone(), owner: self.owner.clone() }
    }

    /// A question under this key, by an attempt of its own.
    pub(super) fn question(&self, target: Target, key: &str) -> NewTurn {
        NewTurn {
            owner: self.owner.clone(),
            target,
            key: key_of(key),
            body_hash: 7,
            attempt: AttemptId::from(random()),
            message: MessageId::from(random()),
            text: format!("What about {key}? Có gì không?"),
            request_id: Some(request_id(key)),
            quota: None,
            window: 10,
            lease: LONG,
            ttl: LONG,
        }
    }

    pub(super) async fn begin(&self, new: &NewTurn) -> Began {
        self.store.begin_turn(new).await.expect("begin_turn answers")
    }

    pub(super) async fn start(&self, new: &NewTurn) -> Started {
        match self.begin(new).await {
            Began::Started(started) => started,
            other => panic!("{} was to be started, not {other:?}", new.key),
        }
    }

    pub(super) async fn replay(&self, new: &NewTurn) -> Replayed {
        match self.begin(new).await {
            Began::Replayed(replayed) => *replayed,
            other => panic!("{} was to be replayed, not {other:?}", new.key),
        }
    }

    pub(super) async fn refusal(&self, new: &NewTurn) -> Refusal {
        match self.begin(new).await {
            Began::Refused(refusal) => refusal,
            other => panic!("{} was to be refused, not {other:?}", new.key),
        }
    }

    /// A question that opens a session or goes on in one.
    pub(super) async fn ask(&self, target: Target, key: &str) -> Started {
        self.start(&self.question(target, key)).await
    }

    /// A question whose lease is as good as over.
    pub(super) async fn ask_briefly(&self, target: Target, key: &str) -> Started {
        self.start(&NewTurn { lease: SHORT, ..self.question(target, key) }).await
    }

    /// A whole turn: question and answer.
    pub(super) async fn talk(&self, target: Target, key: &str) -> (Turn, Message) {
        let turn = self.ask(target, key).await.turn;
        (turn, self.stored(&turn, &completed("It is good. Tốt.")).await)
    }

    pub(super) async fn extend(&self, turn: &Turn, offset: usize, text: &str, lease: Duration) -> Extended {
        let piece = Piece { offset, text: text.to_owned() };
        self.store.extend_turn(turn, &piece, lease).await.expect("extend_turn answers")
    }

    /// Live text that is kept; answers the stored length. The lease may be over, as long as nobody took the turn.
    pub(super) async fn held(&self, turn: &Turn, offset: usize, text: &str, lease: Duration) -> usize {
        match self.extend(turn, offset, text, lease).await {
            Extended::Held { length } => length,
            other => panic!("the text at {offset} was to be held, not {other:?}"),
        }
    }

    pub(super) async fn finish(&self, turn: &Turn, answer: &Answer) -> Finished {
        self.store.finish_turn(turn, answer).await.expect("finish_turn answers")
    }

    pub(super) async fn stored(&self, turn: &Turn, answer: &Answer) -> Message {
        match self.finish(turn, answer).await {
            Finished::Stored(message) => *message,
            other => panic!("the answer was to be stored, not {other:?}"),
        }
    }

    pub(super) async fn session(&self, id: SessionId) -> Session {
        self.store.session(&self.owner, &id).await.expect("the session is there")
    }

    /// All of the owner's sessions, walked in pages of this size.
    pub(super) async fn sessions(&self, limit: usize) -> Vec<Session> {
        let mut all: Vec<Session> = Vec::new();
        loop {
            let page = SessionsPage { after: all.last().map(Into::into), limit };
            let more = self.store.sessions(&self.owner, &page).await.expect("sessions answers");
            assert!(more.len() <= limit, "a page of {limit} sessions holds {}", more.len());
            assert!(all.len() < 10_000, "the pages of sessions never end");
            match more.is_empty() {
                true => return all,
                false => all.extend(more),
            }
        }
    }

    /// The whole history, oldest first.
    pub(super) async fn history(&self, id: SessionId) -> Vec<Message> {
        let page = MessagesPage { before: None, limit: 100_000 };
        self.store.messages(&self.owner, &id, &page).await.expect("the history is there")
    }

    pub(super) async fn follow(&self, turn: TurnId, from: Position, wait: Duration) -> Followed {
        self.store.follow(&self.owner, &Cursor { turn, from }, wait).await.expect("follow answers")
    }
}

/// A reader of a turn, who keeps what it has read.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) chat: Chat,
    pub(super) turn: TurnId,
    pub(super) text: Vec<u8>,
    pub(super) from: Position,
    pub(super) restarts: usize,
}

impl Reader {
    pub(super) fn new(chat: &Chat, turn: TurnId) -> Self {
        Self { chat: chat.clone(), turn, text: Vec::new(), from: Position::default(), restarts: 0 }
    }

    /// A reader who has read this already.
    pub(super) fn who_read(chat: &Chat, turn: &Turn, read: &[u8]) -> Self {
        let from = Position { fence: turn.fence, offset: read.len() };
        Self { text: read.to_vec(), from, ..Self::new(chat, turn.id) }
    }

    /// One call of `follow`; answers the end, once there is one.
    pub(super) async fn read(&mut self, wait: Duration) -> Option<Message> {
        let Followed { restarted, text, to, end, .. } = self.chat.follow(self.turn, self.from, wait).await;
        if restarted {
            self.text.clear();
            self.restarts += 1;
        }
        self.text.extend(text.as_bytes());
        assert_eq!(to.offset, self.text.len(), "where the reader stands is not what it has read");
        self.from = to;
        end.map(|message| *message)
    }

    /// Reads to the end of the turn: what was read is what was stored.
    pub(super) async fn read_to_end(mut self) -> (Self, Message) {
        for _ in 0..1000 {
            if let Some(end) = self.read(Duration::from_secs(1)).await {
                let read = String::from_utf8_lossy(&self.text).into_owned();
                assert_eq!(read, end.content, "what was read is not the stored answer");
                assert_eq!(self.from.offset, end.content.len(), "the reader does not stand at the end");
                return (self, end);
            }
        }
        panic!("a thousand calls of follow did not come to the end of the turn")
    }
}

/// All events that wait, oldest first.
pub(super) async fn events(outbox: &Arc<dyn Outbox>) -> Vec<chatcore::event::Event> {
    let entries = outbox.claim(100_000, Duration::ZERO).await.expect("claim answers");
    entries.into_iter().map(|entry| entry.event).collect()
}

/// An answer with everything in it.
pub(super) fn answer(status: Status, content: &str) -> Answer {
    let products = Products::from_json(r#"[{"product_id":"p1","price":29500000.10,"mine":{"a":[1,"x \" y"]}}]"#);
    let reply = AiReply {
        products: products.expect("products"),
        intent: Some("product_search".into()),
        confidence: Some(0.875),
    };
    Answer { status, content: content.to_owned(), reply }
}

pub(super) fn completed(content: &str) -> Answer {
    answer(Status::Completed, content)
}

pub(super) fn user_id(name: &str) -> UserId {
    UserId::parse(name).expect("a user id")
}

pub(super) fn device_id(name: &str) -> DeviceId {
    DeviceId::parse(name).expect("a device id")
}

pub(super) fn key_of(text: &str) -> Key {
    Key::parse(text).expect("a key")
}

pub(super) fn request_id(key: &str) -> RequestId {
    RequestId::parse(format!("request-of-{key}")).expect("a request id")
}

pub(super) fn random() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "a harness has no Runtime, and no law depends on an id")]
    Uuid::new_v4()
}

//! A client: sends each message until it is acknowledged, over any server, by send, stream or resumed stream.

use crate::world::World;
use chatcore::ChatService;
use chatcore::chat::{ChatError, OnBusy, SendMessage, TurnEvent};
use chatcore::id::{Key, SessionId};
use chatcore::message::Message;
use chatcore::owner::Owner;
use chatcore::port::Runtime;
use chatcore::turn::{Cursor, Position, Refusal, Target, TurnId};
use chatcore::watch::Watch;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An answer that a client was given.
#[derive(Debug, Clone)]
pub(crate) struct Ack {
    /// Its key.
    pub(crate) key: Key,
    /// What was asked.
    pub(crate) text: String,
    /// Where.
    pub(crate) session: SessionId,
    /// What was answered.
    pub(crate) answer: Message,
}

/// What one try came to.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// An answer.
    Acked(Box<Ack>),
    /// The session is no more, or the key another's.
    Refused,
    /// Once more, after a while.
    Again,
}

/// What a client has seen of a turn's stream.
#[derive(Debug, Clone, Default)]
struct Seen {
    turn: Option<TurnId>,
    text: String,
    at: Position,
}

/// One message of a client, tried until it is acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    world: World,
    message: SendMessage,
    key: Key,
    seen: Arc<Mutex<Seen>>,
}

impl Errand {
    /// This message, under this key.
    pub(crate) fn new(world: World, owner: Owner, target: Target, name: String) -> Self {
        let key = Key::parse(name.as_str()).expect("a short name");
        let text = format!("question {name}");
        // A `Cancel` would end answers that the invariants wait for.
        let on_busy = if world.sim.chance(300) { OnBusy::Wait } else { OnBusy::Reject };
        let message = SendMessage { target, key: Some(key.clone()), on_busy, ..SendMessage::new(owner, text) };
        Self { world, message, key, seen: Arc::default() }
    }

    /// Tries until there is an answer or a refusal.
    pub(crate) async fn run(self) -> Outcome {
        loop {
            match self.attempt().await {
                Outcome::Again => self.world.nap(50, 600).await,
                outcome => return outcome,
            }
        }
    }

    /// One request to one server, given up after a while, as a client that hangs up.
    async fn attempt(&self) -> Outcome {
        let Some((group, service)) = self.world.any_server() else { return Outcome::Again };
        let result = Arc::new(Watch::new(None));
        let (errand, reply, lot) = (self.clone(), result.clone(), self.world.sim.below(3));
        let task = self.world.sim.spawn(group, async move {
            let outcome = errand.request(service, lot).await;
            reply.update(|cell| *cell = Some(outcome));
        });
        let hurry = self.world.sim.chance(100);
        let limit = if hurry { self.world.sim.millis(0, 20) } else { self.world.sim.millis(100, 9000) };
        let outcome = self.world.within(limit, result.wait(Clone::clone)).await;
        self.world.sim.abort(task);
        outcome.unwrap_or(Outcome::Again)
    }

    async fn request(&self, service: ChatService, lot: u64) -> Outcome {
        let turn = self.seen().turn;
        match (lot, turn) {
            (0, _) => self.send(service).await,
            (1, Some(turn)) => {
                let cursor = Cursor { turn, from: self.seen().at };
                match service.follow(self.message.owner.clone(), cursor).await {
                    Ok((_, events)) => self.read(turn, events).await,
                    Err(error) => outcome(error),
                }
            }
            _ => self.stream(service).await,
        }
    }

    async fn send(&self, service: ChatService) -> Outcome {
        match service.send(self.message.clone()).await {
            Ok(answered) => self.acked(answered.turn.session, *answered.answer),
            Err(error) => outcome(error),
        }
    }

    async fn stream(&self, service: ChatService) -> Outcome {
        match service.stream(self.message.clone()).await {
            Ok((begun, events)) => {
                let at = Position { fence: begun.fence, offset: 0 };
                *self.lock() = Seen { turn: Some(begun.turn), text: String::new(), at };
                self.read(begun.turn, events).await
            }
            Err(error) => outcome(error),
        }
    }

    async fn read(&self, turn: TurnId, mut events: BoxStream<'static, TurnEvent>) -> Outcome {
        while let Some(event) = events.next().await {
            match event {
                TurnEvent::Restart { fence } => {
                    let mut seen = self.lock();
                    seen.text.clear();
                    seen.at = Position { fence, offset: 0 };
                }
                TurnEvent::Delta { text, at } => {
                    let mut seen = self.lock();
                    seen.text.push_str(&text);
                    seen.at = at;
                }
                TurnEvent::Done(answer) => {
                    let read = self.seen();
                    assert_eq!(
                        read.text, answer.content,
                        "I9: the text followed is the text stored (at {:?})",
                        read.at
                    );
                    return self.acked(turn.session, *answer);
                }
                TurnEvent::Error(error) => return outcome(error),
                _ => {}
            }
        }
        Outcome::Again
    }

    fn acked(&self, session: SessionId, answer: Message) -> Outcome {
        Outcome::Acked(Box::new(Ack { key: self.key.clone(), text: self.message.text.clone(), session, answer }))
    }

    fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose errand it is.
    pub(crate) fn owner(&self) -> &Owner {
        &self.message.owner
    }

    /// The turn that this errand has begun, as far as it knows.
    pub(crate) fn turn(&self) -> Option<TurnId> {
        self.seen().turn
    }
}

fn outcome(error: ChatError) -> Outcome {
    match error {
        ChatError::Refused(Refusal::NotFound | Refusal::KeyReused | Refusal::NotYours) | ChatError::Gone => {
            Outcome::Refused
        }
        _ => Outcome::Again,
    }
}

impl World {
    /// Waits by chance.
    pub(crate) async fn nap(&self, from: u64, to: u64) {
        self.sim.runtime(0).sleep(self.sim.millis(from, to)).await;
    }

    /// `None` when the time is over first.
    pub(crate) async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        use futures_util::future::{Either, select};
        match select(std::pin::pin!(work), self.sim.runtime(0).sleep(time)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

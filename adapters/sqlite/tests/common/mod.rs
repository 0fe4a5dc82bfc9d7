//! What the tests share: a file in a directory of its own, and short ways to ask and answer.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use chatcore::error::BackendError;
use chatcore::id::{AttemptId, Key, MessageId, UserId};
use chatcore::message::{AiReply, Answer, Message, Status};
use chatcore::owner::Owner;
use chatcore::port::{Runtime, SessionStore};
use chatcore::turn::{Began, Finished, NewTurn, Started, Target, Turn};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_sqlite::{OpenError, Sqlite, SqliteConfig};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Opens a file as another process would.
pub(crate) fn open_with(path: &Path, change: impl FnOnce(&mut SqliteConfig)) -> Result<Sqlite, OpenError> {
    let mut config = SqliteConfig { path: path.to_owned(), ..SqliteConfig::default() };
    change(&mut config);
    Sqlite::open(config, Arc::new(TokioRuntime::current()))
}

/// Somebody who asks.
pub(crate) fn ann() -> Owner {
    Owner::User(UserId::parse("ann").unwrap())
}

/// A question under a key.
pub(crate) fn question(target: Target, key: &str) -> NewTurn {
    let runtime = TokioRuntime::current();
    NewTurn {
        owner: ann(),
        target,
        key: Key::parse(key).unwrap(),
        body_hash: 1,
        attempt: AttemptId::from(runtime.new_id()),
        message: message_id(&runtime),
        text: format!("what is {key}?"),
        request_id: None,
        quota: None,
        window: 10,
        lease: Duration::from_secs(15),
        ttl: Duration::from_secs(3600),
    }
}

/// Ordered by time, as the core makes them.
fn message_id(runtime: &TokioRuntime) -> MessageId {
    let (time, chance) = (runtime.now().unix_timestamp_nanos() / 1_000_000, runtime.new_id().into_bytes());
    let chance: [u8; 10] = std::array::from_fn(|byte| chance[byte]);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(time).unwrap(), &chance).into_uuid().into()
}

/// Begins a turn that starts.
pub(crate) async fn start(store: &Sqlite, new: &NewTurn) -> Result<Started, BackendError> {
    match store.begin_turn(new).await? {
        Began::Started(started) => Ok(started),
        other => panic!("not started: {other:?}"),
    }
}

/// Answers a turn that is open.
pub(crate) async fn finish(store: &Sqlite, turn: &Turn, text: &str) -> Result<Message, BackendError> {
    let answer = Answer { status: Status::Completed, content: text.into(), reply: AiReply::default() };
    match store.finish_turn(turn, &answer).await? {
        Finished::Stored(message) => Ok(*message),
        other => panic!("not stored: {other:?}"),
    }
}

/// A question and its answer.
pub(crate) async fn talk(store: &Sqlite, target: Target, key: &str, text: &str) -> Result<Turn, BackendError> {
    let started = start(store, &question(target, key)).await?;
    finish(store, &started.turn, text).await?;
    Ok(started.turn)
}

//! Who waits is told of the commits of other processes, and not to look again because of those of this one.

use crate::wake::Topics;
use crate::{Sqlite, SqliteConfig};
use chatcore::id::{AttemptId, Key, MessageId, SessionId, UserId};
use chatcore::owner::Owner;
use chatcore::port::{Runtime, SessionStore};
use chatcore::turn::{Began, NewTurn, Piece, Started, Target};
use chatcore_ports::tokio::TokioRuntime;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const READERS: usize = 500;
const LONG: Duration = Duration::from_secs(300);

async fn begin(store: &Sqlite, runtime: &TokioRuntime) -> Started {
    let new = NewTurn {
        owner: Owner::User(UserId::parse("ann").unwrap()),
        target: Target::New,
        key: Key::parse(runtime.new_id().to_string()).unwrap(),
        body_hash: 1,
        attempt: AttemptId::from(runtime.new_id()),
        message: MessageId::from(runtime.new_id()),
        text: "hello".into(),
        request_id: None,
        quota: None,
        window: 1,
        lease: LONG,
        ttl: LONG,
    };
    let Began::Started(started) = store.begin_turn(&new).await.unwrap() else { panic!("not started") };
    started
}

/// An id whose followers are not told of what changes in this session.
fn apart(session: &SessionId, runtime: &TokioRuntime) -> SessionId {
    let mut ids = std::iter::repeat_with(|| SessionId::from(runtime.new_id()));
    ids.find(|id| Topics::session(id) != Topics::session(session)).unwrap()
}

#[tokio::test]
async fn a_session_that_is_written_to_costs_those_who_wait_for_others_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = SqliteConfig { path: directory.path().join("chat.db"), ..SqliteConfig::default() };
    let runtime = TokioRuntime::current();
    let store = Sqlite::open(config.clone(), Arc::new(runtime.clone())).unwrap();
    let turn = begin(&store, &runtime).await.turn;
    let reads = Arc::new(AtomicUsize::new(0));
    let read = || reads.load(Ordering::SeqCst);
    let reach = async |count: usize| {
        let reached = async {
            while read() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG / 5, reached).await.unwrap_or_else(|_| panic!("{} of {count} reads", read()));
    };
    for _ in 0..READERS {
        let (store, reads, topic) = (store.clone(), reads.clone(), Topics::session(&apart(&turn.id.session, &runtime)));
        let look = move |_: &crate::tx::Tx<'_>| Ok(reads.fetch_add(1, Ordering::SeqCst));
        tokio::spawn(async move { store.watch((topic, LONG), look, |_| false).await });
    }
    reach(READERS).await;
    let (end, mut written) = (runtime.elapsed() + Duration::from_secs(1), 0);
    while runtime.elapsed() < end {
        let piece = Piece { offset: written, text: "x".into() };
        store.extend_turn(&turn, &piece, LONG).await.unwrap();
        written += 1;
    }
    let seen = read();
    println!("{written} pieces, {seen} reads of {READERS} who wait");
    // The first look of all tells everybody, since nothing is known of what was before.
    assert!(seen <= 2 * READERS, "{written} pieces of one session made {seen} reads of {READERS} who wait for others");
    let other = Sqlite::open(config, Arc::new(runtime.clone())).unwrap();
    begin(&other, &runtime).await;
    let told = runtime.elapsed();
    reach(seen + READERS).await;
    println!("a commit of another process is read by all after {:?}", runtime.elapsed() - told);
}

//! An answer as it comes, read by two: the one who asks, and another who goes on from the middle of it.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use chatcore::chat::TurnEvent;
use chatcore::id::UserId;
use chatcore::owner::Owner;
use chatcore::policy::ChatPolicy;
use chatcore::turn::Cursor;
use chatcore::{ChatService, SendMessage};
use chatcore_ports::memory::{MemoryAi, MemoryStore};
use chatcore_ports::tokio::TokioRuntime;
use futures_util::StreamExt;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Arc::new(TokioRuntime::current());
    let store = Arc::new(MemoryStore::new(runtime.clone()));
    let ai = MemoryAi::saying(["Good ", "morning, ", "Alice. ", "How ", "are ", "you?"]);
    let ai = Arc::new(ai.paced(runtime.clone(), Duration::from_millis(150)));
    let chat = ChatService::new(store, ai, runtime, ChatPolicy::default());

    let alice = Owner::User(UserId::parse("alice")?);
    let (begun, mut events) = chat.stream(SendMessage::new(alice.clone(), "hello")).await?;
    let (mut text, mut read) = (String::new(), None);
    while let Some(TurnEvent::Delta { text: more, at }) = events.next().await {
        println!("{more:?}, which ends at byte {}", at.offset);
        text += &more;
        read = Some(at);
        if at.offset > 10 {
            break;
        }
    }
    // Whoever asked may go away: the turn goes on, and whoever knows its name reads on, here or in another process.
    drop(events);
    let cursor = Cursor { turn: begun.turn, from: read.unwrap_or_default() };
    let (_, mut events) = chat.follow(alice, cursor).await?;
    while let Some(event) = events.next().await {
        match event {
            TurnEvent::Delta { text: more, .. } => {
                println!("... {more:?}");
                text += &more;
            }
            TurnEvent::Restart { .. } => {
                println!("another attempt took the turn: forget what was read");
                text.clear();
            }
            TurnEvent::Done(answer) => {
                println!("{}: {:?}", answer.status, answer.content);
                assert_eq!(answer.content, text, "what was read is what is stored");
            }
            TurnEvent::Error(error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

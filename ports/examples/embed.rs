//! The chat core in a program of your own: a store, an AI and a runtime make a chat.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use chatcore::id::{Key, UserId};
use chatcore::owner::Owner;
use chatcore::policy::ChatPolicy;
use chatcore::{ChatService, SendMessage};
use chatcore_ports::memory::{MemoryAi, MemoryStore};
use chatcore_ports::tokio::TokioRuntime;
use std::error::Error;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Arc::new(TokioRuntime::current());
    let store = Arc::new(MemoryStore::new(runtime.clone()));
    let chat = ChatService::new(store, Arc::new(MemoryAi::echo()), runtime, ChatPolicy::default());

    let alice = Owner::User(UserId::parse("alice")?);
    let hello = SendMessage { key: Some(Key::parse("first")?), ..SendMessage::new(alice, "hello") };
    let answered = chat.send(hello.clone()).await?;
    println!("{}: {}", answered.answer.status, answered.answer.content);

    // The same key is the same message: nothing is asked twice.
    let again = chat.send(hello).await?;
    assert!(again.replayed && again.answer == answered.answer);
    Ok(())
}

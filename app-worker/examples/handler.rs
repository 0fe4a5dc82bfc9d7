//! A handler of one's own: it writes down who asked what, and is run over the bus in memory.
//!
//! With another bus only the two lines of `main` that make one differ. A handler gets each event at least once: what it does
//! with one that comes again should change nothing, as here, where a place holds one name. What it cannot do it says why, as
//! a text: it is tried again then, and after the last try the event goes to the dead letters. Other kinds of `Unhandled` say that something
//! is away, which is waited for, or that no other try will help.
#![expect(clippy::print_stdout, reason = "an example may")]

use chatcore::consume::{Consumed, Consumer, EventHandler, Unhandled};
use chatcore::event::{Event, EventBody};
use chatcore::id::{MessageId, SessionId, UserId};
use chatcore::message::Message;
use chatcore::owner::Owner;
use chatcore::port::{EventBus, Place, Runtime};
use chatcore_ports::memory::MemoryBus;
use chatcore_ports::tokio::TokioRuntime;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

/// Who asked what, by event.
#[derive(Debug, Default)]
struct Questions(Mutex<BTreeMap<String, String>>);

#[async_trait::async_trait]
impl EventHandler for Questions {
    async fn handle(&self, event: &Event, _place: &Place) -> Result<(), Unhandled> {
        let EventBody::ChatRequested(question) = &event.body else { return Ok(()) };
        let user = event.owner.user_id().ok_or("a guest asked")?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(event.id().to_string(), format!("{user}: {}", question.content));
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    let bus = MemoryBus::new(runtime.clone());
    bus.publish(&[question(&runtime, "a laptop under 20 million?")?]).await?;

    let questions = Arc::new(Questions::default());
    let consumer = Consumer::new(bus.subscribe("questions").await?, vec![questions.clone()], runtime, 5);
    assert_eq!(consumer.step().await?, Consumed::Handled);

    let known = questions.0.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(known.len(), 1);
    known.values().for_each(|line| println!("{line}"));
    Ok(())
}

/// What a server would have written.
fn question(runtime: &Arc<dyn Runtime>, text: &str) -> Result<Event, Box<dyn Error>> {
    let (at, turn) = (runtime.now(), MessageId::from(runtime.new_id()));
    let (session, owner) = (SessionId::from(runtime.new_id()), Owner::User(UserId::parse("ann")?));
    let body = EventBody::ChatRequested(Box::new(Message::question(turn, 1, text.into(), at)));
    Ok(Event { session, owner, seq: 1, at, request_id: None, body })
}

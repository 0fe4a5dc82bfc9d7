//! The same service on tokio's threads: it is `Send` where it must be, and a task that panics tells its caller.

use chatcore::chat::{ChatError, ChatService, SendMessage, TurnEvent};
use chatcore::id::{Key, UserId};
use chatcore::message::AiReply;
use chatcore::owner::Owner;
use chatcore::policy::ChatPolicy;
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt};
use chatcore_ports::memory::MemoryStore;
use chatcore_ports::tokio::TokioRuntime;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, iter};
use std::sync::Arc;

#[derive(Debug)]
struct Echo;

impl AiGateway for Echo {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        assert!(prompt.text != "panic", "as asked");
        iter([Ok(AiChunk::Text(prompt.text)), Ok(AiChunk::Done(AiReply::default()))]).boxed()
    }
}

fn service() -> ChatService {
    let runtime = Arc::new(TokioRuntime::current());
    ChatService::new(Arc::new(MemoryStore::new(runtime.clone())), Arc::new(Echo), runtime, ChatPolicy::default())
}

fn message(number: u32, text: &str) -> SendMessage {
    let key = Some(Key::parse(number.to_string()).unwrap());
    let owner = Owner::User(UserId::parse("u").unwrap());
    SendMessage { key, ..SendMessage::new(owner, text) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_on_two_threads() {
    let service = service();
    let tasks: Vec<_> = (0..1000)
        .map(|number| {
            let service = service.clone();
            tokio::spawn(
                async move { service.send(message(number, "hello")).await.map(|answered| answered.answer.content) },
            )
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await, Ok(Ok(text)) if text == "hello"));
    }
}

#[tokio::test]
async fn a_stream_is_text_and_then_the_stored_answer() {
    let Ok((_, events)) = service().stream(message(1, "hello")).await else { panic!("no turn") };
    let events: Vec<_> = events.collect().await;
    assert!(
        matches!(&events[..], [TurnEvent::Delta { .. }, TurnEvent::Done(answer)] if answer.content == "hello"),
        "{events:?}"
    );
}

/// The end of a turn may come on one thread while its reader looks for text on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_is_all_of_the_text_however_threads_take_turns() {
    let service = service();
    let tasks: Vec<_> = (0..2000)
        .map(|number| {
            let service = service.clone();
            tokio::spawn(async move {
                let Ok((_, events)) = service.stream(message(number, "hello")).await else { panic!("no turn") };
                let told = events.filter_map(|event| async {
                    match event {
                        TurnEvent::Delta { text, .. } => Some(text),
                        _ => None,
                    }
                });
                told.collect::<String>().await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn a_task_that_panics_tells_its_caller() {
    assert!(matches!(service().send(message(1, "panic")).await, Err(ChatError::Stopping { .. })));
}

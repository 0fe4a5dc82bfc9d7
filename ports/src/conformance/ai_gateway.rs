//! The laws of `AiGateway`.

use super::chat::{completed, key_of, random, user_id};
use super::law::laws;
use chatcore::id::{MessageId, RequestId, SessionId};
use chatcore::message::Message;
use chatcore::owner::Owner;
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt};
use chatcore::turn::TurnId;
use futures_util::StreamExt;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

laws! {
    $
    /// Makes one test of each law of [`AiGateway`](chatcore::port::AiGateway). Takes an async expression that gives an
    /// [`AiHarness`](crate::conformance::AiHarness), or an `Option` of one.
    ai_gateway_laws, ai_gateway, AiHarness:
    an_answer_is_text_and_one_done,
    a_dropped_stream_stops_the_upstream_call,
    a_malformed_answer_is_an_error,
}

/// A gateway, and what its upstream can be made to do.
#[derive(Clone)]
pub struct AiHarness {
    gateway: Arc<dyn AiGateway>,
    hanging: Option<(Arc<dyn AiGateway>, Running)>,
    malformed: Vec<(String, Arc<dyn AiGateway>)>,
}

type Running = Arc<dyn Fn() -> usize + Send + Sync>;

impl AiHarness {
    /// A harness over a gateway that answers any question.
    pub fn new(gateway: Arc<dyn AiGateway>) -> Self {
        Self { gateway, hanging: None, malformed: Vec::new() }
    }

    /// A gateway that calls an upstream: one whose answer never ends, and how many calls of it are running there.
    /// Without it the law of a dropped stream only sees that dropping does no harm.
    #[must_use]
    pub fn hanging(self, gateway: Arc<dyn AiGateway>, running: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self { hanging: Some((gateway, Arc::new(running))), ..self }
    }

    /// A gateway whose upstream gives an answer that is malformed in this way. To be called for each way; without any
    /// there is nothing that can be malformed.
    #[must_use]
    pub fn malformed(mut self, how: &str, gateway: Arc<dyn AiGateway>) -> Self {
        self.malformed.push((how.to_owned(), gateway));
        self
    }
}

impl fmt::Debug for AiHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AiHarness").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

fn prompt(text: &str) -> Prompt {
    let (turn, at) = (MessageId::from(random()), OffsetDateTime::UNIX_EPOCH);
    let question = Message::question(turn, 1, "Xin chào".into(), at);
    let history = vec![question, Message::answer(turn, 2, 1, completed("Chào bạn"), at)];
    Prompt {
        turn: TurnId { session: SessionId::from(random()), message: MessageId::from(random()) },
        owner: Owner::User(user_id("ann")),
        request_id: RequestId::parse(key_of("request-1").as_str()).ok(),
        text: text.to_owned(),
        history,
    }
}

async fn answer(gateway: &Arc<dyn AiGateway>, prompt: Prompt) -> Vec<Result<AiChunk, AiError>> {
    gateway.answer(prompt).collect().await
}

/// Any number of texts, one `Done`, and nothing behind it; also for several questions at once.
pub async fn an_answer_is_text_and_one_done(harness: &AiHarness) {
    let questions = ["Tìm iPhone 15 giá dưới 30 triệu", "?", "\"'\\ {}\n\u{0}🙂", "Show me a phone below 500 dollars"];
    let answers = questions.map(|text| answer(&harness.gateway, prompt(text)));
    for (text, chunks) in questions.iter().zip(futures_util::future::join_all(answers).await) {
        let Some((Ok(AiChunk::Done(reply)), texts)) = chunks.split_last() else { panic!("{text}: no end: {chunks:?}") };
        let all_text = texts.iter().all(|chunk| matches!(chunk, Ok(AiChunk::Text(_))));
        assert!(all_text, "{text}: something else before the end: {texts:?}");
        assert!(reply.confidence.is_none_or(f64::is_finite), "{text}: {reply:?}");
    }
}

/// Before it was polled, in the middle, and from a task that is aborted.
pub async fn a_dropped_stream_stops_the_upstream_call(harness: &AiHarness) {
    drop(harness.gateway.answer(prompt("never polled")));
    let Some((gateway, running)) = &harness.hanging else { return };
    drop(gateway.answer(prompt("never polled")));
    assert_eq!(running(), 0, "a stream connects when it is first polled");
    for _ in 0..3 {
        let mut stream = gateway.answer(prompt("dropped"));
        let task = tokio::spawn(async move { while stream.next().await.is_some() {} });
        until("the upstream is called", || running() == 1).await;
        task.abort();
        until("a dropped stream stops the upstream call", || running() == 0).await;
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..500 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within 5 s");
}

/// An error and nothing behind it, and no `Done` before it; the reason holds no text of the user.
pub async fn a_malformed_answer_is_an_error(harness: &AiHarness) {
    for (how, gateway) in &harness.malformed {
        let chunks = answer(gateway, prompt("my secret question")).await;
        let Some((Err(error), before)) = chunks.split_last() else { panic!("{how}: {chunks:?}") };
        let text = before.iter().all(|chunk| matches!(chunk, Ok(AiChunk::Text(_))));
        assert!(text, "{how}: an error is the end, and the only one: {chunks:?}");
        let reason = error.to_string();
        assert!(!reason.contains("my secret"), "{how}: the reason holds a user's text: {reason}");
    }
}

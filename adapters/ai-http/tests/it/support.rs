//! A clock that tests can stop, a question, and a gateway that follows a script.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]

use chatcore::id::{MessageId, SessionId, UserId};
use chatcore::message::{AiReply, Answer, Message, Status};
use chatcore::owner::Owner;
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use chatcore::turn::TurnId;
use chatcore_ai_http::{HttpAi, HttpAiConfig, OpenAi, Wire};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// Tokio's own clock, which `start_paused` stops, and a list of the sleeps that were asked for.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    pub(crate) sleeps: Mutex<Vec<Duration>>,
}

pub(crate) fn clock() -> Arc<Clock> {
    Arc::new(Clock { start: Instant::now(), sleeps: Mutex::default() })
}

impl Runtime for Clock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.sleeps.lock().unwrap().push(time);
        Box::pin(tokio::time::sleep(time))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn new_id(&self) -> Uuid {
        Uuid::nil()
    }
}

pub(crate) const SESSION: &str = "0190b6a0-0000-4000-8000-000000000001";
pub(crate) const MESSAGE: &str = "0190b6a0-0000-7000-8000-000000000002";

/// Stands in every text of a question, and must stand in no error.
pub(crate) const WORDS: &str = "my doctor told me";

pub(crate) fn prompt() -> Prompt {
    let turn =
        TurnId { session: SESSION.parse::<SessionId>().unwrap(), message: MESSAGE.parse::<MessageId>().unwrap() };
    let owner = Owner::User(UserId::parse("user_123").unwrap());
    Prompt { turn, owner, request_id: None, text: WORDS.into(), history: history() }
}

fn history() -> Vec<Message> {
    let at = OffsetDateTime::UNIX_EPOCH;
    vec![Message::question("0190b6a0-0000-7000-8000-000000000004".parse().unwrap(), 1, format!("{WORDS} before"), at)]
}

/// A question with its answer.
pub(crate) fn two_turns() -> Vec<Message> {
    let (turn, at) = ("0190b6a0-0000-7000-8000-000000000004".parse().unwrap(), OffsetDateTime::UNIX_EPOCH);
    let answer = Answer { status: Status::Completed, content: "Chào \"bạn\"!".into(), reply: AiReply::default() };
    vec![Message::question(turn, 1, "Xin chào".into(), at), Message::answer(turn, 2, 1, answer, at)]
}

/// A server that answers all alike.
pub(crate) async fn server(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(response).mount(&server).await;
    server
}

pub(crate) fn json(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "application/json")
}

/// What a server sees of one question, which it answers so.
pub(crate) async fn sent(
    prompt: Prompt,
    answer: ResponseTemplate,
    config: impl FnOnce(&str) -> HttpAiConfig,
) -> Request {
    let server = server(answer).await;
    ai(config(&server.uri())).answer(prompt).for_each(|chunk| async move { drop(chunk.unwrap()) }).await;
    let mut requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1, "one question is one call");
    requests.remove(0)
}

pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

pub(crate) fn config(url: &str) -> HttpAiConfig {
    HttpAiConfig::new(url).unwrap()
}

/// For a service that speaks OpenAI's format.
pub(crate) fn openai(url: &str) -> HttpAiConfig {
    let mut config = config(url);
    config.wire = Wire::OpenAi(OpenAi::new("a-model"));
    config
}

pub(crate) fn ai(config: HttpAiConfig) -> HttpAi {
    HttpAi::new(config, clock()).unwrap()
}

/// The whole of an answer, which must be texts, one `Done` and nothing more, or end with an error.
pub(crate) async fn ask(gateway: &impl AiGateway) -> Result<(Vec<String>, AiReply), AiError> {
    let mut chunks = gateway.answer(prompt());
    let mut texts = Vec::new();
    let end = loop {
        match chunks.next().await.expect("an answer ends with Done or an error") {
            Ok(AiChunk::Text(text)) => texts.push(text),
            Ok(AiChunk::Done(reply)) => break Ok((texts, reply)),
            Err(error) => break Err(error),
        }
    };
    assert!(chunks.next().await.is_none(), "nothing comes after the end");
    end
}

/// The reason why there was no answer.
pub(crate) async fn refusal(gateway: &impl AiGateway) -> String {
    ask(gateway).await.expect_err("no answer").to_string()
}

/// What a scripted gateway does with a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Answer,
    Fail,
    /// Says that it does not answer this question.
    Refuse,
    BreakOff,
    /// Answers, or fails, after so many seconds.
    AnswerLate(u64),
    FailLate(u64),
    Hang,
}

/// Does act after act with each call that is polled, and answers when there are no more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Played>>);

#[derive(Debug, Default)]
struct Played {
    acts: VecDeque<Act>,
    calls: usize,
}

impl Script {
    pub(crate) fn then(&self, act: Act, times: usize) -> &Self {
        self.0.lock().unwrap().acts.extend(vec![act; times]);
        self
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    fn next(&self) -> Act {
        let mut played = self.0.lock().unwrap();
        played.calls += 1;
        played.acts.pop_front().unwrap_or(Act::Answer)
    }
}

impl AiGateway for Script {
    fn answer(&self, _: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let text = || Ok(AiChunk::Text("some".into()));
        let (done, fault) = (|| Ok(AiChunk::Done(AiReply::default())), || Err(AiError::Failed("scripted".into())));
        let late = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        match self.next() {
            Act::Answer => stream::iter([text(), done()]).boxed(),
            Act::Fail => stream::iter([text(), fault()]).boxed(),
            Act::Refuse => stream::iter([Err(AiError::Refused("scripted".into()))]).boxed(),
            Act::BreakOff => stream::iter([text()]).boxed(),
            Act::AnswerLate(seconds) => stream::once(late(seconds)).map(move |()| done()).boxed(),
            Act::FailLate(seconds) => stream::once(late(seconds)).map(move |()| fault()).boxed(),
            Act::Hang => stream::iter([text()]).chain(stream::pending()).boxed(),
        }
    }
}

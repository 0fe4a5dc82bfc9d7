//! How AI services are spoken to: each format is a module that writes a question and reads an answer, whole or in pieces.

mod native;
mod openai;
mod sse;

pub use openai::OpenAi;

use crate::error::{Failure, Name};
use crate::tokens::Spent;
use chatcore::message::AiReply;
use chatcore::port::{AiChunk, Prompt, Runtime};
use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use reqwest::{Response, Url};
use sse::Event;
use std::sync::Arc;
use std::time::Duration;

/// How an AI service is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// One JSON object there: `{message, session_id, user_id, chat_history}`. Back come one as well,
    /// `{response, products?, intent?, confidence?}`, or events: `delta` with a `{text}`, and `done` with what is left.
    #[default]
    Native,
    /// OpenAI's chat completions, which most services of models speak. `/chat/completions` is added to the address.
    OpenAi(OpenAi),
}

/// What a question goes with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Who asks, and what came before.
    pub(crate) context: bool,
    /// That the answer may come in pieces.
    pub(crate) stream: bool,
    /// That tokens are to be counted in an answer that comes in pieces.
    pub(crate) usage: bool,
}

type Chunks = BoxStream<'static, Result<AiChunk, Failure>>;

impl Wire {
    /// Where questions go.
    pub(crate) fn address(&self, url: Url) -> Url {
        match self {
            Self::Native => url,
            Self::OpenAi(_) => openai::address(url),
        }
    }

    /// The body of the request.
    pub(crate) fn question(&self, prompt: &Prompt, asked: Asked) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Native => native::question(prompt, asked.context),
            Self::OpenAi(openai) => openai::question(openai, prompt, asked),
        }
    }

    /// The answer as it comes in. Tokens that the service has counted are added to `spent`.
    pub(crate) fn answer(&self, response: Response, limits: Limits, spent: &Arc<Spent>) -> Chunks {
        match self {
            Self::Native => native::answer(response, limits),
            Self::OpenAi(_) => openai::answer(response, limits, Arc::clone(spent)),
        }
    }

    /// Why there is no answer.
    pub(crate) async fn refusal(&self, response: Response) -> Failure {
        match self {
            Self::Native => Failure::Status(response.status().as_u16(), Name::default()),
            Self::OpenAi(_) => openai::refusal(response).await,
        }
    }
}

/// How long an answer that is whole waits for the word that it was all, and for the count of its tokens.
const LAST_WORD: Duration = Duration::from_secs(2);

/// How much may be read of an answer, and what measures time.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The most of an answer in one piece, of an event, and of the text.
    pub(crate) bytes: usize,
    pub(crate) runtime: Arc<dyn Runtime>,
}

/// What an answer says, or an event of it.
#[derive(Debug, Default)]
struct Said {
    text: String,
    /// What came beside the text, at the end of the answer.
    done: Option<AiReply>,
}

impl Said {
    fn text(text: String) -> Self {
        Self { text, done: None }
    }

    /// No text is no chunk: the core then has nothing to show, and says so.
    fn chunks(self) -> impl Stream<Item = Result<AiChunk, Failure>> {
        let text = Some(self.text).filter(|text| !text.is_empty()).map(AiChunk::Text);
        stream::iter(text.into_iter().chain(self.done.map(AiChunk::Done)).map(Ok))
    }
}

/// Understands the events of one answer.
trait Reading: Send + 'static {
    /// What this one says. After a `done` there is no other.
    fn event(&mut self, event: Event) -> Result<Said, Failure>;

    /// Whether nothing is missing but a word that this was all.
    fn is_whole(&self) -> bool {
        false
    }

    /// What it means that no more will come, for this reason.
    fn over(&mut self, why: Failure) -> Result<Said, Failure>;
}

/// An answer in events: what each says is passed on at once.
fn read(
    events: impl Stream<Item = Result<Event, Failure>> + Send + 'static,
    limits: Limits,
    reading: impl Reading,
) -> Chunks {
    let going = Going { events: events.boxed(), reading, left: limits.bytes, limits, is_done: false };
    stream::try_unfold(going, Going::step).map_ok(Said::chunks).try_flatten().boxed()
}

/// An answer that is read, with how much more it may say.
struct Going<R> {
    events: BoxStream<'static, Result<Event, Failure>>,
    reading: R,
    limits: Limits,
    left: usize,
    is_done: bool,
}

impl<R: Reading> Going<R> {
    async fn step(mut self) -> Result<Option<(Said, Self)>, Failure> {
        if self.is_done {
            // What comes now is nothing to us, but the connection is good for another call only when it is at its end.
            while let Some(Ok(_)) = self.events.next().await {}
            return Ok(None);
        }
        let said = match self.next().await {
            Ok(event) => self.reading.event(event)?,
            Err(why) => self.reading.over(why)?,
        };
        self.left = self.left.checked_sub(said.text.len()).ok_or(Failure::TooLarge(self.limits.bytes))?;
        self.is_done = said.done.is_some();
        Ok(Some((said, self)))
    }

    async fn next(&mut self) -> Result<Event, Failure> {
        let next = self.events.next().map(|event| event.unwrap_or(Err(Failure::Early)));
        if !self.reading.is_whole() {
            return next.await;
        }
        match select(next, self.limits.runtime.sleep(LAST_WORD)).await {
            Either::Left((event, _)) => event,
            Either::Right(_) => Err(Failure::Late(LAST_WORD)),
        }
    }
}

/// An answer in one piece. Counts while it reads, after decompression, so that a small body which grows is cut off as well.
async fn whole(mut response: Response, max: usize) -> Result<String, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Failure::of_body)? {
        if piece.len() > max - body.len() {
            return Err(Failure::TooLarge(max));
        }
        body.extend_from_slice(&piece);
    }
    String::from_utf8(body).map_err(|_| Failure::Malformed("not UTF-8".into()))
}

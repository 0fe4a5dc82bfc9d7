//! How AI services are spoken to: each format is a module that writes a question and reads an answer, whole or in pieces.

mod native;
mod openai;
mod sse;

pub use openai::OpenAi;

use crate::error::{Failure, Name};
use crate::tokens::Spent;
use chatcore::message::AiReply;
use chatcore::port::{AiChunk, Prompt};
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use reqwest::{Response, Url};
use sse::Event;
use std::sync::Arc;

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
    pub(crate) fn answer(&self, response: Response, max_body: usize, spent: &Arc<Spent>) -> Chunks {
        match self {
            Self::Native => native::answer(response, max_body),
            Self::OpenAi(_) => openai::answer(response, max_body, Arc::clone(spent)),
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

    /// What it means that no more will come, for this reason.
    fn over(&mut self, why: Failure) -> Result<Said, Failure>;
}

/// An answer in events: what each says is passed on at once.
fn read(
    events: impl Stream<Item = Result<Event, Failure>> + Send + 'static,
    max: usize,
    reading: impl Reading,
) -> Chunks {
    let going = Going { events: events.boxed(), reading, max, left: max, is_done: false };
    stream::try_unfold(going, Going::step).map_ok(Said::chunks).try_flatten().boxed()
}

/// An answer that is read, with how much more it may say.
struct Going<R> {
    events: BoxStream<'static, Result<Event, Failure>>,
    reading: R,
    max: usize,
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
        let said = match self.events.next().await.unwrap_or(Err(Failure::Early)) {
            Ok(event) => self.reading.event(event)?,
            Err(why) => self.reading.over(why)?,
        };
        self.left = self.left.checked_sub(said.text.len()).ok_or(Failure::TooLarge(self.max))?;
        self.is_done = said.done.is_some();
        Ok(Some((said, self)))
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

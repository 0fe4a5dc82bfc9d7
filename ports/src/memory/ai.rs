//! The in-memory `AiGateway`: it says what a script says.

use chatcore::message::AiReply;
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use chatcore::watch::Watch;
use futures_core::stream::BoxStream;
use futures_util::stream::{self, StreamExt};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How many prompts it remembers.
const PROMPTS: usize = 1000;

type Said = Result<AiChunk, AiError>;
type Script = dyn Fn(&Prompt) -> Vec<Said> + Send + Sync;

/// An AI that follows a script, and remembers the newest 1,000 prompts. Clones are the same AI.
///
/// ```
/// use chatcore_ports::memory::MemoryAi;
///
/// let fixed = MemoryAi::saying(["Good ", "morning."]);
/// let echo = MemoryAi::scripted(|prompt| MemoryAi::answer_of([prompt.text.as_str()]));
/// # drop((fixed, echo));
/// ```
#[derive(Clone)]
pub struct MemoryAi {
    script: Arc<Script>,
    prompts: Arc<Watch<VecDeque<Prompt>>>,
    pace: Option<(Arc<dyn Runtime>, Duration)>,
}

impl MemoryAi {
    /// Says whatever this function makes of a prompt. What it makes is said as it is: without a
    /// [`Done`](AiChunk::Done) the answer breaks off.
    pub fn scripted(script: impl Fn(&Prompt) -> Vec<Said> + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), prompts: Arc::new(Watch::new(VecDeque::new())), pace: None }
    }

    /// Gives each question back, in one piece.
    #[must_use]
    pub fn echo() -> Self {
        Self::scripted(|prompt| Self::answer_of([prompt.text.as_str()]))
    }

    /// Answers everything with these pieces.
    pub fn saying<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Self {
        let answer = Self::answer_of(pieces);
        Self::scripted(move |_| answer.clone())
    }

    /// Says these pieces and then fails for this reason.
    pub fn failing<'a>(pieces: impl IntoIterator<Item = &'a str>, reason: &str) -> Self {
        let mut answer = Self::answer_of(pieces);
        answer.pop();
        answer.push(Err(AiError::Failed(reason.to_owned())));
        Self::scripted(move |_| answer.clone())
    }

    /// The script of a whole answer in pieces, with nothing beside the text.
    pub fn answer_of<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<Said> {
        let texts = pieces.into_iter().map(|piece| AiChunk::Text(piece.to_owned()));
        texts.chain([AiChunk::Done(AiReply::default())]).map(Ok).collect()
    }

    /// The same AI, which takes this time before each piece and before the end.
    #[must_use]
    pub fn paced(self, runtime: Arc<dyn Runtime>, pace: Duration) -> Self {
        Self { pace: Some((runtime, pace)), ..self }
    }

    /// The prompts that came, oldest first. One comes when its stream is first polled.
    #[must_use]
    pub fn prompts(&self) -> Vec<Prompt> {
        self.prompts.read(|prompts| prompts.iter().cloned().collect())
    }

    fn begin(&self, prompt: Prompt) -> Vec<Said> {
        let script = (self.script)(&prompt);
        self.prompts.update(|prompts| {
            prompts.push_back(prompt);
            let more = prompts.len().saturating_sub(PROMPTS);
            prompts.drain(..more);
        });
        script
    }
}

impl AiGateway for MemoryAi {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let (ai, pace) = (self.clone(), self.pace.clone());
        let script = stream::once(async move { stream::iter(ai.begin(prompt)) }).flatten();
        let paced = script.then(move |said| {
            let sleep = pace.as_ref().map(|(runtime, pace)| runtime.sleep(*pace));
            async move {
                if let Some(sleep) = sleep {
                    sleep.await;
                }
                said
            }
        });
        paced.boxed()
    }
}

impl fmt::Debug for MemoryAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryAi")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::id::{MessageId, SessionId, UserId};
    use chatcore::owner::Owner;
    use chatcore::turn::TurnId;
    use futures_util::FutureExt;

    fn prompt(text: &str) -> Prompt {
        let id = uuid::Uuid::from_u128(7);
        let turn = TurnId { session: SessionId::from(id), message: MessageId::from(id) };
        let owner = Owner::User(UserId::parse("ann").unwrap());
        Prompt { turn, owner, request_id: None, text: text.into(), history: Vec::new() }
    }

    fn all(ai: &MemoryAi, text: &str) -> Vec<Said> {
        ai.answer(prompt(text)).collect().now_or_never().expect("an AI without a pace does not wait")
    }

    #[test]
    fn each_script_says_its_pieces_and_then_done_or_the_error() {
        let (text, done) = (|text: &str| Ok(AiChunk::Text(text.into())), || Ok(AiChunk::Done(AiReply::default())));
        assert_eq!(all(&MemoryAi::echo(), "hi"), [text("hi"), done()]);
        assert_eq!(all(&MemoryAi::saying(["a", "b"]), "hi"), [text("a"), text("b"), done()]);
        assert_eq!(all(&MemoryAi::failing(["a"], "down"), "hi"), [text("a"), Err(AiError::Failed("down".into()))]);
    }

    #[test]
    fn the_newest_prompts_are_remembered_once_their_stream_was_polled() {
        let ai = MemoryAi::echo();
        drop(ai.answer(prompt("never polled")));
        assert_eq!(ai.prompts(), []);
        (0..=PROMPTS).for_each(|number| drop(all(&ai, &number.to_string())));
        let prompts = ai.clone().prompts();
        assert_eq!((prompts.len(), prompts[0].text.as_str()), (PROMPTS, "1"));
    }
}

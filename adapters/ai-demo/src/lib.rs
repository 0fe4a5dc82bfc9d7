//! A demonstration AI for `chatcore`: a shop assistant over a small built-in catalogue, without a server and without a
//! model. It is a **demo**: its products and prices are made up, and its answers say so.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

mod answer;
mod catalogue;
mod phrases;
mod price;
mod question;
mod text;
mod vocabulary;

use answer::Reply;
use async_trait::async_trait;
use catalogue::Catalogue;
use chatcore::error::BackendError;
use chatcore::message::{AiReply, Products};
use chatcore::port::{AiChunk, AiError, AiGateway, Health, Probe, Prompt, Runtime};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::sync::Arc;
use std::time::Duration;

/// A shop assistant for demonstrations.
///
/// It understands names, brands and categories of products and price limits, in Vietnamese (with or without its marks) and
/// in English, and answers in the language of the question. A question such as "cái nào rẻ nhất?" or "cheaper ones?" goes on
/// from the products in the prompt's history. The same prompt always gets the same answer.
///
/// The intents are `product_search`, `greeting`, `thanks`, `goodbye`, `help`, `smalltalk` and `unknown`. A product has the
/// members `product_id`, `product_name`, `brand`, `category`, `price` (a number, in VND) and `shop_name`.
#[derive(Debug, Clone)]
pub struct DemoAi {
    catalogue: Arc<Catalogue>,
    delay: Duration,
    runtime: Arc<dyn Runtime>,
}

impl DemoAi {
    /// An assistant that takes `delay` for each answer, spread over its words, so that streaming can be seen. With a delay
    /// of zero it never sleeps.
    #[must_use]
    pub fn new(delay: Duration, runtime: Arc<dyn Runtime>) -> Self {
        Self { catalogue: Arc::new(Catalogue::built_in()), delay, runtime }
    }
}

impl AiGateway for DemoAi {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let Self { catalogue, delay, runtime } = self.clone();
        let chunks = stream::once(async move { chunks(answer::answer(&catalogue, &prompt.text, &prompt.history)) });
        let chunks = chunks.flat_map(move |chunks| {
            let pieces = u32::try_from(chunks.len() - 1).unwrap_or(u32::MAX).max(1);
            let (pause, runtime) = (delay / pieces, Arc::clone(&runtime));
            stream::iter(chunks).then(move |chunk| paused(chunk, pause, Arc::clone(&runtime)))
        });
        chunks.boxed()
    }
}

/// It is always there: a program shows the same line for whatever AI it has.
#[async_trait]
impl Probe for DemoAi {
    fn name(&self) -> &'static str {
        "ai"
    }

    async fn check(&self) -> Result<Health, BackendError> {
        Ok(Health::Well)
    }
}

/// Each word of the text, and what comes beside it.
fn chunks(reply: Reply) -> Vec<Result<AiChunk, AiError>> {
    let words = reply.text.split_inclusive(char::is_whitespace);
    let mut chunks: Vec<_> = words.map(|word| Ok(AiChunk::Text(word.to_owned()))).collect();
    let (intent, confidence) = (Some(reply.intent.to_owned()), Some(reply.confidence));
    let json = serde_json::to_string(&reply.products).map_err(|error| AiError::Failed(error.to_string()));
    let products = json.and_then(|json| Products::from_json(&json).map_err(|error| AiError::Failed(error.to_string())));
    chunks.push(products.map(|products| AiChunk::Done(AiReply { products, intent, confidence })));
    chunks
}

async fn paused(
    chunk: Result<AiChunk, AiError>,
    pause: Duration,
    runtime: Arc<dyn Runtime>,
) -> Result<AiChunk, AiError> {
    if !pause.is_zero() && matches!(chunk, Ok(AiChunk::Text(_))) {
        runtime.sleep(pause).await;
    }
    chunk
}

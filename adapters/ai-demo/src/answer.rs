//! From a question and what came before it to the products that are meant. Pure, like everything that it uses.

use crate::catalogue::{Catalogue, Product};
use crate::phrases;
use crate::price::Price;
use crate::question::{Language, Pick, Question, Talk, Terms};
use chatcore::message::{Message, Role};
use serde::Deserialize;

/// At most so many products stand in an answer.
const MOST: usize = 8;

/// An answer before it is cut into pieces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) products: Vec<Product>,
    pub(crate) intent: &'static str,
    pub(crate) confidence: f64,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// The products, cheapest first.
    pub(crate) products: Vec<&'a Product>,
    /// How many there are beyond those.
    pub(crate) left_out: usize,
    /// Which one of several was asked for.
    pub(crate) pick: Option<Pick>,
    /// Where nothing was found: what is nearest to the price that was asked for.
    pub(crate) nearest: Option<&'a Product>,
}

/// The answer to a question.
pub(crate) fn answer(catalogue: &Catalogue, text: &str, history: &[Message]) -> Reply {
    let question = Question::read(text, catalogue);
    let past = Past::read(catalogue, history);
    let language = question.language.or(past.language).unwrap_or(Language::Vietnamese);
    if question.is_search() || (question.goes_on && past.wish.is_some()) {
        return match search(catalogue, &question, &past) {
            Some(found) => listing(language, &found, confidence(&question)),
            None => plain(phrases::which(language), "unknown", 0.3),
        };
    }
    match question.talk {
        Some(Talk::Greeting) => plain(phrases::greeting(language), "greeting", 0.95),
        Some(Talk::Thanks) => plain(phrases::thanks(language), "thanks", 0.95),
        Some(Talk::Goodbye) => plain(phrases::goodbye(language), "goodbye", 0.95),
        Some(Talk::Help) => plain(phrases::help(language), "help", 0.9),
        Some(Talk::Smalltalk) => plain(phrases::smalltalk(language), "smalltalk", 0.8),
        None => plain(phrases::unknown(language), "unknown", 0.2),
    }
}

fn plain(text: String, intent: &'static str, confidence: f64) -> Reply {
    Reply { text, products: Vec::new(), intent, confidence }
}

fn listing(language: Language, found: &Found<'_>, confidence: f64) -> Reply {
    let products = found.products.iter().copied().cloned().collect();
    Reply { text: phrases::listing(language, found), products, intent: "product_search", confidence }
}

fn confidence(question: &Question) -> f64 {
    match &question.terms {
        terms if !terms.names.is_empty() => 0.95,
        terms if !terms.is_empty() => 0.9,
        _ if question.price.is_limited() || question.pick.is_some() || question.goes_on => 0.75,
        _ => 0.4,
    }
}

/// What was said before the question.
struct Past<'a> {
    /// What the questions before, taken together, asked for.
    wish: Option<Wish>,
    /// The products of the newest answer that had any.
    shown: Vec<&'a Product>,
    /// The newest language.
    language: Option<Language>,
}

/// Which products at which price.
#[derive(Clone)]
struct Wish {
    terms: Terms,
    price: Price,
}

impl<'a> Past<'a> {
    fn read(catalogue: &'a Catalogue, history: &[Message]) -> Self {
        let asked = history.iter().filter(|message| message.role == Role::User);
        let asked: Vec<Question> = asked.map(|message| Question::read(&message.content, catalogue)).collect();
        let language = asked.iter().rev().find_map(|question| question.language);
        let wishes = asked.iter().filter(|question| !question.terms.is_empty() || question.price.is_limited());
        let wish = wishes.fold(None, |before, question| Some(Wish::read(question, before.as_ref())));
        let shown =
            history.iter().rev().map(|message| known_products(catalogue, message)).find(|shown| !shown.is_empty());
        Self { wish, shown: shown.unwrap_or_default(), language }
    }

    fn categories(&self) -> Vec<&'a str> {
        let mut categories: Vec<_> = self.shown.iter().map(|product| product.category.as_str()).collect();
        categories.sort_unstable();
        categories.dedup();
        categories
    }
}

/// The products of an answer, as far as they are ours: the history may hold answers of another AI.
fn known_products<'a>(catalogue: &'a Catalogue, message: &Message) -> Vec<&'a Product> {
    #[derive(Deserialize)]
    struct Shown {
        product_id: String,
    }
    let shown: Vec<Shown> = serde_json::from_str(message.reply.products.as_json()).unwrap_or_default();
    shown.iter().filter_map(|shown| catalogue.product(&shown.product_id)).collect()
}

/// The products that are meant; `None` where that cannot be told.
fn search<'a>(catalogue: &'a Catalogue, question: &Question, past: &Past<'a>) -> Option<Found<'a>> {
    let named = !question.terms.is_empty();
    match question.pick {
        Some(Pick::Cheaper | Pick::Dearer) if !named && past.shown.is_empty() => None,
        Some(pick @ (Pick::Cheaper | Pick::Dearer)) if !named => Some(beside(catalogue, past, pick)),
        Some(pick) if !named && !question.price.is_limited() && !past.shown.is_empty() => {
            Some(found(past.shown.clone(), Some(pick)))
        }
        pick => Some(look(catalogue, &Wish::read(question, past.wish.as_ref()), pick)),
    }
}

/// Cheaper or dearer ones of the kind that was shown.
fn beside<'a>(catalogue: &'a Catalogue, past: &Past<'a>, pick: Pick) -> Found<'a> {
    let categories = past.categories();
    let prices = || past.shown.iter().map(|product| product.price);
    let (lowest, highest) = (prices().min().unwrap_or(0), prices().max().unwrap_or(u64::MAX));
    let other = |product: &&Product| match pick {
        Pick::Cheaper => product.price < lowest,
        _ => product.price > highest,
    };
    let all = catalogue.by_price().into_iter().map(|(product, _)| product);
    found(all.filter(|product| categories.contains(&product.category.as_str())).filter(other).collect(), None)
}

impl Wish {
    /// What a question says, and what those before it said where it goes on from them and is silent itself.
    fn read(question: &Question, before: Option<&Self>) -> Self {
        let (mut terms, mut price) = (question.terms.clone(), question.price);
        let silent = terms.is_empty() && (price.is_limited() || question.pick.is_some());
        let before = before.filter(|_| question.goes_on || silent);
        if let Some(before) = before {
            if terms.is_empty() {
                terms = before.terms.clone();
            } else if terms.categories.is_empty() {
                terms.categories.clone_from(&before.terms.categories);
            }
            if !price.is_limited() {
                price = before.price;
            }
        }
        Self { terms, price }
    }
}

fn look<'a>(catalogue: &'a Catalogue, Wish { terms, price }: &Wish, pick: Option<Pick>) -> Found<'a> {
    // Only a question that asks for goods of a kind we have never heard of has neither terms nor a price nor a pick.
    let nothing = terms.is_empty() && !price.is_limited() && pick.is_none();
    let all = catalogue.by_price().into_iter().filter(|_| !nothing);
    let meant: Vec<&Product> = all
        .filter(|(product, _)| terms.categories.is_empty() || terms.categories.contains(&product.category.as_str()))
        .filter(|(_, words)| {
            terms.names.is_empty() || terms.names.iter().any(|name| name.iter().all(|word| words.contains(word)))
        })
        .map(|(product, _)| product)
        .collect();
    let allowed: Vec<&Product> = meant.iter().copied().filter(|product| price.allows(product.price)).collect();
    let nearest = if price.max.is_some() { meant.first() } else { meant.last() };
    let nearest = nearest.copied().filter(|_| allowed.is_empty());
    Found { nearest, ..found(allowed, pick) }
}

/// Out of these, cheapest first, the one that was asked for, or as many as an answer holds.
fn found(mut products: Vec<&Product>, pick: Option<Pick>) -> Found<'_> {
    products.sort_by_key(|product| product.price);
    match pick {
        Some(Pick::Cheapest) => products.truncate(1),
        Some(Pick::Dearest) => drop(products.drain(..products.len().saturating_sub(1))),
        _ => {}
    }
    let left_out = products.len().saturating_sub(MOST);
    products.truncate(MOST);
    Found { products, left_out, pick, nearest: None }
}

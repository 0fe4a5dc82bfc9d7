//! What a sentence asks for. Pure: the same sentence over the same catalogue always means the same.

use crate::catalogue::Catalogue;
use crate::price::{self, Price};
use crate::text;
use crate::vocabulary as say;

#[cfg(test)]
mod tests;

/// A longer question is understood by its first so many words.
const MAX_WORDS: usize = 300;

/// What a sentence asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Question {
    /// The language; `None` where nothing tells.
    pub(crate) language: Option<Language>,
    /// Which products by category and name.
    pub(crate) terms: Terms,
    /// Which products by price.
    pub(crate) price: Price,
    /// Which of them.
    pub(crate) pick: Option<Pick>,
    /// It takes up the question before.
    pub(crate) goes_on: bool,
    /// It asks for goods, of whatever kind.
    pub(crate) seeks: bool,
    /// What is said beside that.
    pub(crate) talk: Option<Talk>,
}

/// A language that is answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Vietnamese,
    English,
}

/// Which of several products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    Cheapest,
    Dearest,
    /// Cheaper than what was shown.
    Cheaper,
    /// Dearer than what was shown.
    Dearer,
}

/// What is said without asking for products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    Greeting,
    Thanks,
    Goodbye,
    Help,
    Smalltalk,
}

/// Which products are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Any of these categories; empty for all.
    pub(crate) categories: Vec<&'static str>,
    /// All words of any of these; empty for all.
    pub(crate) names: Vec<Vec<String>>,
    /// The whole catalogue was asked for in so many words.
    pub(crate) everything: bool,
}

impl Terms {
    /// Whether nothing is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.categories.is_empty() && self.names.is_empty() && !self.everything
    }
}

impl Question {
    /// Reads a sentence.
    pub(crate) fn read(sentence: &str, catalogue: &Catalogue) -> Self {
        let mut words = text::words(sentence);
        words.truncate(MAX_WORDS);
        let (language, talk) = (language(sentence, &words), talk(&words));
        join_sizes(&mut words);
        let price = price::take(&mut words);
        let pick = take_pick(&mut words);
        let goes_on = says(&words, say::GOES_ON) || asks_only_the_price(&words);
        let seeks = says(&words, say::SEEKS);
        let everything = says(&words, say::EVERYTHING);
        let categories = take_categories(&mut words);
        let names = names(&words, catalogue);
        Self { language, terms: Terms { categories, names, everything }, price, pick, goes_on, seeks, talk }
    }

    /// Whether it asks for products by itself.
    pub(crate) fn is_search(&self) -> bool {
        !self.terms.is_empty() || self.price.is_limited() || self.pick.is_some() || self.seeks
    }
}

fn language(sentence: &str, words: &[String]) -> Option<Language> {
    let count = |list: &[&str]| words.iter().filter(|word| list.contains(&word.as_str())).count();
    if text::has_vietnamese_letters(sentence) {
        return Some(Language::Vietnamese);
    }
    match count(say::VIETNAMESE).cmp(&count(say::ENGLISH)) {
        std::cmp::Ordering::Greater => Some(Language::Vietnamese),
        std::cmp::Ordering::Less => Some(Language::English),
        std::cmp::Ordering::Equal => None,
    }
}

fn talk(words: &[String]) -> Option<Talk> {
    let kinds = [
        (Talk::Smalltalk, say::SMALLTALK),
        (Talk::Goodbye, say::GOODBYES),
        (Talk::Thanks, say::THANKS),
        (Talk::Help, say::HELP),
        (Talk::Greeting, say::GREETINGS),
    ];
    kinds.into_iter().find(|(_, phrases)| says(words, phrases)).map(|(talk, _)| talk)
}

fn asks_only_the_price(words: &[String]) -> bool {
    let said: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != ",").collect();
    say::PRICE_ALONE.contains(&said.join(" ").as_str())
}

/// Takes the words for it out, since "mắc" without its mark is a computer.
fn take_pick(words: &mut [String]) -> Option<Pick> {
    let picks = [
        (Pick::Cheapest, say::CHEAPEST),
        (Pick::Dearest, say::DEAREST),
        (Pick::Cheaper, say::CHEAPER),
        (Pick::Dearer, say::DEARER),
    ];
    let phrases = picks.into_iter().flat_map(|(pick, phrases)| phrases.iter().map(move |phrase| (pick, phrase)));
    let (pick, at, phrase) =
        phrases.filter_map(|(pick, phrase)| Some((pick, position(words, phrase)?, phrase))).next()?;
    words[at..at + phrase.split(' ').count()].fill(",".into());
    Some(pick)
}

/// Takes the categories out of the words, so that what they parted stands side by side.
fn take_categories(words: &mut Vec<String>) -> Vec<&'static str> {
    while let Some(at) = position(words, "mau sac") {
        words.drain(at..at + 2); // "màu sắc", the colour, is no "sạc".
    }
    let mut found = Vec::new();
    for (phrase, category) in say::category_phrases() {
        while let Some(at) = position(words, phrase) {
            words.drain(at..at + phrase.split(' ').count());
            if !found.contains(&category) {
                found.push(category);
            }
        }
    }
    found
}

/// The products that are named, each by its words.
fn names(words: &[String], catalogue: &Catalogue) -> Vec<Vec<String>> {
    let (mut names, mut name, mut behind) = (Vec::new(), Vec::new(), false);
    for word in words.iter().filter(|word| *word != "-").flat_map(|word| parts(word, catalogue)) {
        if say::OR.contains(&word.as_str()) {
            names.push(std::mem::take(&mut name));
        }
        // Behind a name, "17" or "s99" is a model that may not exist: it is kept, so that no other model is shown for it.
        let digits = word.contains(|letter: char| letter.is_ascii_digit());
        let weak = say::WEAK.contains(&word.as_str()) || word.parse::<u64>().is_ok();
        behind = match catalogue.knows(&word) {
            true => behind || !weak,
            false => behind && digits,
        };
        if behind && !name.contains(&word) {
            name.push(word);
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

/// A word as the catalogue has it, or the words that were run together in it: "iphone15", "s24ultra".
fn parts(word: &str, catalogue: &Catalogue) -> Vec<String> {
    // No name is longer; a long row of known parts must not become a deep recursion.
    let split = if word.len() <= 32 { split(word, catalogue) } else { None };
    split.unwrap_or_else(|| vec![word.to_owned()])
}

fn split(word: &str, catalogue: &Catalogue) -> Option<Vec<String>> {
    let word = say::ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word, |(_, name)| *name);
    if catalogue.knows(word) || word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(vec![word.to_owned()]);
    }
    let bytes = word.as_bytes();
    let mut borders = (1..bytes.len()).filter(|at| bytes[at - 1].is_ascii_digit() != bytes[*at].is_ascii_digit());
    borders.find_map(|at| {
        let mut parts = split(&word[..at], catalogue).filter(|parts| catalogue.knows(&parts[0]))?;
        parts.extend(split(&word[at..], catalogue)?);
        Some(parts)
    })
}

/// "256 GB" is one word, as it is in the names.
fn join_sizes(words: &mut Vec<String>) {
    while let Some(at) =
        words.windows(2).position(|pair| pair[0].parse::<u32>().is_ok() && matches!(&*pair[1], "gb" | "tb"))
    {
        let unit = words.remove(at + 1);
        words[at].push_str(&unit);
    }
}

fn says(words: &[String], phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| position(words, phrase).is_some())
}

fn position(words: &[String], phrase: &str) -> Option<usize> {
    let length = phrase.split(' ').count();
    words.windows(length).position(|window| phrase.split(' ').eq(window.iter().map(String::as_str)))
}

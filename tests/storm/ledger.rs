//! What clients were told, and what is wrong with it.

use crate::options::Options;
use crate::who::Who;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// So many violations are printed in full.
const SHOWN: usize = 20;

/// Shared by all clients. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    book: Arc<Mutex<Book>>,
    stop: Arc<AtomicBool>,
    /// One of these is enough.
    until: Arc<[String]>,
}

/// What is written in it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The answer to each question that was answered.
    pub(crate) answers: BTreeMap<String, Answer>,
    /// Whose each session is that a client knows, and whether it was deleted.
    pub(crate) sessions: BTreeMap<String, Session>,
    /// The guests who are logging in, or have.
    pub(crate) leaving: BTreeSet<Who>,
    /// How often each refusal was told.
    refusals: BTreeMap<String, usize>,
    /// The longest time after which a 503 was told by a server that was not frozen meanwhile.
    longest: Duration,
    /// How often an answer was told again.
    replays: usize,
    /// What happened how often besides.
    counts: BTreeMap<&'static str, usize>,
    /// What was counted besides.
    notes: Vec<String>,
    violations: Vec<String>,
}

/// An answer that was told.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) who: Who,
    pub(crate) key: String,
    /// The session that the question named; `None` where it opened one.
    pub(crate) target: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn session(&self) -> &str {
        self.body["session_id"].as_str().unwrap_or_default()
    }
}

/// A session that a client knows.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) who: Who,
    /// Whose it was before: a user adopted it.
    pub(crate) before: Option<Who>,
    /// Somebody asked to delete it.
    pub(crate) doomed: bool,
    /// And was told that it is.
    pub(crate) deleted: bool,
}

impl Ledger {
    pub(crate) fn new(until: &[String]) -> Self {
        Self { until: until.into(), ..Self::default() }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// An answer was told: the same one as ever.
    pub(crate) fn answered(&self, question: &str, answer: Answer) {
        let mut book = self.book();
        if book.sessions.get(answer.session()).is_none_or(|session| !session.doomed) {
            let session = Session { who: answer.who, before: None, doomed: false, deleted: false };
            book.sessions.entry(answer.session().to_owned()).or_insert(session);
        }
        let Some(before) = book.answers.get(question) else {
            book.answers.insert(question.to_owned(), answer);
            return;
        };
        let same = (before.body == answer.body).then_some(());
        let told = format!("I9: {question:?} was answered by {} and by {}", before.body, answer.body);
        book.replays += 1;
        drop(book);
        same.unwrap_or_else(|| self.violation(told));
    }

    /// A refusal was told.
    pub(crate) fn refused(&self, what: String, status: u16, after: Option<Duration>) {
        let mut book = self.book();
        *book.refusals.entry(what).or_default() += 1;
        if status == 503 {
            book.longest = book.longest.max(after.unwrap_or_default());
        }
    }

    /// This happened once more.
    pub(crate) fn count(&self, what: &'static str) {
        *self.book().counts.entry(what).or_default() += 1;
    }

    /// Something was counted that the report is to tell.
    pub(crate) fn noted(&self, what: String) {
        self.book().notes.push(what);
    }

    /// Something is wrong.
    pub(crate) fn violation(&self, what: impl Into<String>) {
        let (what, mut book) = (what.into(), self.book());
        if book.violations.len() < SHOWN {
            println!("VIOLATION {what}");
        }
        book.violations.push(what);
    }

    pub(crate) fn found(&self) -> bool {
        !self.book().violations.is_empty()
    }

    /// What the storm was to go on for was found.
    pub(crate) fn is_enough(&self) -> bool {
        let wanted = |what: &String| self.until.iter().any(|law| what.starts_with(law));
        self.book().violations.iter().any(wanted)
    }

    /// Clients ask no more new questions.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How it stands.
    pub(crate) fn line(&self) -> String {
        let book = self.book();
        let deleted = book.sessions.values().filter(|session| session.deleted).count();
        let (answers, replays, sessions) = (book.answers.len(), book.replays, book.sessions.len());
        let violations = book.violations.len();
        format!(
            "{answers} answers, {replays} told again, {sessions} sessions, {deleted} deleted, {violations} violations"
        )
    }

    /// The counts, and the exit code.
    pub(crate) fn report(&self, options: &Options) -> ExitCode {
        println!("  {}", self.line());
        let book = self.book();
        let refusals: Vec<_> = book.refusals.iter().map(|(what, count)| format!("{what} {count}")).collect();
        println!("  refusals: {}; longest 503: {:?}", refusals.join(", "), book.longest);
        let counts: Vec<_> = book.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        println!("  {}", counts.join(", "));
        book.notes.iter().for_each(|note| println!("  {note}"));
        match book.violations.first() {
            None => println!("0 violations"),
            Some(first) => println!("violated with {options}: {first}"),
        }
        if book.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

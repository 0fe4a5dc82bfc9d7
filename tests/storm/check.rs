//! What a history has to look like.

use crate::ledger::{Answer, Ledger};
use crate::world::World;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where each question stands: its session, and its place there.
pub(crate) type Places = BTreeMap<String, (String, u64)>;

/// A message of a history, as far as it matters.
struct Line<'a> {
    seq: u64,
    role: &'a str,
    id: &'a str,
    content: &'a str,
    status: &'a str,
    reply_to: Option<u64>,
    at: &'a str,
}

impl<'a> Line<'a> {
    fn read(message: &'a Value) -> Self {
        let text = |name: &str| message[name].as_str().unwrap_or_default();
        let (seq, reply_to) = (message["seq"].as_u64().unwrap_or_default(), message["reply_to"].as_u64());
        let (role, id, content) = (text("role"), text("id"), text("content"));
        Self { seq, role, id, content, status: text("status"), reply_to, at: text("timestamp") }
    }
}

/// Checks the messages of a session, which follow each other, and notes where its questions stand.
pub(crate) fn history(world: &World, session: &str, messages: &[Value], places: &mut Places) {
    let lines: Vec<_> = messages.iter().map(Line::read).collect();
    let wrong = |what: String| world.ledger.violation(format!("{what} in session {session}"));
    for pair in lines.windows(2) {
        let (one, two) = (&pair[0], &pair[1]);
        if two.seq != one.seq + 1 {
            wrong(format!("I2: {} comes after {}", two.seq, one.seq));
        }
        if two.role == one.role {
            wrong(format!("I2: {} and {} are both of the role {}", one.seq, two.seq, one.role));
        }
        if two.role == "assistant" {
            if two.reply_to != Some(one.seq) {
                wrong(format!("I2: the answer {} names {:?}", two.seq, two.reply_to));
            }
            world.misfit(one.content, two.content, two.status, two.at).into_iter().for_each(wrong);
            acknowledged(&world.ledger, session, one, two);
        }
    }
    for line in lines.iter().filter(|line| line.role == "user") {
        let before = places.insert(line.content.to_owned(), (session.to_owned(), line.seq));
        let same = |(other, seq): &(String, u64)| other == session && *seq == line.seq;
        // Those before the storm have no key.
        if before.as_ref().is_some_and(|before| !same(before)) && line.content != "q ready" {
            wrong(format!("I1: the question {:?} stands at {} and at {before:?}", line.content, line.seq));
        }
    }
}

/// What a client was told about a question is what stands there.
fn acknowledged(ledger: &Ledger, session: &str, question: &Line<'_>, answer: &Line<'_>) {
    let told = ledger.book().answers.get(question.content).cloned();
    let Some(Answer { body, .. }) = told else { return };
    let there = [question.id, session, answer.content, answer.status, answer.at];
    let names = ["message_id", "session_id", "ai_response", "status", "timestamp"];
    if names.iter().zip(there).any(|(name, there)| body[*name] != there) {
        ledger.violation(format!("I1: {:?} was told {body}, and {there:?} stands there", question.content));
    }
}

/// Every question that was answered stands where it was told, unless its session was deleted.
pub(crate) fn all_there(ledger: &Ledger, places: &Places) {
    let book = ledger.book();
    let lost = |(question, answer): &(&String, &Answer)| {
        let doomed = book.sessions.get(answer.session()).is_none_or(|session| session.doomed);
        !doomed && places.get(*question).is_none_or(|(session, _)| session != answer.session())
    };
    let lost: Vec<_> = book.answers.iter().filter(lost).map(|(question, _)| question.clone()).collect();
    drop(book);
    for question in lost {
        ledger.violation(format!("I1: {question:?} was answered, and is not there ({:?})", places.get(&question)));
    }
}

/// Whether the newest message is a question from before `since`.
pub(crate) fn unanswered<'a>(messages: &'a [Value], since: &str) -> Option<&'a Value> {
    messages.last().filter(|last| last["role"] == "user" && last["timestamp"].as_str().unwrap_or_default() < since)
}

//! The events of a bus, as somebody outside read them: each at least once, the first time in its place, and always the same.

use crate::audit::History;
use crate::ledger::{Answer, Book, Ledger};
use crate::who::Who;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a worker prints of an event.
const PRINTED: [&str; 6] = ["type", "event_id", "message_id", "session_id", "seq", "user_id"];

/// Where events were read, which decides what is promised of their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The lines of workers that read one log: all of a session are in order.
    Log,
    /// The lines of workers that read Kafka, and so a topic for each type: the events of a session are in order in each.
    Topics,
    /// The records of Kafka, which are all that is told.
    Records,
}

/// The events that were read so far.
pub(crate) struct Events {
    from: From,
    sessions: BTreeMap<String, Session>,
    /// With those that came again.
    pub(crate) count: usize,
    /// How often an event came before the one before it, which is in another topic: there is no promise between topics.
    pub(crate) crossed: usize,
    wrong: Vec<String>,
}

/// Those of a session.
#[derive(Default)]
struct Session {
    events: BTreeMap<u64, Value>,
    /// The number that has to come next; on Kafka in each topic.
    next: BTreeMap<String, u64>,
}

impl Events {
    pub(crate) fn new(from: From) -> Self {
        Self { from, sessions: BTreeMap::new(), count: 0, crossed: 0, wrong: Vec::new() }
    }

    /// How many there are, each counted once.
    pub(crate) fn once(&self) -> usize {
        self.sessions.values().map(|session| session.events.len()).sum()
    }

    /// One more was read.
    pub(crate) fn add(&mut self, event: Value) {
        self.count += 1;
        let (kind, seq) = (text(&event, "type"), event["seq"].as_u64().unwrap_or_default());
        let session = self.sessions.entry(text(&event, "session_id")).or_default();
        if let Some(before) = session.events.get(&seq) {
            if *before != event {
                self.wrong.push(format!("I3: an event was told as {before} and as {event}"));
            }
            return;
        }
        // A question is followed by its answer, and by nothing else.
        let (topic, first, step) = match (self.from, kind.as_str()) {
            (From::Log, _) => (String::new(), 1, 1),
            (_, "chat.requested") => (kind, 1, 2),
            (_, "chat.responded") => (kind, 2, 2),
            _ => (kind, seq, 1),
        };
        let next = session.next.entry(topic).or_insert(first);
        if seq != *next {
            self.wrong.push(format!("I3: {event} came when {next} was to come first"));
        }
        *next = seq + step;
        self.crossed += usize::from(seq > 1 && !session.events.contains_key(&(seq - 1)));
        session.events.insert(seq, event);
    }

    /// What was wrong with the events themselves since it was asked last.
    pub(crate) fn take_wrong(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wrong)
    }

    /// What is wrong with them, given what stands in all histories.
    pub(crate) fn against(&self, ledger: &Ledger, histories: &[History]) -> Vec<String> {
        let book = ledger.book();
        let mut wrong = Vec::new();
        for history in histories {
            let questions = std::iter::once(&Value::Null).chain(&history.messages);
            let (pairs, owners) =
                (history.messages.iter().zip(questions), owners(&book, &history.session, history.who));
            wrong.extend(pairs.filter_map(|(message, before)| self.misfit(&told(history, message, before), &owners)));
        }
        for answer in book.answers.values() {
            let ([question, response], owners) = (acknowledged(answer), owners(&book, answer.session(), answer.who));
            // Only a guest can have asked what a guest was answered; when that was stored it may have been the user's.
            let askers = if matches!(answer.who, Who::Guest(_)) { &owners[..1] } else { &owners[..] };
            wrong.extend(self.misfit(&question, askers));
            wrong.extend(self.misfit(&response, &owners));
        }
        wrong.extend(self.strangers(&book, histories));
        wrong
    }

    /// What is wrong with the event that is expected to say this of one of these.
    fn misfit(&self, expected: &Value, owners: &[Who]) -> Option<String> {
        let session = self.sessions.get(expected["session_id"].as_str()?);
        let Some(event) = session.and_then(|session| session.events.get(&expected["seq"].as_u64()?)) else {
            return Some(format!("I3: no event tells of {expected}"));
        };
        let shown = |name: &str| self.from == From::Records || PRINTED.contains(&name);
        let mut members = expected.as_object()?.iter().filter(|(name, _)| shown(name));
        let is = |name: &str, id: Option<String>| !shown(name) || event[name] == json!(id);
        let owned = owners.iter().any(|who| is("user_id", who.user_id()) && is("device_id", who.device_id()));
        let fits = members.all(|(name, value)| event[name] == *value) && owned;
        (!fits).then(|| format!("I3: {event} tells of {expected}, which is of {owners:?}"))
    }

    /// Events of what is not there: it may have been deleted, which is then the last that is told.
    fn strangers(&self, book: &Book, histories: &[History]) -> Vec<String> {
        let lengths: BTreeMap<_, _> =
            histories.iter().map(|history| (&history.session, history.messages.len())).collect();
        let mut wrong = Vec::new();
        for (id, Session { events, .. }) in &self.sessions {
            let whole = events.keys().copied().eq(1..=events.len() as u64);
            let mut ends = events.values().map(|event| event["type"] == "session.deleted");
            match (lengths.get(id), book.sessions.get(id).is_some_and(|session| session.doomed)) {
                (Some(length), _) if whole && events.len() == *length && !ends.any(|end| end) => {}
                (None, true) if whole && ends.next_back() == Some(true) && !ends.any(|end| end) => {}
                (length, doomed) => wrong.push(format!(
                    "I3: the numbers {:?} are told of session {id} ({length:?} messages, deleted: {doomed})",
                    events.keys()
                )),
            }
        }
        let deleted = book.sessions.iter().filter(|(id, session)| session.deleted && !self.sessions.contains_key(*id));
        wrong.extend(deleted.map(|(id, _)| format!("I3: nothing is told of the deleted session {id}")));
        wrong
    }
}

/// What has to be told of a message, which stands behind another.
fn told(history: &History, message: &Value, before: &Value) -> Value {
    let asked = message["role"] == "user";
    let question = if asked { message } else { before };
    let kind = if asked { "chat.requested" } else { "chat.responded" };
    let mut event = event(&history.session, message["seq"].as_u64().unwrap_or_default(), kind);
    (event["message_id"], event["timestamp"]) = (question["id"].clone(), message["timestamp"].clone());
    if asked {
        event["message"] = message["content"].clone();
        return event;
    }
    event["response"] = message["content"].clone();
    for name in ["products", "intent", "confidence", "status", "reply_to"] {
        event[name] = message[name].clone();
    }
    event
}

/// What has to be told of an answer that a client got, and of its question: also where it was deleted since.
fn acknowledged(answer: &Answer) -> [Value; 2] {
    let (body, seq) = (&answer.body, answer.body["message_seq"].as_u64().unwrap_or_default());
    let mut question = event(answer.session(), seq, "chat.requested");
    (question["message_id"], question["message"]) = (body["message_id"].clone(), body["user_message"].clone());
    let mut response = event(answer.session(), seq + 1, "chat.responded");
    (response["response"], response["reply_to"]) = (body["ai_response"].clone(), json!(seq));
    for name in ["message_id", "timestamp", "products", "intent", "confidence", "status"] {
        response[name] = body[name].clone();
    }
    [question, response]
}

fn event(session: &str, seq: u64, kind: &str) -> Value {
    json!({ "type": kind, "v": 1, "event_id": format!("{session}-{seq}"), "session_id": session, "seq": seq })
}

/// Who it may be told of: whose this was at some time, and first who is known to have been.
fn owners(book: &Book, session: &str, who: Who) -> Vec<Who> {
    let session = book.sessions.get(session);
    let others = session.map(|session| [Some(session.who), session.before]).into_iter().flatten().flatten();
    std::iter::once(who).chain(others).collect()
}

fn text(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap_or_default().to_owned()
}

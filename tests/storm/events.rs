//! What the workers printed: each event of the bus, at least once.

use crate::audit::History;
use crate::ledger::Ledger;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The events, and how often there was one at all.
pub(crate) struct Events {
    /// Of each session, in the order of their first occurrence: its place, its type and its message.
    sessions: BTreeMap<String, Vec<(u64, String, String)>>,
    pub(crate) count: usize,
}

impl Events {
    /// Reads all lines that are whole.
    pub(crate) fn read(output: &Path) -> Self {
        let lines = std::fs::read_to_string(output).unwrap_or_default();
        let mut events = Self { sessions: BTreeMap::new(), count: 0 };
        for line in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let seq = line["seq"].as_u64().unwrap_or_default();
            let session = events.sessions.entry(text("session_id")).or_default();
            if session.iter().rev().all(|known| known.0 != seq) {
                session.push((seq, text("type"), text("message_id")));
            }
            events.count += 1;
        }
        events
    }

    /// What is wrong with them, given what stands in all histories.
    pub(crate) fn wrong(&self, ledger: &Ledger, histories: &[History]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (session, events) in &self.sessions {
            if events.iter().zip(1..).any(|(event, seq)| event.0 != seq) {
                let seqs: Vec<_> = events.iter().map(|event| event.0).collect();
                wrong.push(format!("I3: the events of session {session} came first in the order {seqs:?}"));
            }
        }
        for History { session, messages, .. } in histories {
            wrong.extend(messages.iter().filter_map(|message| self.missing(session, message)));
        }
        wrong.extend(self.of_deleted(ledger));
        wrong
    }

    fn has(&self, session: &str, seq: u64, kind: &str, message: &str) -> bool {
        let place = usize::try_from(seq).unwrap_or_default();
        let event = self.sessions.get(session).and_then(|events| events.get(place.checked_sub(1)?));
        event.is_some_and(|event| event.0 == seq && event.1 == kind && event.2 == message)
    }

    /// A message without its event.
    fn missing(&self, session: &str, message: &Value) -> Option<String> {
        let (seq, asked) = (message["seq"].as_u64()?, message["role"] == "user");
        let there = if asked {
            self.has(session, seq, "chat.requested", message["id"].as_str()?)
        } else {
            let events = self.sessions.get(session).map_or(&[][..], Vec::as_slice);
            let question = events.iter().find(|event| event.0 + 1 == seq).map(|event| event.2.clone());
            self.has(session, seq, "chat.responded", &question.unwrap_or_default())
        };
        (!there).then(|| format!("I3: no event tells of message {seq} of session {session}"))
    }

    /// A deleted session is told of to its end, with every question in it that was answered.
    fn of_deleted(&self, ledger: &Ledger) -> Vec<String> {
        let book = ledger.book();
        let mut wrong = Vec::new();
        for id in book.sessions.iter().filter(|(_, session)| session.deleted).map(|(id, _)| id) {
            let last = self.sessions.get(id).and_then(|events| events.last());
            if last.is_none_or(|last| last.1 != "session.deleted") {
                wrong.push(format!("I3: the last event of the deleted session {id} is {last:?}"));
            }
        }
        for (question, answer) in &book.answers {
            let (seq, message) = (answer.body["message_seq"].as_u64(), answer.body["message_id"].as_str());
            let (seq, message) = (seq.unwrap_or_default(), message.unwrap_or_default());
            let (session, told) = (answer.session(), |seq, kind| self.has(answer.session(), seq, kind, message));
            if !told(seq, "chat.requested") || !told(seq + 1, "chat.responded") {
                wrong.push(format!("I3: the answer to {question:?} in session {session} has not both its events"));
            }
        }
        wrong
    }
}

//! One question and its answer, however often it has to be asked.

use crate::field::FALLBACK;
use crate::ledger::Answer;
use crate::who::Who;
use crate::world::{Said, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A question under a key that no other has. Its text is made of the key, so that a history tells which keys it holds.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) who: Who,
    pub(crate) key: String,
    /// `None` opens a session.
    pub(crate) session: Option<String>,
}

impl Question {
    pub(crate) fn text(&self) -> String {
        format!("q {}", self.key)
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({ "message": self.text(), "client_message_id": self.key });
        if let Some(session) = &self.session {
            body["session_id"] = json!(session);
        }
        body
    }
}

/// How long a client waits that is not there to the end: some are gone at once, some wait for a slow answer, but not for a
/// frozen server.
pub(crate) fn patience() -> Option<Duration> {
    match fastrand::u32(..100) {
        0..10 => Some(Duration::from_millis(fastrand::u64(5..300))),
        10..60 => Some(Duration::from_millis(fastrand::u64(300..1500))),
        _ => None,
    }
}

impl World {
    /// Asks until there is an answer, by any server; `None` where the session was deleted. Some tries hang up.
    pub(crate) async fn talk(&self, question: &Question) -> Option<Answer> {
        loop {
            // What was over before the question was sent must not come back; what ends later may still be told.
            let over = self.is_deleted(question.session.as_deref());
            let wait = match self.try_once(question, patience()).await {
                Some(said) if said.status == StatusCode::OK => return self.take(question, said.body, over),
                Some(said) if said.status == StatusCode::NOT_FOUND => return self.not_found(question),
                Some(said) => said.wait,
                None => Duration::from_millis(30),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks once.
    pub(crate) async fn try_once(&self, question: &Question, patience: Option<Duration>) -> Option<Said> {
        self.any(question.who, Method::POST, "/chat/message", Some(&question.body()), patience).await
    }

    /// Deletes a session: until a server says that it is.
    pub(crate) async fn delete(&self, who: Who, session: &str) {
        if let Some(session) = self.ledger.book().sessions.get_mut(session) {
            session.doomed = true;
        }
        let path = format!("/chat/session/{session}");
        loop {
            match self.any(who, Method::DELETE, &path, None, None).await {
                Some(said) if said.status == StatusCode::OK => break,
                Some(said) if said.status == StatusCode::NOT_FOUND => {
                    self.ledger.violation(format!("I1: session {session} was lost: {}", said.body));
                    break;
                }
                Some(said) => tokio::time::sleep(said.wait).await,
                None => tokio::time::sleep(Duration::from_millis(30)).await,
            }
        }
        if let Some(session) = self.ledger.book().sessions.get_mut(session) {
            session.deleted = true;
        }
    }

    pub(crate) fn is_deleted(&self, session: Option<&str>) -> bool {
        session.is_some_and(|session| self.ledger.book().sessions.get(session).is_some_and(|known| known.deleted))
    }

    /// What is wrong with an answer, wherever it was found.
    pub(crate) fn misfit(&self, question: &str, answer: &str, status: &str, stored: &str) -> Option<String> {
        let demo = self.demo.get().map_or("", String::as_str);
        let good = match status {
            "completed" if answer == demo => true,
            "completed" => return self.ai.gave(question, answer, stored).err(),
            "fallback" => answer == FALLBACK,
            // Its server died: as much as had come.
            "failed" => demo.starts_with(answer) || self.ai.began(question, answer),
            _ => false,
        };
        (!good).then(|| format!("I5: {question:?} has the answer {answer:?}, {status}"))
    }

    /// An answer was told: checks it, and writes it down.
    pub(crate) fn take(&self, question: &Question, body: Value, over: bool) -> Option<Answer> {
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let wrong = self.misfit(&question.text(), text("ai_response"), text("status"), text("timestamp"));
        wrong.into_iter().for_each(|wrong| self.ledger.violation(wrong));
        let elsewhere = question.session.as_ref().is_some_and(|session| text("session_id") != session);
        if elsewhere || text("user_message") != question.text() {
            self.ledger.violation(format!("I9: {question:?} was answered {body}"));
        }
        if over {
            self.ledger.violation(format!("I5: a deleted session came back: {question:?} was answered {body}"));
        }
        let (who, key, target) = (question.who, question.key.clone(), question.session.clone());
        let answer = Answer { who, key, target, body };
        self.ledger.answered(&question.text(), answer.clone());
        Some(answer)
    }

    /// Only what somebody deletes may be gone.
    pub(crate) fn not_found(&self, question: &Question) -> Option<Answer> {
        let book = self.ledger.book();
        let known = book.answers.get(&question.text()).map(|answer| answer.session().to_owned());
        let session = question.session.clone().or(known).unwrap_or_default();
        let doomed = book.sessions.get(&session).is_some_and(|session| session.doomed);
        drop(book);
        if !doomed {
            self.ledger.violation(format!("I1: nobody deleted the session of {question:?}, and it is not found"));
        }
        None
    }
}

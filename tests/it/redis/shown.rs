//! What a client shows of a turn, which it reads on wherever it is broken off.

use crate::client::Client;
use crate::sse::{self, Event};
use reqwest::Response;
use serde_json::Value;

/// Where the turn of an answer, or of an event, is.
pub(crate) fn path_of(data: &Value) -> String {
    let of = |name: &str| data[name].as_str().unwrap();
    format!("/chat/session/{}/turns/{}", of("session_id"), of("message_id"))
}

/// What a client shows of a turn.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Where it can be read on.
    pub(crate) path: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) text: String,
    pub(crate) deltas: usize,
    pub(crate) restarts: usize,
    pub(crate) done: Option<Value>,
    /// Why it may not be read on.
    pub(crate) denied: Option<Value>,
    /// It is to be read on at another server.
    pub(crate) sent_on: bool,
}

impl Shown {
    /// Takes all whole events of these bytes, which begin with one.
    pub(crate) fn take(&mut self, bytes: &mut Vec<u8>) {
        for Event { name, id, data } in sse::take(bytes) {
            self.last = Some(id);
            match name.as_str() {
                "turn" => self.path = Some(path_of(&data)),
                "delta" => {
                    self.text += data["text"].as_str().unwrap();
                    self.deltas += 1;
                }
                "restart" => {
                    self.text.clear();
                    self.restarts += 1;
                }
                "done" => self.done = Some(data),
                // As on a busy machine, where the store may be late: its reader goes on from here.
                "error" if data["code"] == "store_unavailable" => {}
                "error" if data["code"] == "access_denied" => self.denied = Some(data),
                "error" if data["code"] == "stopping" => self.sent_on = true,
                other => panic!("{other}: {data}"),
            }
        }
    }

    /// Reads until this is so, or to the end; whether it came to the end.
    pub(crate) async fn read(&mut self, response: &mut Response, enough: impl Fn(&Self) -> bool) -> bool {
        let mut unread = Vec::new();
        while !enough(self) {
            let Ok(Some(bytes)) = response.chunk().await else { return true };
            unread.extend(bytes);
            self.take(&mut unread);
        }
        false
    }

    /// Reads to the end of the turn, from where it stands.
    pub(crate) async fn read_on(&mut self, client: &Client, message: &Value) {
        while self.done.is_none() {
            let mut rest = match &self.path {
                Some(path) => {
                    let last: Vec<_> = self.last.iter().map(|last| ("last-event-id", last.as_str())).collect();
                    client.stream(&format!("{path}/stream"), None, &last).await
                }
                // It does not know its turn yet: the same message again is the same turn.
                None => client.stream("/chat/message", Some(message), &[]).await,
            };
            self.read(&mut rest, |_| false).await;
        }
    }

    pub(crate) fn is_the_stored_text(&self) {
        let done = self.done.as_ref().unwrap_or_else(|| panic!("no end: {self:?}"));
        assert_eq!(done["ai_response"], *self.text, "{self:?}");
    }
}

//! Reading a stream of the server.

use serde_json::Value;

/// An event of a stream.
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// Takes all whole events from these bytes, which begin with one.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Vec<Event> {
    let whole = bytes.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |end| end + 2);
    let events = String::from_utf8(bytes.drain(..whole).collect()).unwrap();
    events.split_terminator("\n\n").filter_map(event).collect()
}

/// `None` for a comment.
fn event(text: &str) -> Option<Event> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (name, id, data) = (field("event")?, field("id").unwrap(), field("data").unwrap());
    Some(Event { name: name.to_owned(), id: id.to_owned(), data: serde_json::from_str(data).unwrap() })
}

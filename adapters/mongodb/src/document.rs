//! An event as a document: the members of its JSON, with its time as a date.

use crate::error::Failed;
use crate::json;
use chatcore::event::Event;
use chatcore::stamp::micros;
use mongodb::bson::{DateTime, Document};

/// The largest document, in bytes: that of MongoDB, less what a mark adds later. A larger one would be sent in vain, and a
/// very large one would cost the connection.
const LARGEST: usize = 16 * 1024 * 1024 - 4096;

/// The document of an event, without an `_id`.
pub(crate) fn of(event: &Event) -> Result<Document, Failed> {
    let json = json::document(&event.to_json());
    let mut document = json.map_err(|_| Failed::Never("the event is nested too deeply".into()))?;
    // A date has milliseconds; the number beside it has all that there is.
    document.insert("timestamp", date(event));
    document.insert("timestamp_micros", micros(event.at));
    document.insert("request_id", event.request_id.as_ref().map(|id| id.as_str()));
    match document.to_vec().map(|bytes| bytes.len()) {
        Ok(..=LARGEST) => Ok(document),
        Ok(bytes) => Err(Failed::Never(format!("the event is too large for MongoDB: {bytes} bytes"))),
        Err(_) => Err(Failed::Never("the event cannot be written as BSON".into())),
    }
}

/// When it happened, to the millisecond.
pub(crate) fn date(event: &Event) -> DateTime {
    DateTime::from_millis(micros(event.at).div_euclid(1000))
}

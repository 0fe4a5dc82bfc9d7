//! Server-sent events (the WHATWG's HTML standard, section 9.2): how they are written, and a comment where nothing is said for
//! long, so that no proxy takes the connection for dead.

use crate::state::State;
use actix_web::http::header::{Accept, CACHE_CONTROL, CONTENT_TYPE, Header, HeaderName, HeaderValue, Quality};
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpRequest, HttpResponse, mime};
use chatcore::port::Runtime;
use futures_util::future::{Either, select};
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The longest silence.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it tells of.
    pub name: &'static str,
    /// What a reader names who goes on behind it.
    pub id: String,
    /// JSON in one line, whatever a client takes for the end of a line.
    pub data: String,
}

impl Event {
    /// An event of this name, with this as its data.
    pub fn new(name: &'static str, id: String, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).unwrap_or_default();
        // Only texts hold them. JSON need not escape them, and many a client splits lines there.
        let ends = ['\u{85}', '\u{2028}', '\u{2029}'];
        let data = ends.iter().fold(data, |data, end| match data.contains(*end) {
            true => data.replace(*end, &format!("\\u{:04x}", u32::from(*end))),
            false => data,
        });
        Self { name, id, data }
    }

    fn write(&self) -> Bytes {
        let Self { name, id, data } = self;
        format!("event: {name}\nid: {id}\ndata: {data}\n\n").into()
    }
}

/// Whether a request asks for a stream rather than for JSON: browsers and most clients say that they take anything.
#[must_use]
pub fn is_wanted(request: &HttpRequest) -> bool {
    let Ok(accept) = Accept::parse(request) else { return false };
    // Of what is liked as much, what is named comes before what is only allowed.
    let best = accept.iter().map(|item| item.quality).max().filter(|best| *best > Quality::ZERO);
    let liked = accept.iter().filter(|item| Some(item.quality) == best && item.item.type_() != mime::STAR);
    liked.map(|item| item.item.essence_str()).next() == Some(mime::TEXT_EVENT_STREAM.essence_str())
}

/// An answer that goes on as long as there are events.
pub fn answer(events: impl Stream<Item = Event> + 'static, state: &Data<State>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, mime::TEXT_EVENT_STREAM.essence_str()))
        // Neither kept, nor compressed on its way, which holds back what is small; nor gathered by nginx.
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")))
        .insert_header((HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")));
    response.streaming(with_heartbeat(events, state.runtime.clone()))
}

fn with_heartbeat(
    events: impl Stream<Item = Event> + 'static,
    runtime: Arc<dyn Runtime>,
) -> impl Stream<Item = Result<Bytes, Error>> {
    unfold((events.boxed_local(), runtime), |(mut events, runtime)| async {
        let written = match select(pin!(events.next()), runtime.sleep(HEARTBEAT)).await {
            Either::Left((event, _)) => event?.write(),
            Either::Right(_) => Bytes::from_static(b":\n\n"),
        };
        Some((Ok(written), (events, runtime)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::ACCEPT;
    use actix_web::test::TestRequest;
    use chatcore_ports::tokio::TokioRuntime;
    use futures_util::stream;

    #[test]
    fn a_stream_is_for_those_who_ask_for_one() {
        let wanted =
            |accept: &str| is_wanted(&TestRequest::default().insert_header((ACCEPT, accept)).to_http_request());
        for stream in [
            "text/event-stream",
            "text/event-stream, application/json;q=0.9",
            "*/*;q=0.1, text/event-stream",
            "*/*, text/event-stream",
            "application/json;q=0.2, text/event-stream;q=0.5",
        ] {
            assert!(wanted(stream), "{stream}");
        }
        for json in [
            "",
            "*/*",
            "application/json",
            "application/json, text/event-stream",
            "application/json, text/event-stream;q=0.5",
            "text/event-stream;q=0",
            "text/*",
            "x;;",
        ] {
            assert!(!wanted(json), "{json}");
        }
        assert!(!is_wanted(&TestRequest::default().to_http_request()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_silence_is_broken_by_comments() {
        let late = stream::once(async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            Event::new("delta", "7-2".into(), &"a\nb\u{2028}\u{2029}\u{85}")
        });
        let written = with_heartbeat(late, Arc::new(TokioRuntime::current())).map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(
            written.await,
            [":\n\n", ":\n\n", "event: delta\nid: 7-2\ndata: \"a\\nb\\u2028\\u2029\\u0085\"\n\n"].map(Bytes::from)
        );
    }
}

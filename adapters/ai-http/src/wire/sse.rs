//! Server-sent events, read as the HTML standard reads them, from bytes that are cut anywhere.

use crate::error::Failure;
use futures_util::stream::{self, Stream, TryStreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use std::collections::VecDeque;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a service sent up to a blank line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its type; empty where none was given.
    pub(super) name: String,
    /// Its lines of data, with a line feed between them.
    pub(super) data: String,
}

/// Whether a service answers with events.
pub(super) fn is_stream(response: &Response) -> bool {
    let told = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    told.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
}

/// The events of an answer.
pub(super) fn of(response: Response, max: usize) -> impl Stream<Item = Result<Event, Failure>> + Send {
    events(response.bytes_stream().map_err(Failure::of_body), max)
}

/// The events of a body, each as soon as its blank line is there. None is larger than `max` bytes.
pub(super) fn events<B: AsRef<[u8]>>(
    body: impl Stream<Item = Result<B, Failure>> + Send,
    max: usize,
) -> impl Stream<Item = Result<Event, Failure>> + Send {
    stream::try_unfold((Box::pin(body), Decoder::new(max)), async |(mut body, mut decoder)| {
        loop {
            if let Some(event) = decoder.ready.pop_front() {
                return event.map(|event| Some((event, (body, decoder))));
            }
            match body.try_next().await? {
                Some(bytes) => decoder.push(bytes.as_ref()),
                None => return Ok(None),
            }
        }
    })
}

/// Gathers lines and events. Each byte is looked at once, and no more is kept than the event that is open.
#[derive(Debug)]
struct Decoder {
    max: usize,
    ready: VecDeque<Result<Event, Failure>>,
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    is_first_line: bool,
    /// The last byte was a carriage return. Its line has ended; a line feed may belong to it.
    after_return: bool,
}

impl Decoder {
    fn new(max: usize) -> Self {
        let (line, name, data) = (Vec::new(), Vec::new(), Vec::new());
        Self { max, ready: VecDeque::new(), line, name, data, is_first_line: true, after_return: false }
    }

    /// Nothing more may be pushed once a fault is ready.
    fn push(&mut self, mut bytes: &[u8]) {
        if self.after_return && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            self.after_return = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            if !self.keep(&bytes[..end]) {
                return;
            }
            let is_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.after_return = is_return && bytes.is_empty();
            if is_return {
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let line = std::mem::take(&mut self.line);
            self.end_line(&line);
        }
        self.keep(bytes);
    }

    /// A part of a line, if the event does not become too large by it.
    fn keep(&mut self, part: &[u8]) -> bool {
        let fits = self.line.len() + self.data.len() + part.len() <= self.max;
        if fits {
            self.line.extend_from_slice(part);
        } else {
            self.ready.push_back(Err(Failure::TooLarge(self.max)));
        }
        fits
    }

    fn end_line(&mut self, line: &[u8]) {
        let is_first = std::mem::take(&mut self.is_first_line);
        let line = line.strip_prefix(BOM).filter(|_| is_first).unwrap_or(line);
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.name = value.to_vec(),
            // A comment has an empty name. `id` and `retry` are for those who come back, and others have no meaning.
            _ => {}
        }
    }

    /// One without data is none.
    fn end_event(&mut self) {
        let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if data.pop().is_some() {
            let text = |bytes| String::from_utf8(bytes).map_err(|_| Failure::Malformed("not UTF-8".into()));
            self.ready.push_back(text(name).and_then(|name| Ok(Event { name, data: text(data)? })));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of these pieces, or what is wrong with them.
    fn decoded<'a>(max: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<(String, String), String>> {
        let mut decoder = Decoder::new(max);
        for piece in pieces {
            if decoder.ready.back().is_none_or(Result::is_ok) {
                decoder.push(piece);
            }
        }
        let shown = |event: Result<Event, Failure>| {
            event.map(|event| (event.name, event.data)).map_err(|failure| failure.to_string())
        };
        decoder.ready.into_iter().map(shown).collect()
    }

    fn event(name: &str, data: &str) -> Result<(String, String), String> {
        Ok((name.into(), data.into()))
    }

    /// What the standard says of each, and what is left of it where it ends in the middle.
    const CASES: &[(&str, &[(&str, &str)])] = &[
        ("data: one\n\ndata: two\n\n", &[("", "one"), ("", "two")]),
        ("data: YHOO\ndata: +2\ndata: 10\n\n", &[("", "YHOO\n+2\n10")]),
        (
            ": test stream\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
            &[("", "first"), ("", "second"), ("", " third")],
        ),
        ("data\n\ndata\ndata\n\ndata:", &[("", ""), ("", "\n")]),
        ("data:test\n\ndata: test\n\n", &[("", "test"), ("", "test")]),
        (
            "event: add\ndata: 1\n\nevent: none\n\ndata: 2\n\nevent: a\nevent: b\ndata: 3\n\n",
            &[("add", "1"), ("", "2"), ("b", "3")],
        ),
        ("\n\n\nretry: soon\nunknown: x\nDATA: x\n data: x\ndata : x\ndata: y:z\n\n", &[("", "y:z")]),
        (
            "data: ti\u{1ebf}ng Vi\u{1ec7}t \u{1f1fb}\u{1f1f3}\n\n",
            &[("", "ti\u{1ebf}ng Vi\u{1ec7}t \u{1f1fb}\u{1f1f3}")],
        ),
        ("data: dropped\n", &[]),
    ];

    #[test]
    fn events_are_what_the_standard_says_wherever_they_are_cut_and_however_lines_end() {
        for (text, expected) in CASES {
            let expected: Vec<_> = expected.iter().map(|(name, data)| event(name, data)).collect();
            for end in ["\n", "\r", "\r\n"] {
                for mark in ["", "\u{feff}"] {
                    let bytes = format!("{mark}{}", text.replace('\n', end)).into_bytes();
                    for cut in 0..=bytes.len() {
                        let (before, after) = bytes.split_at(cut);
                        assert_eq!(decoded(99, [before, b"", after]), expected, "{text:?} cut at {cut}, {end:?}");
                    }
                    assert_eq!(decoded(99, bytes.chunks(1)), expected, "{text:?} byte by byte, {end:?}");
                }
            }
        }
    }

    #[test]
    fn line_ends_may_be_mixed_and_only_the_first_bom_is_none_of_the_text() {
        let mixed = "data: a\r\ndata: b\rdata: c\n\r\n\u{feff}data: lost\n\ndata: \u{feff}d\r\r";
        for size in 1..mixed.len() {
            assert_eq!(decoded(99, mixed.as_bytes().chunks(size)), [event("", "a\nb\nc"), event("", "\u{feff}d")]);
        }
    }

    #[test]
    fn an_event_is_ready_with_the_byte_that_ends_it() {
        for ended in ["data: a\n\n", "data: a\r\r", "data: a\r\n\r"] {
            let (before, last) = ended.as_bytes().split_at(ended.len() - 1);
            assert_eq!(decoded(99, [before]), []);
            assert_eq!(decoded(99, [before, last]), [event("", "a")], "{ended:?}");
        }
    }

    #[test]
    fn one_that_is_too_large_is_a_fault_after_those_before_it() {
        let too_large = || Err(Failure::TooLarge(20).to_string());
        for text in [
            "data: a\n\ndata: 0123456789012345",
            "data: a\n\n:0123456789012345678901",
            "data: a\n\ndata: 01234\ndata: 01234\ndata: 012",
        ] {
            for size in 1..=text.len() {
                assert_eq!(decoded(20, text.as_bytes().chunks(size)), [event("", "a"), too_large()], "{text}");
            }
        }
        let many = "data: 0123456789\n\n".repeat(1000);
        assert!(decoded(20, [many.as_bytes()]).iter().all(Result::is_ok), "each counts alone");
    }

    #[test]
    fn what_is_no_utf8_is_a_fault() {
        let expected = [event("", "a"), Err("the AI's answer is malformed: not UTF-8".into())];
        assert_eq!(decoded(99, [b"data: a\n\ndata: \xff\n\n".as_slice()]), expected);
        assert_eq!(
            decoded(99, [b": \xff\nid: \xff\ndata: a\n\n".as_slice()]),
            [event("", "a")],
            "a comment is nothing"
        );
    }
}

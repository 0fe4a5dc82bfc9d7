//! Transcripts of services, cut at every byte, and answers that no service should give.

use super::*;
use chatcore::port::{AiChunk, AiError};
use chatcore_ports::sim::Sim;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use std::fs;
use std::path::Path;

/// What became of an answer.
#[derive(Debug, PartialEq)]
struct Read {
    text: String,
    tokens: Tokens,
    end: Result<(), AiError>,
}

/// Time stands still: nothing here waits for it.
fn limits(bytes: usize) -> Limits {
    Limits { bytes, runtime: Arc::new(Sim::new(7).runtime(0)) }
}

/// Reads events that come in these pieces.
fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let spent = Arc::<Spent>::default();
    let completion = Completion { spent: spent.clone(), ..Completion::default() };
    let pieces: Vec<_> = pieces.into_iter().map(|piece| Ok(piece.to_vec())).collect();
    let chunks =
        read(sse::events(stream::iter(pieces), 1024 * 1024), limits(1024 * 1024), completion).collect::<Vec<_>>();
    let (mut text, mut end) = (String::new(), None);
    for chunk in chunks.now_or_never().expect("all is there") {
        assert_eq!(end, None, "nothing comes after the end");
        match chunk {
            Ok(AiChunk::Text(more)) => text += &more,
            Ok(AiChunk::Done(reply)) if reply == AiReply::default() => end = Some(Ok(())),
            Ok(done) => panic!("{done:?}"),
            Err(failure) => end = Some(Err(failure.into())),
        }
    }
    Read { text, tokens: spent.so_far(), end: end.expect("an answer ends") }
}

/// Reads one event after the other, each a line of data.
fn read_data(data: &[&str]) -> Read {
    let events: Vec<_> = data.iter().map(|data| format!("data: {data}\n\n").into_bytes()).collect();
    read_pieces(events.iter().map(Vec::as_slice))
}

#[test]
fn transcripts_of_services_are_read_the_same_wherever_they_are_cut_and_however_lines_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let streams = expected.as_object().unwrap().iter().filter(|(name, _)| name.ends_with(".sse"));
    let mut count = 0;
    for (name, expected) in streams {
        let transcript = fs::read_to_string(folder.join(name)).unwrap();
        let told = read_pieces([transcript.as_bytes()]);
        let tokens = &expected["tokens"];
        assert_eq!(told.text, expected["text"], "{name}");
        assert_eq!(
            [told.tokens.prompt, told.tokens.completion].map(Some),
            [tokens[0].as_u64(), tokens[1].as_u64()].map(|count| count.or(Some(0))),
            "{name}"
        );
        let (outcome, reason) = match &told.end {
            Ok(()) => ("done", ""),
            Err(AiError::Refused(reason)) => ("refused", reason.as_str()),
            Err(AiError::Failed(reason) | AiError::Unasked(reason)) => ("failed", reason.as_str()),
        };
        assert_eq!(outcome, expected["outcome"], "{name}: {reason}");
        assert!(reason.contains(expected["reason"].as_str().unwrap_or_default()), "{name}: {reason}");
        for end in ["\n", "\r\n", "\r"] {
            let bytes = transcript.replace('\n', end).into_bytes();
            for cut in 0..=bytes.len() {
                let (before, after) = bytes.split_at(cut);
                assert_eq!(read_pieces([before, after]), told, "{name} cut at {cut}, {end:?}");
            }
            assert_eq!(read_pieces(bytes.chunks(1)), told, "{name} byte by byte, {end:?}");
        }
        count += 1;
    }
    assert!(count > 15, "{count} transcripts");
}

const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn anything_but_the_text_may_be_null_or_missing() {
    let nothing = [
        r#"{}"#,
        r#"{"choices":null,"usage":null,"error":null}"#,
        r#"{"choices":[]}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[{"index":null,"delta":null,"message":null,"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{}}]}"#,
        r#"{"choices":[{"delta":{"role":"assistant"},"finish_reason":""}]}"#,
        r#"{"choices":[{"delta":{"content":null,"tool_calls":null}}]}"#,
        r#"{"choices":[{"delta":{"content":"","reasoning":"hm","refusal":"no"}}]}"#,
        r#"{"choices":[{"delta":{"content":[]}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"thought","text":"hm"}]}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"another answer"},"finish_reason":"length"}]}"#,
        r#"{"usage":{"prompt_tokens":null}}"#,
        r#"{"error":{}}"#,
        r#"{"error":[]}"#,
        r#"{"error":""}"#,
        r#"{"error":false}"#,
        r#"{"error":0}"#,
    ];
    let (said, tokens) = (r#"{"choices":[{"delta":{"content":"a"}}]}"#, Tokens::default());
    for chunk in nothing {
        let expected = Read { text: "aa".into(), tokens, end: Ok(()) };
        assert_eq!(read_data(&[chunk, said, chunk, said, STOP, chunk, "[DONE]"]), expected, "{chunk}");
        assert_eq!(read_data(&[chunk, said, chunk, said, chunk, STOP, chunk]), expected, "{chunk}, and no [DONE]");
    }
    let parts = r#"{"choices":[{"delta":{"content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]}}]}"#;
    assert_eq!(read_data(&[said, parts, "[DONE]"]), Read { text: "abc".into(), tokens, end: Ok(()) });
    // Some tell beside and behind the pieces what they came to so far.
    let so_far = r#"{"choices":[{"delta":{"content":"b"},"message":{"content":"ab"}}]}"#;
    let whole = r#"{"choices":[{"message":{"content":"ab"}}]}"#;
    assert_eq!(read_data(&[said, so_far, whole, "[DONE]"]), Read { text: "ab".into(), tokens, end: Ok(()) });
    // And some have a piece of nothing beside an answer in one.
    let both = r#"{"choices":[{"delta":{"role":"assistant","content":""},"message":{"content":"ab"},"finish_reason":"stop"}]}"#;
    for again in [&[both, "[DONE]"][..], &[both, both, "[DONE]"], &[whole, both, whole, "[DONE]"]] {
        assert_eq!(read_data(again), Read { text: "ab".into(), tokens, end: Ok(()) });
    }
}

#[test]
fn an_answer_is_whole_where_its_service_says_so() {
    let (said, early) = (r#"{"choices":[{"delta":{"content":"a"}}]}"#, "ends too early");
    let faults: &[(&[&str], &str)] = &[
        (&[], early),
        (&[said], early),
        (&[said, "{}"], early),
        (&[said, r#"{"choices":[{"delta":{},"finish_reason":""}]}"#], early),
        (&["[DONE]"], "no choice"),
        (&["{}", "[DONE]"], "no choice"),
        (&[said, "[DO"], "not an object"),
        (&[said, r#"{"choices":["#], "it ends too early"),
        (&[said, STOP, r#"{"choices":["#], "it ends too early"),
        (&[said, r#"["choices"]"#], "not an object"),
        (&[said, "null"], "not an object"),
        (&[said, ""], "not an object"),
        (&[said, r#"{"choices":{}}"#], "not the members"),
        (&[said, r#"{"choices":[{"delta":{"content":7}}]}"#], "not the members"),
        (&[said, r#"{"choices":[{"delta":{"content":["a"]}}]}"#], "not the members"),
        (&[said, r#"{"choices":[{"delta":{"content":"\ud800"}}]}"#], "no JSON"),
        (&[said, r#"{"choices":[{"delta":"a"}]}"#], "not the members"),
        (&[said, r#"{"choices":[{"finish_reason":1}]}"#], "not the members"),
        (&[said, r#"{"error":{"message":"said a"}}"#], "reports a fault"),
        (&[said, r#"{"error":"said a"}"#], "reports a fault"),
        (&[said, r#"{"choices":[{"finish_reason":"error"}]}"#, "[DONE]"], "(error)"),
    ];
    for (data, reason) in faults {
        let Err(AiError::Failed(told)) = read_data(data).end else { panic!("{data:?}") };
        assert!(told.contains(reason) && !told.contains("said a"), "{data:?}: {told}");
    }
    let event = "event: error\ndata: said a\n\n";
    assert_eq!(read_pieces([event.as_bytes()]).end, Err(AiError::Failed("the AI reports a fault".into())));
}

#[test]
fn faults_of_a_question_are_told_from_those_of_the_service() {
    let fault = |error: &str| read_data(&[&format!(r#"{{"error":{error}}}"#)]).end.unwrap_err();
    for refused in [
        r#"{"code":400}"#,
        r#"{"code":"422"}"#,
        r#"{"code":"content_filter"}"#,
        r#"{"code":null,"type":"invalid_request_error"}"#,
    ] {
        assert!(matches!(fault(refused), AiError::Refused(_)), "{refused}");
    }
    for failed in [r#"{"code":429}"#, r#"{"code":"server_error"}"#, r#"{"code":{},"type":[]}"#, "true", "7"] {
        assert!(matches!(fault(failed), AiError::Failed(_)), "{failed}");
    }
    let tool = read_data(&[r#"{"choices":[{"finish_reason":"function_call"}]}"#, "[DONE]"]);
    assert_eq!(tool.end, Err(AiError::Refused("the AI calls a tool, and none was offered".into())));
    let words = r#"{"code":"my doctor told me","type":"sk-secret","message":"my doctor told me"}"#;
    assert_eq!(fault(words), AiError::Failed("the AI reports a fault".into()));
    assert_eq!(fault(&format!(r#"{{"code":"{}"}}"#, "x".repeat(65))), AiError::Failed("the AI reports a fault".into()));
}

#[test]
fn an_odd_count_of_tokens_costs_nobody_an_answer() {
    let said = r#"{"choices":[{"delta":{"content":"yes"}}]}"#;
    for usage in [r#""n/a""#, "[]", "7", r#"{"prompt_tokens":-1,"completion_tokens":7}"#, r#"{"prompt_tokens":"12"}"#] {
        let read = read_data(&[said, STOP, &format!(r#"{{"choices":[],"usage":{usage}}}"#), "[DONE]"]);
        assert_eq!((read.text.as_str(), read.end, read.tokens.prompt), ("yes", Ok(()), 0), "{usage}");
    }
}

#[test]
fn a_connection_that_breaks_after_the_reason_to_end_has_brought_all() {
    let text = r#"{"choices":[{"delta":{"content":"yes"}}]}"#;
    let text_and_stop = r#"{"choices":[{"delta":{"content":"yes"},"finish_reason":"stop"}]}"#;
    let end = |events: &[&str]| {
        let pieces = events.iter().map(|data| Ok(format!("data: {data}\n\n").into_bytes()));
        let pieces: Vec<_> = pieces.chain([Err(Failure::Broken("reset".into()))]).collect();
        let read = read(sse::events(stream::iter(pieces), 1024), limits(1024), Completion::default());
        read.collect::<Vec<_>>().now_or_never().unwrap().pop().unwrap()
    };
    assert!(matches!(end(&[text, STOP]), Ok(AiChunk::Done(_))));
    // Some tell a reason before all text, or with each piece of it.
    for cut_off in [&[text][..], &[STOP, text], &[STOP], &[text_and_stop], &["{}"]] {
        assert!(matches!(end(cut_off), Err(Failure::Broken(_))), "{cut_off:?}");
    }
}

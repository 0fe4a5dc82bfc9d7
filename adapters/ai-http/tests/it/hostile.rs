//! Services that lie, babble, stall or die: an error each time, with no word of anybody in it.

use crate::server::{Server, ok, say, sees_close, with_headers};
use crate::support::{WORDS, ai, ask, config, refusal};
use chatcore_ai_http::{HttpAi, HttpAiConfig, Secret};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

const KEY: &str = "sk-secret";
const ANSWER: &str = r#"{"response": "yes", "products": [{"name": "tea"}], "intent": "x", "confidence": 1}"#;

/// An AI at this server with a key to keep, and no breaker in the way.
fn keeping_secrets(server: &Server, change: impl FnOnce(&mut HttpAiConfig)) -> HttpAi {
    let mut config = config(&format!("{}?key={KEY}", server.url()));
    config.api_key = Some(Secret::new(KEY));
    config.breaker.faults = u32::MAX;
    change(&mut config);
    ai(config)
}

async fn reason_for(reply: Vec<u8>) -> String {
    let server = Server::saying(reply).await;
    let reason = refusal(&keeping_secrets(&server, |_| {})).await;
    assert!(!reason.contains(WORDS) && !reason.contains(KEY), "{reason}");
    reason
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

/// Whole replies in every way that a body may be framed.
fn framings() -> [Vec<u8>; 3] {
    let chunks = format!("{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", 9, &ANSWER[..9], ANSWER.len() - 9, &ANSWER[9..]);
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{chunks}");
    [ok(ANSWER), chunked.into_bytes(), with_headers("content-encoding: gzip\r\n", gzip(ANSWER.as_bytes()))]
}

#[tokio::test]
async fn a_reply_that_is_cut_after_any_byte_is_an_error_and_never_asked_for_again() {
    for whole in framings() {
        let (length, whole) = (whole.len(), Arc::<[u8]>::from(whole));
        let server = Server::start(move |call, peer| say(peer, whole[..call].into())).await;
        let ai = keeping_secrets(&server, |_| {});
        for cut in 0..length {
            let answer = ask(&ai).await;
            assert!(answer.is_err(), "{cut} of {length} bytes made {answer:?}");
        }
        assert_eq!(ask(&ai).await.unwrap().0, ["yes"], "and all of it is an answer");
        assert_eq!(server.calls(), length + 1, "each question was sent once");
    }
}

#[tokio::test]
async fn a_body_without_a_length_that_is_cut_anywhere_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let server =
        Server::start(move |call, peer| say(peer, format!("{head}{}", &ANSWER[..call]).into_bytes().into())).await;
    let ai = keeping_secrets(&server, |_| {});
    for cut in 0..ANSWER.len() {
        assert!(ask(&ai).await.is_err(), "{cut} bytes");
    }
    assert!(ask(&ai).await.is_ok());
}

#[tokio::test]
async fn what_is_not_the_contract_is_an_error_that_quotes_nothing() {
    let bodies = [
        "",
        " ",
        "{",
        "null",
        "true",
        "42",
        "<html>WORDS</html>",
        r#""WORDS""#,
        "[]",
        r#"["WORDS", [], null, 0.5]"#,
        "{}",
        r#"{"response": null}"#,
        r#"{"response": 7}"#,
        r#"{"response": ["WORDS"]}"#,
        r#"{"response": {"WORDS": 1}}"#,
        r#"{"Response": "WORDS"}"#,
        r#"{"response": "WORDS"} WORDS"#,
        r#"{"response": "WORDS", "response": "WORDS"}"#,
        r#"{"response": "WORDS \ud800"}"#,
        r#"{"response": "WORDS \x"}"#,
        r#"{"response": "WORDS", "products": {}}"#,
        r#"{"response": "WORDS", "products": "WORDS"}"#,
        r#"{"response": "WORDS", "products": ["WORDS"]}"#,
        r#"{"response": "WORDS", "products": [null]}"#,
        r#"{"response": "WORDS", "products": [[{}]]}"#,
        r#"{"response": "WORDS", "products": [{"price": 1e999}]}"#,
        r#"{"response": "WORDS", "products": [{"name": "\ud800"}]}"#,
        r#"{"response": "WORDS", "intent": ["WORDS"]}"#,
        r#"{"response": "WORDS", "intent": 5}"#,
        r#"{"response": "WORDS", "confidence": "WORDS"}"#,
        r#"{"response": "WORDS", "confidence": true}"#,
        r#"{"response": "WORDS", "confidence": NaN}"#,
        r#"{"response": "WORDS", "confidence": 1e999}"#,
    ];
    for body in bodies {
        let reason = reason_for(ok(body.replace("WORDS", WORDS))).await;
        assert!(reason.contains("malformed"), "{body}: {reason}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_an_error_wherever_they_are() {
    let bad = [b"\xff".as_slice(), b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"];
    for (before, after) in
        [("{\"response\": \"", "\"}"), ("{\"response\": \"\", \"mine\": \"", "\"}"), ("", "{\"response\": \"\"}")]
    {
        for bytes in bad {
            let reason = reason_for(ok([before.as_bytes(), bytes, after.as_bytes()].concat())).await;
            assert!(reason.contains("not UTF-8"), "{reason}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_ten_thousand_levels_is_an_error_and_no_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}0{}", open.repeat(10_000), close.repeat(10_000));
        for body in [
            deep.clone(),
            format!(r#"{{"response": "yes", "mine": {deep}}}"#),
            format!(r#"{{"response": "yes", "products": [{{"a": {deep}}}]}}"#),
            format!(r#"{{"response": {deep}}}"#),
            open.repeat(10_000),
        ] {
            let reason = reason_for(ok(body)).await;
            assert!(reason.contains("deeper than 120 levels"), "{reason}");
        }
    }
}

#[tokio::test]
async fn nesting_counts_outside_strings_and_up_to_the_limit() {
    let nested =
        |levels: usize| format!(r#"{{"response": "\\\"[[[", "mine": {}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let brackets = format!(r#"{{"response": "{}"}}"#, "[{".repeat(500));
    for (body, is_good) in [(nested(119), true), (nested(120), false), (brackets, true)] {
        let server = Server::saying(ok(&body)).await;
        assert_eq!(ask(&ai(config(&server.url()))).await.is_ok(), is_good, "{body}");
    }
}

#[tokio::test]
async fn a_body_is_cut_off_at_its_cap_though_it_never_ends() {
    let (closed, mut seen) = mpsc::channel(1);
    let server = Server::start(move |_, mut peer| {
        let closed = closed.clone();
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"response\": \"";
            let mut written = peer.write_all(head.as_bytes()).await;
            while written.is_ok() {
                written = peer.write_all(&[b'x'; 16 * 1024]).await;
            }
            closed.send(()).await.unwrap();
        }
    });
    let server = server.await;
    let reason = refusal(&keeping_secrets(&server, |config| config.max_body = 64 * 1024)).await;
    assert!(reason.contains("larger than 65536 bytes"), "{reason}");
    tokio::time::timeout(Duration::from_secs(2), seen.recv()).await.expect("the connection is closed").unwrap();
}

#[tokio::test]
async fn the_cap_is_exact() {
    let server = Server::saying(ok(ANSWER)).await;
    let with_cap = |cap| keeping_secrets(&server, |config| config.max_body = cap);
    assert!(ask(&with_cap(ANSWER.len())).await.is_ok());
    assert!(refusal(&with_cap(ANSWER.len() - 1)).await.contains("larger than"));
    assert!(refusal(&with_cap(0)).await.contains("larger than"));
}

#[tokio::test]
async fn a_small_body_that_grows_in_decompression_is_cut_off_at_the_same_cap() {
    let bomb = gzip(format!(r#"{{"response": "{}"}}"#, " ".repeat(32 * 1024 * 1024)).as_bytes());
    assert!(bomb.len() < 64 * 1024, "it is small on the wire");
    let reason = reason_for(with_headers("content-encoding: gzip\r\n", bomb)).await;
    assert!(reason.contains("larger than 1048576 bytes"), "{reason}");
}

#[tokio::test]
async fn what_claims_to_be_compressed_and_is_not_is_an_error() {
    assert!(reason_for(with_headers("content-encoding: gzip\r\n", ANSWER)).await.contains("broke"));
    let brotli = with_headers("content-encoding: br\r\n", [0x0b, 0x02, 0x80, 0x03]);
    assert!(reason_for(brotli).await.contains("malformed"));
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    for reply in
        ["", "SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1 999999 \r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"]
    {
        assert!(reason_for(reply.into()).await.contains("broke"), "{reply}");
    }
    let endless_head = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(2 * 1024 * 1024));
    assert!(reason_for(endless_head.into()).await.contains("broke"));
}

#[tokio::test]
async fn a_connection_that_is_reset_is_an_error_and_the_question_is_not_sent_again() {
    let server = Server::start(|_, peer| async move { peer.set_zero_linger().unwrap() }).await;
    let reason = refusal(&keeping_secrets(&server, |_| {})).await;
    assert!(reason.contains("broke"), "{reason}");
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_service_that_is_silent_or_drips_is_left_at_the_deadline() {
    let (left, mut seen) = mpsc::channel(2);
    let server = Server::start(move |call, mut peer| {
        let left = left.clone();
        async move {
            let drips = call == 1;
            while drips && peer.write_all(b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            left.send(sees_close(&mut peer).await).await.unwrap();
        }
    });
    let server = server.await;
    let ai = keeping_secrets(&server, |config| config.timeout = Duration::from_millis(200));
    for _ in ["silent", "drips"] {
        #[expect(clippy::disallowed_methods, reason = "what a caller's watch shows is the matter here")]
        let begun = SystemTime::now();
        assert!(refusal(&ai).await.contains("within 200ms"));
        assert!(begun.elapsed().unwrap() < Duration::from_secs(2));
        assert_eq!(seen.recv().await, Some(true), "the upstream call is over as well");
    }
}

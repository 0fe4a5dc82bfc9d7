//! What is sent in OpenAI's format, and what becomes of what comes back.

use crate::server::{Server, stream};
use crate::support::{
    MESSAGE, SESSION, WORDS, ai, ask, header, json, openai, prompt, refusal, sent, server, two_turns,
};
use chatcore::id::RequestId;
use chatcore::message::AiReply;
use chatcore::port::{AiError, Prompt};
use chatcore_ai_http::{HttpAiConfig, OpenAi, Secret, Wire};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use wiremock::matchers::{any, body_partial_json};
use wiremock::{Mock, MockServer, ResponseTemplate};

const ANSWER: &str = r#"{"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2}}"#;
const PIECES: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"yes\"}}]}\n\ndata: [DONE]\n\n";

/// A model that is told something, at a service of OpenAI's format.
fn told(url: &str, change: impl FnOnce(&mut HttpAiConfig)) -> HttpAiConfig {
    let mut config = openai(&format!("{url}/v1"));
    let mut model = OpenAi::new("gpt-4o-mini");
    model.system_prompt = Some("You sell \"phones\".".into());
    config.wire = Wire::OpenAi(model);
    change(&mut config);
    config
}

#[tokio::test]
async fn a_question_goes_with_the_prompt_of_the_system_and_the_history() {
    let request_id = Some(RequestId::parse("req-7").unwrap());
    let prompt = Prompt { request_id, text: "Tìm \"iPhone 15\"\n".into(), history: two_turns(), ..prompt() };
    let key = |config: &mut HttpAiConfig| config.api_key = Some(Secret::new("sk-1"));
    let request = sent(prompt, json(ANSWER), |url| told(url, key)).await;
    assert_eq!((request.method.as_str(), request.url.path()), ("POST", "/v1/chat/completions"));
    let headers = [
        ("authorization", "Bearer sk-1"),
        ("content-type", "application/json"),
        ("accept", "text/event-stream, application/json"),
        ("idempotency-key", &format!("\"{MESSAGE}\"")),
        ("x-request-id", "req-7"),
    ];
    for (name, value) in headers {
        assert_eq!(header(&request, name), Some(value), "{name}");
    }
    let body = json!({
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "You sell \"phones\"."},
            {"role": "user", "content": "Xin chào"},
            {"role": "assistant", "content": "Chào \"bạn\"!"},
            {"role": "user", "content": "Tìm \"iPhone 15\"\n"},
        ],
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    assert_eq!(request.body_json::<Value>().unwrap(), body, "and nothing that tells of the user or the session");
}

#[tokio::test]
async fn without_context_or_pieces_or_a_prompt_the_question_goes_alone() {
    let alone = |config: &mut HttpAiConfig| {
        (config.send_context, config.stream) = (false, false);
        config.wire = Wire::OpenAi(OpenAi::new("m"));
    };
    let request = sent(prompt(), json(ANSWER), |url| told(url, alone)).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": WORDS}], "stream": false});
    assert_eq!(request.body_json::<Value>().unwrap(), body);
    assert_eq!(header(&request, "accept"), Some("application/json"));
    assert!(!format!("{request:?}").contains(SESSION));
}

#[tokio::test]
async fn an_answer_without_a_text_is_not_told_to_a_model() {
    let mut history = two_turns();
    history[1].content.clear();
    let request = sent(Prompt { history, ..prompt() }, json(ANSWER), |url| told(url, |_| {})).await;
    let roles: Vec<_> = request.body_json::<Value>().unwrap()["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["role"].clone())
        .collect();
    assert_eq!(roles, ["system", "user", "user"]);
}

#[tokio::test]
async fn the_path_is_added_once_and_a_query_stays() {
    for (given, path) in [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("", "/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/deployments/a%20b/?api-version=2024-10-21", "/openai/deployments/a%20b/chat/completions"),
    ] {
        let request = sent(prompt(), json(ANSWER), |url| openai(&format!("{url}{given}"))).await;
        assert_eq!(request.url.path(), path, "{given}");
        assert_eq!(request.url.query(), given.split_once('?').map(|(_, query)| query), "{given}");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_is_taken_though_several_were_asked_for() {
    let server = server(json(ANSWER)).await;
    let ai = ai(openai(&server.uri()));
    for asked in 1..=2 {
        assert_eq!(ask(&ai).await, Ok((vec!["yes".into()], AiReply::default())));
        assert_eq!((ai.tokens().prompt, ai.tokens().completion), (5 * asked, 2 * asked), "they add up");
    }
}

#[tokio::test]
async fn a_service_that_counts_no_tokens_is_asked_again_without_and_never_with_it_after() {
    for status in [400, 422] {
        let server = MockServer::start().await;
        let unknown = json!({"error": {"message": "Unrecognized request argument supplied: stream_options"}});
        let refuses = Mock::given(body_partial_json(json!({"stream_options": {"include_usage": true}})));
        refuses.respond_with(ResponseTemplate::new(status).set_body_json(unknown)).expect(1).mount(&server).await;
        let pieces = ResponseTemplate::new(200).set_body_raw(PIECES, "text/event-stream");
        Mock::given(any()).respond_with(pieces).expect(3).mount(&server).await;
        let ai = ai(openai(&server.uri()));
        for _ in 0..3 {
            assert_eq!(ask(&ai).await.unwrap().0, ["yes"]);
        }
    }
}

#[tokio::test]
async fn a_question_that_is_refused_is_not_asked_again_and_costs_no_count_of_tokens() {
    let with_usage = async |body: &str, calls: u64| {
        let server = server(ResponseTemplate::new(400).set_body_string(body)).await;
        let ai = ai(openai(&server.uri()));
        for _ in 0..2 {
            assert!(matches!(ask(&ai).await, Err(AiError::Refused(_))), "{body}");
        }
        let requests = server.received_requests().await.unwrap();
        assert_eq!(requests.len() as u64, calls, "{body}");
        requests.iter().filter(|request| String::from_utf8_lossy(&request.body).contains("include_usage")).count()
    };
    assert_eq!(with_usage(r#"{"error": {"code": "content_filter"}}"#, 2).await, 2);
    assert_eq!(with_usage("stream_options? I know nothing", 4).await, 2, "what did not help is tried anew");
}

#[tokio::test]
async fn a_status_says_whose_fault_it_is_and_what_the_service_calls_it() {
    let error = json!({"error": {"message": WORDS, "type": "a_type", "code": "a_code"}});
    for status in [300, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529] {
        let server = server(ResponseTemplate::new(status).set_body_json(&error)).await;
        let error = ask(&ai(openai(&server.uri()))).await.unwrap_err();
        assert_eq!(matches!(error, AiError::Refused(_)), matches!(status, 400 | 413 | 422), "{error:?}");
        assert_eq!(error.to_string(), format!("the AI answered with status {status} (a_code, a_type)"));
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "it is asked once");
    }
    let endless = ResponseTemplate::new(500).set_body_string("x".repeat(10_000_000));
    assert_eq!(refusal(&ai(openai(&server(endless).await.uri()))).await, "the AI answered with status 500");
}

#[tokio::test]
async fn the_prompt_of_the_system_may_be_seen_and_the_key_may_not() {
    let shown = format!("{:?}", told("http://ai", |config| config.api_key = Some(Secret::new("sk-secret"))));
    assert!(shown.contains("gpt-4o-mini") && !shown.contains("sk-secret"), "{shown}");
}

#[tokio::test]
async fn what_comes_after_the_end_is_not_read() {
    let server = Server::saying(stream([PIECES.as_bytes(), b"data: nonsense\n\n\xff\xff"].concat())).await;
    assert_eq!(ask(&ai(openai(&server.url()))).await.unwrap().0, ["yes"]);
}

/// A server that says these events, three seconds apart, and then nothing but comments, which keep a connection alive.
async fn slow(events: &'static [&'static str]) -> Server {
    let say = move |_, mut peer: TcpStream| async move {
        peer.write_all(&stream("")).await.unwrap();
        for (number, event) in events.iter().enumerate() {
            sleep(Duration::from_secs(if number == 0 { 0 } else { 3 })).await;
            peer.write_all(format!("data: {event}\n\n").as_bytes()).await.unwrap();
        }
        while peer.write_all(b": on it\n\n").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    Server::start(say).await
}

/// It says that it has finished, and neither that this was all nor that the connection ends.
#[tokio::test]
async fn an_answer_that_has_told_why_it_ends_is_not_waited_for() {
    const TEXT: &str = r#"{"choices":[{"delta":{"content":"yes"},"finish_reason":null}]}"#;
    const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let server = slow(&[TEXT, STOP]).await;
    let answered = timeout(Duration::from_secs(20), ask(&ai(openai(&server.url())))).await;
    assert_eq!(answered.expect("long before its time is over").unwrap().0, ["yes"]);
}

/// Some services tell a reason to end with each piece, or before a model that thinks for long has said anything.
#[tokio::test]
async fn a_reason_to_end_that_comes_too_early_ends_nothing() {
    const EACH: &[&str] = &[
        r#"{"choices":[{"delta":{"content":"one"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{"content":" two"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ];
    const FIRST: &[&str] = &[
        r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{"content":"one two"},"finish_reason":null}]}"#,
        "[DONE]",
    ];
    // What ends without another word ends where it was cut off.
    let cut_off = Server::saying(stream(format!("data: {}\n\ndata: {}\n\n", FIRST[0], FIRST[1]))).await;
    assert!(ask(&ai(openai(&cut_off.url()))).await.is_err());
    let (each, first) = (slow(EACH).await, slow(FIRST).await);
    let (each, first) = (ai(openai(&each.url())), ai(openai(&first.url())));
    let (each, first) = tokio::join!(ask(&each), ask(&first));
    assert_eq!([each, first].map(|answered| answered.unwrap().0.concat()), ["one two", "one two"]);
}

#[tokio::test]
async fn a_member_for_errors_that_says_nothing_ends_no_answer() {
    let piece = |error: &str, text: &str| {
        format!("data: {{\"error\":{error},\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    for nothing in ["null", "false", "0", r#""""#, "[]", "{}"] {
        let pieces = [&piece(nothing, "y"), &piece(nothing, "es"), "data: [DONE]\n\n"].concat();
        let server = Server::saying(stream(pieces)).await;
        let (text, _) = ask(&ai(openai(&server.url()))).await.unwrap_or_else(|error| panic!("{nothing}: {error}"));
        assert_eq!(text.concat(), "yes", "{nothing}");
        let whole = format!(r#"{{"error":{nothing},"choices":[{{"message":{{"content":"yes"}}}}]}}"#);
        let server = self::server(json(&whole)).await;
        assert_eq!(ask(&ai(openai(&server.uri()))).await.unwrap().0, ["yes"], "{nothing}");
    }
    for fault in ["true", "7", r#""overloaded""#, r#"{"code":null}"#] {
        let pieces = [&piece("null", "y"), &piece(fault, "es"), "data: [DONE]\n\n"].concat();
        let server = Server::saying(stream(pieces)).await;
        assert_eq!(refusal(&ai(openai(&server.url()))).await, "the AI reports a fault", "{fault}");
    }
}

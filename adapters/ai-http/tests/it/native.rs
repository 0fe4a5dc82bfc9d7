//! The native contract, in both directions.

use crate::support::{
    self, MESSAGE, SESSION, WORDS, ai, ask, config, header, json, prompt, refusal, server, two_turns,
};
use chatcore::id::{DeviceId, RequestId};
use chatcore::message::{AiReply, Products};
use chatcore::owner::Owner;
use chatcore::port::Prompt;
use chatcore_ai_http::{HttpAiConfig, Secret};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use wiremock::{Request, ResponseTemplate};

const ANSWER: &str = r#"{"response": "Có 2 máy.", "intent": "product_search", "confidence": 0.95, "model": {"name": "x"},
    "products": [{"price": 29500000.10, "product_name": "iPhone \"15\"", "mine": [1e2, null, {"a": "b  c"}]}, {}]}"#;

async fn sent(prompt: Prompt, change: impl FnOnce(&mut HttpAiConfig)) -> Request {
    let answers = |url: &str| {
        let mut config = config(&format!("{url}/v2/chat?tenant=7"));
        change(&mut config);
        config
    };
    support::sent(prompt, json(ANSWER), answers).await
}

#[tokio::test]
async fn a_question_is_a_post_with_the_message_who_asks_and_what_came_before() {
    let request_id = Some(RequestId::parse("req-7").unwrap());
    let prompt = Prompt { request_id, text: "Tìm \"iPhone 15\"\n".into(), history: two_turns(), ..prompt() };
    let request = sent(prompt, |config| config.api_key = Some(Secret::new("sk-1"))).await;

    assert_eq!(
        (request.method.as_str(), request.url.path(), request.url.query()),
        ("POST", "/v2/chat", Some("tenant=7"))
    );
    assert_eq!(header(&request, "authorization"), Some("Bearer sk-1"));
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    assert_eq!(header(&request, "accept"), Some("text/event-stream, application/json"));
    assert_eq!(header(&request, "idempotency-key"), Some(format!("\"{MESSAGE}\"").as_str()));
    assert_eq!(header(&request, "x-request-id"), Some("req-7"));
    let body = serde_json::json!({
        "message": "Tìm \"iPhone 15\"\n",
        "session_id": SESSION,
        "user_id": "user_123",
        "chat_history": [{"role": "user", "content": "Xin chào"}, {"role": "assistant", "content": "Chào \"bạn\"!"}],
    });
    assert_eq!(request.body_json::<serde_json::Value>().unwrap(), body);
}

#[tokio::test]
async fn pieces_are_asked_for_unless_they_are_not_wanted() {
    let request = sent(prompt(), |config| config.stream = false).await;
    assert_eq!(header(&request, "accept"), Some("application/json"));
}

#[tokio::test]
async fn a_guest_has_a_null_user_id_and_an_empty_history_is_an_empty_array() {
    let owner = Owner::Guest(DeviceId::parse("phone-17").unwrap());
    let request = sent(Prompt { owner, history: Vec::new(), ..prompt() }, |_| {}).await;
    let body = serde_json::json!({"message": WORDS, "session_id": SESSION, "user_id": null, "chat_history": []});
    assert_eq!(request.body_json::<serde_json::Value>().unwrap(), body);
    assert!(!String::from_utf8_lossy(&request.body).contains("phone-17"), "a device id is nobody else's business");
}

#[tokio::test]
async fn without_context_only_the_message_and_the_session_are_sent() {
    let request = sent(prompt(), |config| config.send_context = false).await;
    let body = serde_json::json!({"message": WORDS, "session_id": SESSION});
    assert_eq!(request.body_json::<serde_json::Value>().unwrap(), body);
}

#[tokio::test]
async fn without_a_key_or_a_request_id_no_header_speaks_of_them() {
    for key in [None, Some(Secret::new(""))] {
        let request = sent(prompt(), |config| config.api_key = key).await;
        assert_eq!(header(&request, "authorization"), None);
        assert_eq!(header(&request, "x-request-id"), None);
    }
}

#[tokio::test]
async fn an_answer_keeps_its_products_as_they_came_and_unknown_members_do_no_harm() {
    let server = server(json(ANSWER)).await;
    let (texts, reply) = ask(&ai(config(&server.uri()))).await.unwrap();
    assert_eq!(texts, ["Có 2 máy."]);
    let products = r#"[{"price":29500000.10,"product_name":"iPhone \"15\"","mine":[1e2,null,{"a":"b  c"}]},{}]"#;
    assert_eq!(reply.products.as_json(), products);
    assert_eq!((reply.intent.as_deref(), reply.confidence), (Some("product_search"), Some(0.95)));
}

#[tokio::test]
async fn what_comes_beside_the_text_may_be_null_or_missing() {
    for body in [
        r#"{"response": "yes"}"#,
        r#" {"response": "yes", "products": null, "intent": null, "confidence": null} "#,
        r#"{"response": "yes", "products": [ ]}"#,
    ] {
        let server = server(json(body)).await;
        assert_eq!(ask(&ai(config(&server.uri()))).await, Ok((vec!["yes".into()], AiReply::default())), "{body}");
    }
}

#[tokio::test]
async fn an_empty_text_is_no_text_and_still_an_answer() {
    let server = server(json(r#"{"response": "", "intent": "shrug"}"#)).await;
    let (texts, reply) = ask(&ai(config(&server.uri()))).await.unwrap();
    assert!(texts.is_empty());
    assert_eq!((reply.intent.as_deref(), reply.products), (Some("shrug"), Products::default()));
}

#[tokio::test]
async fn a_compressed_answer_of_any_content_type_and_any_2xx_is_read() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(ANSWER.as_bytes()).unwrap();
    let response = ResponseTemplate::new(201).set_body_raw(gzip.finish().unwrap(), "text/plain");
    let server = server(response.insert_header("content-encoding", "gzip")).await;
    assert_eq!(ask(&ai(config(&server.uri()))).await.unwrap().0, ["Có 2 máy."]);
}

#[tokio::test]
async fn any_other_status_is_an_error_and_asked_only_once() {
    for status in [204, 304, 400, 401, 404, 409, 429, 500, 502, 503] {
        let server = server(ResponseTemplate::new(status)).await;
        let reason = refusal(&ai(config(&server.uri()))).await;
        let expected = if status == 204 { "malformed".into() } else { format!("status {status}") };
        assert!(reason.contains(&expected), "{status}: {reason}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = server(json(ANSWER)).await;
    for status in [301, 302, 303, 307, 308] {
        let server = server(ResponseTemplate::new(status).insert_header("location", target.uri())).await;
        let reason = refusal(&ai(config(&server.uri()))).await;
        assert!(reason.contains(&format!("status {status}")), "{reason}");
    }
    assert!(target.received_requests().await.unwrap().is_empty(), "the key and the words stay with the one service");
}

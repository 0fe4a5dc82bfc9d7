//! Pages of sessions and of histories, and whose they are.

use crate::app::{Answer, TestApp, send};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn sessions_come_page_by_page_newest_first() {
    for app in [TestApp::start().await, TestApp::sqlite(&[]).await] {
        let mut made = Vec::new();
        for number in 0..5 {
            made.push(app.say(&format!("number {number}")).await["session_id"].clone());
        }
        made.reverse();
        let (mut path, mut seen, mut pages) = (Some("/chat/sessions?limit=2".to_owned()), Vec::new(), 0);
        while let Some(next) = path {
            let page = app.get(&next).await;
            seen.extend(page.json().as_array().unwrap().iter().map(|session| session["session_id"].clone()));
            (path, pages) = (next_page(&page), pages + 1);
        }
        assert_eq!((seen, pages), (made, 3));
        let full = app.get("/chat/sessions?limit=5").await;
        assert_eq!(next_page(&full), None, "a last page that is full has no next one");
    }
}

fn next_page(page: &Answer) -> Option<String> {
    let (target, rel) = page.header("link")?.split_once(';').unwrap();
    assert_eq!(rel.trim(), "rel=\"next\"");
    Some(target.trim_matches(['<', '>']).to_owned())
}

#[tokio::test]
async fn a_history_is_read_backwards_page_by_page() {
    let app = TestApp::start().await;
    let id = app.say("number 1").await["session_id"].as_str().unwrap().to_owned();
    for number in 2..=12 {
        app.message(&json!({ "message": format!("number {number}"), "session_id": id })).await;
    }
    let seqs = async |query: &str| {
        let page = app.get(&format!("/chat/session/{id}/messages{query}")).await.json();
        page.as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(seqs("").await, (1..=24).collect::<Vec<_>>());
    assert_eq!(seqs("?limit=3").await, [22, 23, 24]);
    assert_eq!(seqs("?limit=3&before=22").await, [19, 20, 21]);
    assert_eq!(seqs("?before=2&unknown=1").await, [1]);
    assert_eq!(seqs("?before=1").await, [0; 0]);
    let session = app.get(&format!("/chat/session/{id}")).await.json();
    let newest: Vec<_> = session["messages"].as_array().unwrap().iter().map(|message| &message["seq"]).collect();
    assert_eq!((newest.len(), newest[0], &session["message_count"]), (20, &json!(5), &json!(24)));
}

/// In what a server says, and in what its document shows.
#[tokio::test]
async fn the_last_activity_of_a_session_is_its_newest_question() {
    let newest = |session: &Value| {
        let messages = session["messages"].as_array().unwrap();
        let [.., question, answer] = &messages[..] else { panic!("{session}") };
        assert_eq!((&question["role"], &answer["role"]), (&json!("user"), &json!("assistant")), "{session}");
        assert!(question["timestamp"].as_str() <= answer["timestamp"].as_str(), "{session}");
        question["timestamp"].clone()
    };
    for app in [TestApp::start().await, TestApp::sqlite(&[]).await] {
        let id = app.say("number 1").await["session_id"].as_str().unwrap().to_owned();
        app.message(&json!({ "message": "number 2", "session_id": id })).await;
        let session = app.get(&format!("/chat/session/{id}")).await.json();
        assert_eq!(session["last_activity"], newest(&session), "{session}");
        assert_eq!(app.get("/chat/sessions").await.json()[0]["last_activity"], newest(&session));
        let document = app.get("/openapi.json").await.json();
        let shown = document["paths"]["/chat/session/{session_id}"]["get"]["responses"]["200"]["content"]
            ["application/json"]["examples"].as_object().unwrap().values();
        shown.for_each(|shown| assert_eq!(shown["value"]["last_activity"], newest(&shown["value"]), "{shown}"));
    }
}

/// Somebody talks all the while, so that the store moves on between any two looks at it.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_and_its_messages_tell_of_one_moment() {
    let app = Arc::new(TestApp::start().await);
    let id = app.say("number 1").await["session_id"].as_str().unwrap().to_owned();
    let talking = tokio::spawn({
        let (app, id) = (app.clone(), id.clone());
        async move {
            for number in 2..=150 {
                app.message(&json!({ "message": format!("number {number}"), "session_id": id })).await;
            }
        }
    });
    while !talking.is_finished() {
        let session = app.get(&format!("/chat/session/{id}")).await.json();
        let newest = session["messages"].as_array().unwrap().last().unwrap();
        assert_eq!(newest["seq"], session["message_count"], "{session}");
    }
    talking.await.unwrap();
}

#[tokio::test]
async fn pages_that_make_no_sense_are_refused() {
    let app = TestApp::start().await;
    let id = app.say("hi").await["session_id"].as_str().unwrap().to_owned();
    for limit in ["0", "101", "-1", "x", "", "1.5", "99999999999999999999"] {
        app.get(&format!("/chat/sessions?limit={limit}")).await.points_to(&["limit"]);
    }
    for cursor in ["x", "", "%00", "ffffffffffffffffffffffffffffffffffffffffffffffff"] {
        app.get(&format!("/chat/sessions?cursor={cursor}")).await.points_to(&["cursor"]);
    }
    app.get(&format!("/chat/session/{id}/messages?before=0&limit=x")).await.points_to(&["before", "limit"]);
    app.get("/chat/sessions?limit=1&limit=2").await.points_to(&["limit"]);
}

#[tokio::test]
async fn anothers_session_is_closed_to_all_but_its_owner() {
    let mut app = TestApp::start().await;
    app.be("user_a");
    let id = app.say("a secret").await["session_id"].as_str().unwrap().to_owned();
    app.be("user_b");
    let paths = [format!("/chat/session/{id}"), format!("/chat/session/{id}/messages")];
    for answer in [
        app.get(&paths[0]).await,
        app.get(&paths[1]).await,
        app.delete(&paths[0]).await,
        app.message(&json!({ "message": "hi", "session_id": id })).await,
    ] {
        assert_eq!(answer.is_problem(403, "access_denied")["detail"], "Access denied");
    }
    assert_eq!(app.get("/chat/sessions").await.json(), json!([]));
    app.be("user_a");
    assert_eq!(app.get(&paths[0]).await.json()["message_count"], 2);
}

#[tokio::test]
async fn an_unknown_session_is_not_found() {
    let app = TestApp::start().await;
    let id = "00000000-0000-4000-8000-000000000000";
    for answer in [
        app.get(&format!("/chat/session/{id}")).await,
        app.get(&format!("/chat/session/{id}/messages")).await,
        app.delete(&format!("/chat/session/{id}")).await,
        app.message(&json!({ "message": "hi", "session_id": id })).await,
    ] {
        assert_eq!(answer.is_problem(404, "session_not_found")["detail"], "Session not found");
    }
}

#[tokio::test]
async fn a_first_message_may_name_its_session_as_none_or_as_empty() {
    let app = TestApp::start().await;
    for session in [Value::Null, json!("")] {
        let answer = app.message(&json!({ "message": "hi", "session_id": session, "user_id": "user_123" })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let two = send(app.authed(Method::GET, "/chat/sessions")).await.json();
    assert_eq!(two.as_array().unwrap().len(), 2);
}

//! Guests: who has no token and names a device.

use crate::app::{Answer, TestApp, send};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const DEVICE: &str = "phone-4711";

/// A request of this guest.
fn guest(app: &TestApp, device: &str, method: Method, path: &str) -> RequestBuilder {
    app.request(method, path).header("x-device-id", device)
}

async fn say(app: &TestApp, body: Value) -> Answer {
    send(app.request(Method::POST, "/chat/message").json(&body)).await
}

async fn list(app: &TestApp, device: &str) -> Value {
    send(guest(app, device, Method::GET, "/chat/sessions")).await.json()
}

#[tokio::test]
async fn a_guest_chats_under_its_device() {
    let app = TestApp::start().await;
    let first = say(&app, json!({ "message": "laptop", "device_id": DEVICE })).await.json();
    let path = format!("/chat/session/{}", first["session_id"].as_str().unwrap());
    let shown = send(guest(&app, DEVICE, Method::GET, &path)).await.json();
    assert_eq!((&shown["user_id"], &shown["device_id"]), (&Value::Null, &json!(DEVICE)));
    assert_eq!(shown["messages"].as_array().unwrap().len(), 2);
    // The header does for a message, too.
    let more = json!({ "message": "and a mouse", "session_id": first["session_id"] });
    let more = send(guest(&app, DEVICE, Method::POST, "/chat/message").json(&more)).await;
    assert_eq!(more.json()["message_seq"], 3);
    assert_eq!(list(&app, DEVICE).await[0]["message_count"], 4);

    assert_eq!(list(&app, "another-device").await, json!([]));
    send(guest(&app, "another-device", Method::GET, &path)).await.is_problem(403, "access_denied");
    app.get(&path).await.is_problem(403, "access_denied");
    let claimed = json!({ "message": "hi", "device_id": DEVICE, "user_id": "user_123" });
    say(&app, claimed).await.is_problem(403, "user_id_mismatch");
    assert_eq!(send(guest(&app, DEVICE, Method::DELETE, &path)).await.status, 200);
    send(guest(&app, DEVICE, Method::GET, &path)).await.is_problem(404, "session_not_found");
}

#[tokio::test]
async fn a_token_decides_and_a_bad_one_makes_nobody_a_guest() {
    let app = TestApp::start().await;
    let body = json!({ "message": "hi", "device_id": DEVICE });
    let session = app.message(&body).await.json()["session_id"].clone();
    assert_eq!(app.get(&format!("/chat/session/{}", session.as_str().unwrap())).await.json()["user_id"], "user_123");
    assert_eq!(list(&app, DEVICE).await, json!([]));
    let forged = guest(&app, DEVICE, Method::POST, "/chat/message").bearer_auth("x.y.z").json(&body);
    send(forged).await.is_problem(401, "invalid_token");
}

/// As browsers send one by themselves, where a proxy in front asked for a password.
#[tokio::test]
async fn an_authorization_that_is_no_token_is_as_none() {
    let app = TestApp::start().await;
    let sessions = |values: &[&str]| {
        let request = guest(&app, DEVICE, Method::GET, "/chat/sessions");
        send(values.iter().fold(request, |request, value| request.header("authorization", *value)))
    };
    let body = json!({ "message": "hi", "device_id": DEVICE });
    for other in ["Basic YW5uOnB3", "basic YW5uOnB3", "Digest username=\"ann\"", "Negotiate abc"] {
        let message = app.request(Method::POST, "/chat/message").header("authorization", other).json(&body);
        assert_eq!(send(message).await.status, 200, "{other}");
        assert!(!sessions(&[other]).await.json().as_array().unwrap().is_empty(), "{other}");
    }
    let token = app.token();
    let two = ["Basic YW5uOnB3", &format!("Bearer {token}")];
    for bad in [&["Bearer"][..], &["Bearer "], &[token], &[&format!("JWT {token}")], &[""], &two, &[two[0], two[0]]] {
        sessions(bad).await.is_problem(401, "not_authenticated");
    }
    sessions(&["Bearer abc"]).await.is_problem(401, "invalid_token");
    let nobody = app.request(Method::GET, "/chat/sessions").header("authorization", two[0]);
    send(nobody).await.is_problem(401, "not_authenticated");
    let users_only = TestApp::with(&[("GUESTS", "off")]).await;
    let basic = guest(&users_only, DEVICE, Method::GET, "/chat/sessions").header("authorization", two[0]);
    send(basic).await.is_problem(401, "not_authenticated");
}

#[tokio::test]
async fn who_names_nobody_is_told_that_and_nothing_else() {
    let app = TestApp::with(&[("MESSAGE_MAX_BYTES", "1KiB"), ("BODY_MAX_BYTES", "3KiB")]).await;
    let post = |body: String| send(app.request(Method::POST, "/chat/message").body(body));
    let long = "x".repeat(4000);
    for body in ["", "{", "[]", "null", "{}", r#"{"device_id": null}"#, r#"{"message": 7}"#, &long] {
        post(body.to_owned()).await.is_problem(401, "not_authenticated");
    }
    for path in ["/chat/sessions", "/chat/session/none"] {
        send(app.request(Method::GET, path)).await.is_problem(401, "not_authenticated");
    }
    // Who names somebody is told all that is wrong.
    post(r#"{"device_id": 7}"#.into()).await.points_to(&["#/message", "#/device_id"]);
    post(r#"{"device_id": "short", "message": "hi"}"#.into()).await.points_to(&["#/device_id"]);
    let good = "a".repeat(8);
    for bad in ["1234567", "with space", "with/slash", &"a".repeat(129)] {
        send(guest(&app, bad, Method::GET, "/chat/sessions")).await.points_to(&["X-Device-Id"]);
    }
    let two = guest(&app, &good, Method::GET, "/chat/sessions").header("x-device-id", &good);
    send(two).await.points_to(&["X-Device-Id"]);
    let body = json!({ "message": "hi", "device_id": DEVICE });
    send(guest(&app, &good, Method::POST, "/chat/message").json(&body)).await.points_to(&["#/device_id"]);
    send(guest(&app, &good, Method::POST, "/chat/message").body("{")).await.is_problem(400, "malformed_json");
}

#[tokio::test]
async fn guests_may_be_turned_off() {
    let app = TestApp::with(&[("GUESTS", "off")]).await;
    say(&app, json!({ "message": "hi", "device_id": DEVICE })).await.is_problem(401, "not_authenticated");
    send(guest(&app, DEVICE, Method::GET, "/chat/sessions")).await.is_problem(401, "not_authenticated");
}

#[tokio::test]
async fn a_login_makes_a_guests_sessions_the_users() {
    let app = TestApp::sqlite(&[("MESSAGE_QUOTA", "2/60s")]).await;
    for _ in 0..2 {
        say(&app, json!({ "message": "laptop", "device_id": DEVICE })).await.json();
    }
    say(&app, json!({ "message": "laptop", "device_id": DEVICE })).await.is_problem(429, "quota_exceeded");
    let login = |password: &str| {
        let body = json!({ "username": "testuser", "password": password, "device_id": DEVICE });
        send(app.request(Method::POST, "/auth/login").json(&body))
    };
    login("wrong").await.is_problem(401, "wrong_credentials");
    assert_eq!(list(&app, DEVICE).await.as_array().unwrap().len(), 2);
    for _ in 0..2 {
        assert_eq!(login("testpass").await.status, 200);
        assert_eq!(list(&app, DEVICE).await, json!([]));
        let adopted = app.get("/chat/sessions").await.json();
        assert_eq!(adopted.as_array().unwrap().len(), 2);
        assert!(adopted[0]["user_id"] == "user_123" && adopted[0].get("device_id").is_none(), "{adopted}");
    }
    // What the guest has used is not the user's.
    let answer = app.message(&json!({ "message": "hi" })).await;
    assert!(answer.header("ratelimit").unwrap().starts_with("\"chat\";r=1;"), "{answer:?}");
    let body = json!({ "username": "testuser", "password": "testpass", "device_id": "a b" });
    send(app.request(Method::POST, "/auth/login").json(&body)).await.points_to(&["#/device_id"]);
}

#[tokio::test]
async fn the_guests_of_an_address_share_a_quota_that_only_stored_messages_count_toward() {
    let app = TestApp::with(&[("GUEST_QUOTA", "2/60s"), ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let ask = |device: &str, address: &str, key: &str, session: Option<&str>| {
        let body = json!({ "message": "hi", "client_message_id": key, "session_id": session });
        send(guest(&app, device, Method::POST, "/chat/message").header("x-forwarded-for", address).json(&body))
    };
    let left = |answer: &Answer| answer.header("ratelimit").map(|text| text.split(";t=").next().unwrap().to_owned());
    let first = ask("device-1", "1.1.1.1", "k", None).await;
    assert_eq!((first.status, left(&first).as_deref()), (200, Some("\"address\";r=1")));
    assert_eq!(first.header("ratelimit-policy"), Some("\"address\";q=2;w=60"));
    for _ in 0..4 {
        assert_eq!(ask("device-1", "1.1.1.1", "k", None).await.header("idempotency-replayed"), Some("true"));
        let nowhere = Some("0190b6a0-abcd-4000-8000-000000000002");
        ask("device-2", "1.1.1.1", "k", nowhere).await.is_problem(404, "session_not_found");
    }
    assert_eq!(ask("device-2", "1.1.1.1", "k", None).await.status, 200);
    let refused = ask("device-3", "1.1.1.1", "k", None).await;
    assert_eq!(refused.is_problem(429, "quota_exceeded")["violated-policies"], json!(["address"]));
    assert_eq!(left(&refused).as_deref(), Some("\"address\";r=0"));
    assert!(refused.header("retry-after").is_some());
    // What was answered before is answered again, and costs nothing.
    let replayed = ask("device-1", "1.1.1.1", "k", None).await;
    assert_eq!((replayed.status, replayed.header("idempotency-replayed")), (200, Some("true")), "{replayed:?}");
    assert_eq!(left(&replayed).as_deref(), Some("\"address\";r=0"));
    assert_eq!(ask("device-3", "2.2.2.2", "k", None).await.status, 200, "another address");
    assert_eq!(app.message(&json!({ "message": "hi" })).await.status, 200, "a user is no guest");
}

/// Not one that may yet be given back: who is refused for it is told the whole time.
#[tokio::test]
async fn a_guests_question_counts_from_when_it_is_stored_and_not_from_its_answer() {
    let app = TestApp::with(&[("GUEST_QUOTA", "1/60s"), ("AI_DEMO_DELAY", "3s")]).await;
    let first = say(&app, json!({ "message": "hi", "device_id": DEVICE }));
    let other = async {
        while list(&app, DEVICE).await == json!([]) {}
        say(&app, json!({ "message": "hi", "device_id": "another-device" })).await
    };
    let (first, other) = futures_util::join!(first, other);
    assert_eq!((first.status, other.status), (200, 429), "{first:?} {other:?}");
    assert!(other.header("retry-after").unwrap().parse::<u32>().unwrap() > 30, "{other:?}");
}

#[tokio::test]
async fn every_answer_to_a_message_tells_the_quota_and_what_is_left() {
    let app =
        TestApp::with(&[("MESSAGE_QUOTA", "3/60s"), ("MESSAGE_MAX_BYTES", "1KiB"), ("BODY_MAX_BYTES", "3KiB")]).await;
    let told = |answer: &Answer, remaining: u32| {
        assert_eq!(answer.header("ratelimit-policy"), Some("\"chat\";q=3;w=60"), "{answer:?}");
        let told = answer.header("ratelimit").unwrap();
        let (left, reset) = told.split_once(";t=").unwrap();
        assert_eq!(left, format!("\"chat\";r={remaining}"), "{answer:?}");
        assert!((1..=60).contains(&reset.parse::<u32>().unwrap()), "{told}");
    };
    let said = json!({ "message": "hi", "client_message_id": "k" });
    told(&app.message(&said).await, 2);
    let replayed = app.message(&said).await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    told(&replayed, 2);
    let nowhere = json!({ "message": "hi", "session_id": "0190b6a0-abcd-4000-8000-000000000002" });
    let absent = app.message(&nowhere).await;
    absent.is_problem(404, "session_not_found");
    told(&absent, 2);
    let reused = app.message(&json!({ "message": "ho", "client_message_id": "k" })).await;
    reused.is_problem(422, "idempotency_key_reused");
    told(&reused, 2);
    told(&app.message(&json!({ "message": "hi" })).await, 1);
    told(&app.message(&json!({ "message": "hi" })).await, 0);
    let refused = app.message(&json!({ "message": "hi" })).await;
    assert_eq!(refused.is_problem(429, "quota_exceeded")["violated-policies"], json!(["chat"]));
    told(&refused, 0);
    let post = |body: &'static str| app.authed(Method::POST, "/chat/message").body(body);
    let long: &'static str = "x".repeat(4000).leak();
    let other = r#"{"message": "hi", "user_id": "another"}"#;
    for (status, request) in [
        (400, post("{")),
        (403, post(other)),
        (413, post(long)),
        (415, post("hi").header("content-type", "text/plain")),
        (422, post("{}")),
        (422, post(r#"{"message": "hi"}"#).header("idempotency-key", "")),
    ] {
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        told(&answer, 0);
    }
    // Of whom nothing is known is told what everybody may.
    let nobody = send(app.request(Method::POST, "/chat/message")).await;
    assert_eq!((nobody.status, nobody.header("ratelimit")), (401, None));
    assert_eq!(nobody.header("ratelimit-policy"), Some("\"chat\";q=3;w=60"), "{nobody:?}");
}

#[tokio::test]
async fn a_guest_is_told_both_quotas_whatever_is_wrong() {
    let app = TestApp::with(&[("MESSAGE_QUOTA", "3/60s"), ("GUEST_QUOTA", "1/60s")]).await;
    let both = Some("\"chat\";q=3;w=60, \"address\";q=1;w=60");
    let left = |answer: &Answer| {
        let items = answer.header("ratelimit").unwrap_or_default().split(", ");
        items.map(|item| item.split(";t=").next().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
    };
    for message in [json!(""), json!(7), Value::Null] {
        let wrong = say(&app, json!({ "device_id": DEVICE, "message": message })).await;
        assert_eq!((wrong.status, wrong.header("ratelimit-policy")), (422, both), "{wrong:?}");
        assert_eq!(left(&wrong), "\"chat\";r=3, \"address\";r=1", "{wrong:?}");
    }
    let good = json!({ "device_id": DEVICE, "message": "hi" });
    for (status, told) in [(200, "\"chat\";r=2, \"address\";r=0"), (429, "\"chat\";r=2, \"address\";r=0")] {
        let answer = say(&app, good.clone()).await;
        assert_eq!((answer.status, answer.header("ratelimit-policy")), (status, both), "{answer:?}");
        assert_eq!(left(&answer), told, "{answer:?}");
    }
    let of_another = json!({ "device_id": "another-device", "message": "" });
    assert_eq!(left(&say(&app, of_another).await), "\"chat\";r=3, \"address\";r=0");
}

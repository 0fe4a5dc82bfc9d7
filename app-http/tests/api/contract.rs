//! The agreed members of every answer, and what holds for all routes.

use crate::app::{TestApp, send, shape};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_login_gives_a_bearer_token() {
    let app = TestApp::start().await;
    let answer = app.login("testuser", "testpass").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut body = answer.json();
    assert_eq!(body["access_token"].take().as_str().unwrap().split('.').count(), 3);
    assert_eq!(body, json!({ "access_token": null, "token_type": "bearer", "expires_in": 86400 }));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_401() {
    let app = TestApp::start().await;
    let (wrong, unknown) = (app.login("testuser", "x").await, app.login("nobody", "testpass").await);
    assert_eq!(wrong.is_problem(401, "wrong_credentials"), unknown.is_problem(401, "wrong_credentials"));
    assert_eq!(wrong.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_message_is_answered_with_the_agreed_members() {
    let app = TestApp::start().await;
    let question = "Tìm iPhone 15 giá dưới 30 triệu";
    let answer = app.message(&json!({ "user_id": "user_123", "message": question })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("idempotency-replayed"), None);
    let mut body = answer.json();
    let products = body["products"].take();
    let names = ["product_id", "product_name", "price", "shop_name"];
    assert!(products[0].is_object() && names.iter().all(|name| !products[0][name].is_null()), "{products}");
    assert!(!body["ai_response"].take().as_str().unwrap().is_empty());
    assert!(body["confidence"].take().is_number());
    let golden = json!({
        "message_id": "<id>", "session_id": "<id>", "user_message": question, "ai_response": null, "products": null,
        "intent": "product_search", "timestamp": "<time>", "status": "completed", "confidence": null, "message_seq": 1,
    });
    assert_eq!(shape(&body), golden);
}

#[tokio::test]
async fn the_walk_of_the_readme_holds_on_memory_and_on_sqlite() {
    walk(TestApp::start().await).await;
    walk(TestApp::sqlite(&[]).await).await;
}

async fn walk(app: TestApp) {
    let first = app.say("Hello").await;
    let id = first["session_id"].as_str().unwrap();
    let second = app.message(&json!({ "message": "And now?", "session_id": id })).await.json();
    assert_eq!((&second["session_id"], &second["message_seq"]), (&first["session_id"], &json!(3)));

    let mut session = app.get(&format!("/chat/session/{id}")).await.json();
    let listed = app.get("/chat/sessions").await.json();
    let newest = session.as_object_mut().unwrap().remove("messages").unwrap();
    let golden = json!({
        "session_id": "<id>", "user_id": "user_123", "created_at": "<time>", "message_count": 4, "last_activity": "<time>",
    });
    assert_eq!(shape(&session), golden);
    assert_eq!(listed, json!([session]));

    let history = app.get(&format!("/chat/session/{id}/messages")).await.json();
    assert_eq!(history, newest);
    let question = json!({
        "id": first["message_id"], "seq": 1, "role": "user", "content": "Hello", "products": [], "intent": null,
        "confidence": null, "status": "accepted", "reply_to": null, "timestamp": "<time>",
    });
    assert_eq!(with_shaped_time(&history[0]), question);
    let answer = json!({
        "id": history[1]["id"], "seq": 2, "role": "assistant", "content": first["ai_response"],
        "products": first["products"], "intent": first["intent"], "confidence": first["confidence"],
        "status": "completed", "reply_to": 1, "timestamp": first["timestamp"],
    });
    assert_eq!(history[1], answer);

    let deleted = app.delete(&format!("/chat/session/{id}")).await;
    assert_eq!((deleted.status, deleted.json()), (200, json!({ "message": "Session deleted successfully" })));
    let gone = app.get(&format!("/chat/session/{id}")).await.is_problem(404, "session_not_found");
    assert_eq!(gone["detail"], "Session not found");
    assert_eq!(app.get("/chat/sessions").await.json(), json!([]));
    app.stop().await;
}

fn with_shaped_time(message: &Value) -> Value {
    let mut message = message.clone();
    message["timestamp"] = shape(&message["timestamp"]);
    message
}

#[tokio::test]
async fn the_program_tells_what_it_is_and_how_it_is() {
    let app = TestApp::sqlite(&[("APP_NAME", "Shop"), ("APP_VERSION", "7.1")]).await;
    let root = send(app.request(Method::GET, "/")).await.json();
    assert_eq!(root, json!({ "app": "Shop", "version": "7.1", "status": "running" }));
    let health = send(app.request(Method::GET, "/health")).await;
    assert_eq!(
        (health.status, health.json()),
        (200, json!({ "status": "healthy", "sqlite": "healthy", "ai": "healthy" }))
    );
    let ready = send(app.request(Method::GET, "/readyz")).await;
    assert_eq!((ready.status, ready.text.as_str()), (200, "server: healthy\nsqlite: healthy\nai: healthy\n"));
    assert_eq!(send(app.request(Method::GET, "/livez")).await.status, 200);
}

#[tokio::test]
async fn a_head_is_answered_like_a_get_without_the_body() {
    let app = TestApp::start().await;
    for path in ["/", "/health", "/livez", "/readyz"] {
        let (get, head) = (send(app.request(Method::GET, path)).await, send(app.request(Method::HEAD, path)).await);
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        assert!(!get.text.is_empty() && head.header("x-request-id").is_some());
        for name in ["content-type", "content-length"] {
            assert!(head.header(name).is_some() && head.header(name) == get.header(name), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn every_answer_carries_a_request_id_the_callers_where_it_is_one() {
    let app = TestApp::start().await;
    let with = async |id: &str| {
        let answer = send(app.request(Method::GET, "/nowhere").header("x-request-id", id)).await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(with("abc-1").await, "abc-1");
    assert_eq!(with(&"x".repeat(128)).await, "x".repeat(128));
    for bad in [&"x".repeat(129), "with space", ""] {
        let given = with(bad).await;
        assert_eq!(shape(&given.into()), "<id>", "{bad}");
    }
}

#[tokio::test]
async fn a_trailing_slash_is_tolerated() {
    let app = TestApp::start().await;
    let id = app.say("hi").await["session_id"].as_str().unwrap().to_owned();
    for path in
        ["/health/", "/chat/sessions/", &format!("/chat/session/{id}/"), &format!("/chat/session/{id}/messages/")]
    {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    let posted = send(app.authed(Method::POST, "/chat/message/").json(&json!({ "message": "hi" }))).await;
    assert_eq!(posted.status, 200);
}

#[tokio::test]
async fn any_origin_may_call_while_debug_is_on_and_none_when_it_is_off() {
    let from = |request: reqwest::RequestBuilder| request.header("origin", "https://shop.example");
    let preflight = |app: &TestApp| {
        let request = from(app.request(Method::OPTIONS, "/chat/message"));
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization,content-type,idempotency-key")
    };
    let app = TestApp::start().await;
    let allowed = send(preflight(&app)).await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, Some("*")));
    let got = send(from(app.authed(Method::GET, "/chat/sessions"))).await;
    assert_eq!(got.header("access-control-allow-origin"), Some("*"));
    assert_eq!(got.header("access-control-allow-credentials"), None);
    let exposed = got.header("access-control-expose-headers").unwrap().to_lowercase();
    for name in ["link", "retry-after", "retry-after-ms", "ratelimit", "ratelimit-policy", "x-request-id"] {
        assert!(exposed.split(", ").flat_map(|part| part.split(',')).any(|part| part == name), "{name}: {exposed}");
    }

    let secret = "0123456789abcdef0123456789abcdef";
    let strict = TestApp::with(&[("DEBUG", "False"), ("JWT_SECRET_KEY", secret)]).await;
    let refused = send(preflight(&strict)).await;
    let told = refused.is_problem(400, "malformed_request");
    assert!(told["detail"].as_str().unwrap().contains("CORS_ALLOWED_ORIGINS"), "{told}");
    let root = send(from(strict.request(Method::GET, "/"))).await;
    assert_eq!((root.status, root.header("access-control-allow-origin")), (200, None));

    let listed = TestApp::with(&[("CORS_ALLOWED_ORIGINS", "https://shop.example:443")]).await;
    let allowed = send(preflight(&listed)).await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
}

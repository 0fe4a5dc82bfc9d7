//! What the examples of the document say.

use serde_json::{Value, json};

/// The session of the examples.
pub(super) const ANSWERED_SESSION: &str = "3695ecea-4277-48c4-86c8-5a90215c20b1";
/// Its first question.
pub(super) const QUESTION: &str = "01a212d4-e4bb-7d8b-a8dd-d131050684ac";
const ANSWER: &str = "01a212d4-e4bb-7d8b-a8dd-d131050684ad";
const ASKED: &str = "2026-11-25T13:11:11.612345Z";
const ANSWERED: &str = "2026-11-25T13:11:11.816006Z";
const SAID: &str = "Find an iPhone 15 below 20 million";
const FOUND: &str = "I found one: iPhone 15 128GB, 19,990,000đ.";

/// A login of the demo user, who is there while `USERS_FILE` is unset and `DEBUG` is not false.
pub(super) fn login() -> Value {
    json!({ "username": "testuser", "password": "testpass" })
}

/// The same with a guest's device, whose sessions become the user's.
pub(super) fn login_of_guest() -> Value {
    json!({ "username": "testuser", "password": "testpass", "device_id": "my-old-phone" })
}

pub(super) fn token() -> Value {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyXzEyMyJ9.c2lnbmF0dXJl";
    json!({ "access_token": token, "token_type": "bearer", "expires_in": 86400 })
}

pub(super) fn first_message() -> Value {
    json!({ "message": SAID, "client_message_id": "first-1" })
}

pub(super) fn next_message() -> Value {
    json!({ "message": "And a cheaper one?", "session_id": ANSWERED_SESSION })
}

pub(super) fn guests_message() -> Value {
    json!({ "message": SAID, "device_id": "my-old-phone" })
}

fn products() -> Value {
    let (name, shop) = ("iPhone 15 128GB", "Demo Mobile");
    json!([{ "product_id": "demo-001", "product_name": name, "price": 19_990_000, "shop_name": shop }])
}

pub(super) fn answer() -> Value {
    json!({
        "message_id": QUESTION, "session_id": ANSWERED_SESSION, "user_message": SAID, "ai_response": FOUND,
        "products": products(), "intent": "product_search", "timestamp": ANSWERED, "status": "completed",
        "confidence": 0.95, "message_seq": 1,
    })
}

/// The AI was away.
pub(super) fn fallback() -> Value {
    json!({
        "message_id": QUESTION, "session_id": ANSWERED_SESSION, "user_message": SAID,
        "ai_response": "Xin lỗi, tôi đang gặp sự cố. Vui lòng thử lại sau.", "products": [], "intent": null,
        "timestamp": ANSWERED, "status": "fallback", "confidence": null, "message_seq": 1,
    })
}

pub(super) fn messages() -> Value {
    json!([
        {
            "id": QUESTION, "seq": 1, "role": "user", "content": SAID, "products": [], "intent": null,
            "confidence": null, "status": "accepted", "reply_to": null, "timestamp": ASKED,
        },
        {
            "id": ANSWER, "seq": 2, "role": "assistant", "content": FOUND, "products": products(),
            "intent": "product_search", "confidence": 0.95, "status": "completed", "reply_to": 1,
            "timestamp": ANSWERED,
        },
    ])
}

/// A user's session.
pub(super) fn session() -> Value {
    json!({
        "session_id": ANSWERED_SESSION, "user_id": "user_123", "created_at": ASKED, "message_count": 2,
        "last_activity": ASKED,
    })
}

/// A guest's session.
pub(super) fn guests_session() -> Value {
    json!({
        "session_id": ANSWERED_SESSION, "user_id": null, "device_id": "my-old-phone", "created_at": ASKED,
        "message_count": 2, "last_activity": ASKED,
    })
}

pub(super) fn session_with_messages() -> Value {
    let mut session = session();
    session["messages"] = messages();
    session
}

/// An event of a stream: its name, its id, its data.
pub(super) type Event = [String; 3];

pub(super) fn turn_events() -> [Event; 3] {
    let turn = json!({ "message_id": QUESTION, "session_id": ANSWERED_SESSION, "seq": 1 });
    let delta = json!({ "text": FOUND });
    [
        event("turn", "1-0", &turn),
        event("delta", &format!("1-{}", FOUND.len()), &delta),
        event("done", "1-end", &answer()),
    ]
}

pub(super) fn session_events() -> [Event; 2] {
    let messages = messages();
    [event("message", "1", &messages[0]), event("message", "2", &messages[1])]
}

fn event(name: &str, id: &str, data: &Value) -> Event {
    [name.to_owned(), id.to_owned(), data.to_string()]
}

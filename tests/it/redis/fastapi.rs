//! Whoever comes from the FastAPI system: its document's calls are answered with its members, its AI service is asked as it was,
//! and the README's commands find in Redis what its own did.

use super::durable;
use crate::process::Server;
use crate::stand_in::{serve, token};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, Mutex};

const SECRET: &str = "wR6yH3dJ5gAcq8fK2mZ0pX7vL4nB9sT1";

/// The AI service of the document's example, and what it was asked.
async fn ai() -> (String, Arc<Mutex<Vec<Value>>>) {
    async fn answer(State(asked): State<Arc<Mutex<Vec<Value>>>>, Json(body): Json<Value>) -> Json<Value> {
        asked.lock().unwrap().push(body);
        let product = json!({
            "product_id": "prod_001", "product_name": "iPhone 15 Pro Max 256GB",
            "price": 29_500_000, "shop_name": "TechZone Vietnam"
        });
        let response = "Tôi đã tìm thấy 5 sản phẩm iPhone 15 phù hợp...";
        Json(json!({ "response": response, "products": [product], "intent": "product_search" }))
    }
    let asked = Arc::default();
    let router = Router::new().route("/chat", post(answer)).with_state(Arc::clone(&asked));
    (serve(router).await + "/chat", asked)
}

/// What a shell prints.
fn shell(script: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new("bash");
    let output = command.args(["-euo", "pipefail", "-c", script]).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_the_fastapi_system_are_answered_as_there() {
    let redis = durable();
    let (ai_url, asked) = ai().await;
    let port = redis.port.to_string();
    let server = Server::start(&[
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", &port),
        ("AI_API_URL", &ai_url),
        ("AI_SEND_CONTEXT", "off"),
        ("JWT_SECRET_KEY", SECRET),
    ]);
    let (mut session, mut own) = (String::new(), String::new());
    let golden: Vec<Value> = serde_json::from_str(include_str!("../../golden/fastapi.json")).unwrap();
    for case in golden {
        let of_case = |text: &str| text.replace("YOUR_SESSION_ID", &session);
        let call = of_case(case["call"].as_str().unwrap()).replace("http://localhost:8000", &server.url(""));
        let call = call.replace("YOUR_TOKEN_HERE", &own).replace("ANOTHER_USERS_TOKEN", &token(SECRET, "user_456"));
        let answer: Value = serde_json::from_str(&shell(&format!("{call} -s"), &[])).unwrap();
        let expected: Value = serde_json::from_str(&of_case(&case["answer"].to_string())).unwrap();
        let varies: Vec<&str> = case["varies"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        has_all_of(&answer, &expected, &varies, &call);
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        session = text("session_id").unwrap_or(session);
        own = text("access_token").unwrap_or(own);
        if answer["message_count"] == 4 {
            the_commands_of_the_readme_find(&session, &port);
        }
    }
    let asked = asked.lock().unwrap();
    let asked_then = json!({ "message": "Tìm iPhone 15 giá dưới 30 triệu", "session_id": session });
    assert_eq!(asked[0], asked_then, "the service is asked as it was");
}

/// Each member of the document is there, with its value; where that varies, with a value of its kind.
fn has_all_of(answer: &Value, expected: &Value, varies: &[&str], call: &str) {
    match (answer, expected) {
        (Value::Array(answers), Value::Array(all)) => {
            assert_eq!(answers.len(), all.len(), "{call}: {answer}");
            answers.iter().zip(all).for_each(|(answer, expected)| has_all_of(answer, expected, varies, call));
        }
        (Value::Object(answers), Value::Object(members)) => {
            for (name, expected) in members {
                let given = answers.get(name).unwrap_or_else(|| panic!("{call}: no {name} in {answer}"));
                if varies.contains(&name.as_str()) {
                    assert!(given.is_string() && expected.is_string(), "{call}: {name} is {given}");
                } else {
                    has_all_of(given, expected, varies, call);
                }
            }
        }
        _ => assert_eq!(answer, expected, "{call}"),
    }
}

fn the_commands_of_the_readme_find(session: &str, port: &str) {
    let readme = include_str!("../../../README.md");
    let (_, after) = readme.split_once("<!-- redis-cli -->\n```sh\n").expect("the block of commands");
    let (commands, _) = after.split_once("```").unwrap();
    let commands = format!("redis-cli() {{ command redis-cli -p {port} \"$@\"; }}\n{commands}");
    let printed = shell(&commands, &[("SESSION", session)]);
    for part in [&format!(":s:{session}"), "Tìm iPhone 15 giá dưới 30 triệu", "TechZone Vietnam"] {
        assert!(printed.contains(part), "no {part} in {printed}");
    }
    let seconds: u64 = printed.lines().last().unwrap().parse().unwrap();
    assert!((86_000..=100_000).contains(&seconds), "a session lives a day: {printed}");
}

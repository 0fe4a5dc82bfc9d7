//! The chat core behind a route of an axum server: the whole of what a service of your own needs. The example calls itself
//! once and ends.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use chatcore::id::UserId;
use chatcore::owner::Owner;
use chatcore::policy::ChatPolicy;
use chatcore::{ChatError, ChatService, SendMessage};
use chatcore_ports::memory::{MemoryAi, MemoryStore};
use chatcore_ports::tokio::TokioRuntime;
use serde_json::{Value, json};
use std::error::Error;
use std::sync::Arc;

async fn ask(State(chat): State<ChatService>, Json(body): Json<Value>) -> Result<Json<Value>, (StatusCode, String)> {
    let user = UserId::parse(body["user"].as_str().unwrap_or_default()).map_err(|error| bad(&error))?;
    let message = SendMessage::new(Owner::User(user), body["text"].as_str().unwrap_or_default());
    match chat.send(message).await {
        Ok(answered) => Ok(Json(json!({"session": answered.turn.session, "answer": answered.answer.content}))),
        Err(error @ (ChatError::Invalid(_) | ChatError::Refused(_) | ChatError::Gone)) => Err(bad(&error)),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

fn bad(error: &dyn Error) -> (StatusCode, String) {
    (StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Arc::new(TokioRuntime::current());
    let store = Arc::new(MemoryStore::new(runtime.clone()));
    let chat = ChatService::new(store, Arc::new(MemoryAi::echo()), runtime, ChatPolicy::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = axum::serve(listener, Router::new().route("/ask", post(ask)).with_state(chat.clone()));
    tokio::spawn(async move { server.await });

    let question = json!({"user": "alice", "text": "hello"});
    let answer = reqwest::Client::new().post(format!("http://{address}/ask")).json(&question).send().await?;
    println!("{}", answer.error_for_status()?.text().await?);
    Ok(())
}

//! Tokens that are not ours, sent to a server: none lets anybody in.

#[path = "../../../adapters/auth/tests/forged/mod.rs"]
mod forged;

use crate::app::{Answer, SECRET, TestApp, send};
use chatcore::port::Runtime;
use chatcore_ports::tokio::TokioRuntime;
use forged::{Forger, HEADER, mutations};
use futures_util::{StreamExt, stream};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;
use std::future::ready;

/// Altered tokens.
const MUTATIONS: usize = 10_000;

async fn strict() -> TestApp {
    TestApp::with(&[("JWT_ISSUER", "shop"), ("JWT_AUDIENCE", "chat")]).await
}

fn forger() -> Forger {
    Forger { secret: SECRET.into(), start: TokioRuntime::current().now().unix_timestamp() - 60 }
}

async fn sent(app: &TestApp, value: HeaderValue) -> Answer {
    send(app.request(Method::GET, "/chat/sessions").header("authorization", value)).await
}

async fn with(app: &TestApp, token: &str) -> Answer {
    sent(app, header(token).unwrap()).await
}

/// `None` where no header can hold it. White space around a token belongs to the header, not to the token.
fn header(token: &str) -> Option<HeaderValue> {
    let fits = token.len() < 65_536 && token.trim() == token;
    HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()).ok().filter(|_| fits)
}

/// What makes the refusals below mean something: the same with nothing wrong is accepted.
#[tokio::test]
async fn a_token_with_the_right_key_issuer_and_audience_lets_in() {
    let app = strict().await;
    let login = app.login("testuser", "testpass").await.json();
    let issued = login["access_token"].as_str().unwrap().to_owned();
    let forger = forger();
    for token in [issued, forger.with_header(HEADER), forger.without("iat"), forger.with(json!({ "name": "Anna" }))] {
        assert_eq!(with(&app, &token).await.status, 200, "{token}");
    }
}

#[tokio::test]
async fn no_forgery_and_no_wrong_claim_lets_in() {
    let (app, forger) = (strict().await, forger());
    let forgeries = forger.forgeries(&forger.with_header(HEADER));
    let forgeries = forgeries.into_iter().map(|(name, token)| (name.to_owned(), token));
    let (mut tried, mut unsent) = (0, Vec::new());
    for (name, token) in forgeries.chain(forger.wrong_claims()) {
        let Some(value) = header(&token) else {
            unsent.push(name);
            continue;
        };
        let answer = sent(&app, value).await;
        // What is no token at all is none of the wrong ones.
        let none = token.is_empty() || !token.is_ascii();
        assert_eq!(answer.status, 401, "{name}: {answer:?}");
        answer.is_problem(401, if none { "not_authenticated" } else { "invalid_token" });
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{name}");
        tried += 1;
    }
    assert!(tried > 70, "{tried}");
    assert_eq!(unsent, ["white space before", "a line end behind", "ten megabytes"]);
}

#[tokio::test]
async fn a_token_before_its_time_or_after_it_lets_nobody_in() {
    let (app, forger) = (strict().await, forger());
    let now = TokioRuntime::current().now().unix_timestamp();
    with(&app, &forger.with(json!({ "nbf": now + 60 }))).await.is_problem(401, "invalid_token");
    for exp in [now, now - 1, now - 3600, 1] {
        with(&app, &forger.with(json!({ "exp": exp }))).await.is_problem(401, "token_expired");
    }
}

#[tokio::test]
async fn ten_thousand_mutations_let_nobody_in() {
    let (app, forger) = (strict().await, forger());
    let (token, other) = (forger.with_header(HEADER), forger.with(json!({ "sub": "admin" })));
    assert_eq!((with(&app, &token).await.status, with(&app, &other).await.status), (200, 200));
    // Of each that no header can hold, or whose white space is the header's, the next one is taken.
    let altered = mutations(usize::MAX, &token, &other, 7).filter(|altered| header(altered).is_some()).take(MUTATIONS);
    let statuses = stream::iter(altered).map(async |altered| (with(&app, &altered).await.status, altered));
    let wrong = statuses.buffer_unordered(16).filter(|(status, _)| ready(*status != 401)).collect::<Vec<_>>().await;
    assert!(wrong.is_empty(), "{} of {MUTATIONS}, such as {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
}

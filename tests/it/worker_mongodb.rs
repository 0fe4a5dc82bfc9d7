//! The handler `mongodb` in real workers. No MongoDB is asked but a stand-in, which speaks the same wire protocol.
#![expect(clippy::print_stderr, reason = "a test says why it is skipped")]

#[path = "../../adapters/mongodb/tests/common/standin.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the adapter's own tests use the rest")]
mod standin;

use crate::client::Client;
use crate::process::{Server, command};
use crate::worker_process::Worker;
use mongodb::bson::{Document, doc};
use serde_json::json;
use standin::StandIn;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_a_document_though_a_worker_and_the_database_are_killed() {
    let Some(mut standin) = start() else { return };
    let server = Server::start(&[("MESSAGE_QUOTA", "off")]);
    let client = Client::login(&server).await;
    let uri = standin.uri();
    let settings = [("WORKER_HANDLERS", "mongodb"), ("MONGODB_URI", &uri), ("WORKER_PORT", "0")];
    let killed = Worker::start(server.folder(), &settings);
    let worker = Worker::start(server.folder(), &settings);
    let mut sessions = Vec::new();
    for number in 0..40 {
        sessions.push(client.ask(json!({"message": number.to_string()})).await["session_id"].clone());
    }
    drop(killed);
    let documents = stored(&uri, "messages", doc! {}, 80).await;
    assert!(documents.iter().all(|one| !one.contains_key("deleted_at")), "{documents:?}");
    let first = sessions[0].as_str().unwrap();
    assert!(client.delete(first).await.is_success());
    let deleted = stored(&uri, "deletions", doc! {}, 1).await;
    assert_eq!(deleted[0].get_str("_id").unwrap(), first);

    let ready = worker.url("/readyz");
    assert!(until(&ready, "mongodb: healthy").await);
    standin.kill();
    let mut meanwhile = Vec::new();
    for number in 0..10 {
        let answer = client.ask(json!({"message": number.to_string()})).await;
        meanwhile.push(answer["session_id"].as_str().unwrap().to_owned());
    }
    assert!(until(&ready, "mongodb: unhealthy").await);
    standin.run();
    // What went before died with the stand-in, but for what a worker had in hand just then.
    stored(&uri, "messages", doc! { "session_id": { "$in": meanwhile } }, 20).await;
    assert!(until(&ready, "mongodb: healthy").await);
    let letters = command("app-worker", server.folder()).args(["dead-letters", "list"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&letters.stdout), "", "an outage is no reason to give an event up");
}

/// `None` where there is nothing to run it with, or where the worker was built without the handler.
fn start() -> Option<StandIn> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command("app-worker", folder.path());
    command.args(["--check-config"]).env("WORKER_HANDLERS", "mongodb").env("MONGODB_URI", "mongodb://localhost");
    let told = String::from_utf8(command.output().unwrap().stderr).unwrap();
    let built = !told.contains("this build has no handler mongodb");
    #[expect(clippy::disallowed_methods, reason = "a test without its handler must not pass unseen in CI")]
    let required = std::env::var_os("CHAT_TEST_REQUIRE").is_some();
    assert!(built || !required, "{told}");
    if !built {
        eprintln!("skipped: {told}");
    }
    built.then(StandIn::start).flatten()
}

/// Those documents, once there are so many and half a second later.
async fn stored(uri: &str, collection: &str, which: Document, wanted: u64) -> Vec<Document> {
    let client = mongodb::Client::with_uri_str(uri).await.unwrap();
    let documents = client.database("chatcore").collection::<Document>(collection);
    for _ in 0..600 {
        if documents.count_documents(which.clone()).await.unwrap() >= wanted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut found, mut all) = (documents.find(which).await.unwrap(), Vec::new());
    while found.advance().await.unwrap() {
        all.push(found.deserialize_current().unwrap());
    }
    assert_eq!(all.len() as u64, wanted);
    all
}

/// Whether a page says this within ten seconds.
async fn until(url: &str, line: &str) -> bool {
    for _ in 0..100 {
        if reqwest::get(url).await.unwrap().text().await.unwrap().lines().any(|told| told == line) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

//! One record in a hundred is poisoned: a worker puts just those aside, and one of them comes back when it is replayed.

use crate::brokers::broker;
use crate::client::Client;
use crate::field::{pairs, settings};
use crate::interop::librdkafka;
use crate::process::{Server, command};
use crate::worker_process::{Call, Hook, Worker, eventually};
use axum::http::StatusCode;
use futures_util::{StreamExt, join, stream};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Each has a question and its answer.
const SESSIONS: usize = 995;
/// One session in so many has a question that the webhook refuses.
const ONE_IN: usize = 100;
/// How many these are.
const REFUSED: usize = 10;
/// How many records can't be read.
const GARBAGE: usize = 10;
const RECORDS: usize = 2 * SESSIONS + GARBAGE;
const SECRET: &str = "b7e151628aed2a6abf7158809cf4f3c7";

const REQUESTS: &str = "poisoned-requests";
const RESPONSES: &str = "poisoned-responses";

#[tokio::test(flavor = "multi_thread")]
async fn of_two_thousand_records_just_the_poisoned_are_put_aside_and_one_comes_back() {
    let Some(broker) = broker().await else { return };
    let Some(librdkafka) = librdkafka().await else { return };
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    let hook = Hook::start(move |call| {
        let refused = is_poisoned(call) && !is_mended.load(Ordering::Relaxed);
        Some(if refused { StatusCode::BAD_REQUEST } else { StatusCode::OK })
    });
    let hook = hook.await;
    let ours = settings(broker, "poisoned");
    let webhook = [("WORKER_HANDLERS", "webhook"), ("WEBHOOK_URL", &hook.url), ("WEBHOOK_SECRET", SECRET)];
    let settings = [&pairs(&ours)[..], &webhook].concat();
    let server = Server::start(&settings);
    let client = Client::login(&server).await;
    let worker = Worker::start(server.folder(), &settings);
    let sessions = talk(&client, 0..SESSIONS / 2).await;
    let garbage = garbage(&sessions);
    // It lies between the records of the others.
    let (placed, _) = join!(librdkafka.produce(broker, &garbage), talk(&client, SESSIONS / 2..SESSIONS));
    assert_eq!(placed.len(), GARBAGE);

    let well = 2 * SESSIONS - REFUSED;
    let done = || hook.calls().iter().filter(|call| !is_poisoned(call)).map(event_id).collect::<BTreeSet<_>>().len();
    for part in 1..=4 {
        let enough = || (done() >= well * part / 4).then_some(());
        eventually(enough, || format!("{} of {well} are done", done())).await;
    }
    let folder = server.folder();
    let list = || letters(folder, &settings, &["list", "--json"]);
    eventually(|| (list().lines().count() >= REFUSED + GARBAGE).then_some(()), list).await;
    let records = librdkafka.read(broker, &[REQUESTS, RESPONSES]).await;
    assert_eq!(records.len(), RECORDS);
    let aside = aside(&librdkafka.read(broker, &["poisoned-dlq"]).await, &records);
    let reasons = reasons(&records, &placed);
    assert_eq!(aside.keys().collect::<Vec<_>>(), reasons.keys().collect::<Vec<_>>(), "just the poisoned");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, letter) in &aside {
        let reason = letter["headers"]["dlq-reason"].as_str().unwrap();
        assert!(reason.starts_with(reasons[place]), "{letter}");
        *kinds.entry(reasons[place]).or_default() += 1;
    }
    assert_eq!(worker.longest("key"), 100, "the log has no long keys");
    assert!(worker.longest("reason") < 200, "nor other long texts of a record");
    println!("{RECORDS} records, {} done, put aside: {kinds:?}", done());

    let listed: Vec<Value> = list().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), aside.len());
    let letter = listed.iter().find(|letter| letter["reason"] == "the webhook answered 400").unwrap();
    let id = letter["id"].as_str().unwrap();
    mended.store(true, Ordering::Relaxed);
    assert_eq!(letters(folder, &settings, &["replay", id]), format!("{id} goes back\n"));
    let poisoned = || hook.calls().into_iter().filter(is_poisoned).collect::<Vec<_>>();
    eventually(|| (poisoned().len() > REFUSED).then_some(()), || format!("{} calls", poisoned().len())).await;
    let (calls, left) = (poisoned(), list());
    assert_eq!(calls.len(), REFUSED + 1, "one comes back");
    let back: Value = serde_json::from_slice(&calls.last().unwrap().body).unwrap();
    assert_eq!(back, letter["record"], "that one");
    assert!(left.lines().count() == aside.len() - 1 && !left.contains(id), "{left}");
}

/// Opens a session for each number; those that there are then.
async fn talk(client: &Client, numbers: Range<usize>) -> Vec<String> {
    let ask = async |number: usize| {
        let text = if number % ONE_IN == ONE_IN / 2 { "a poisoned question" } else { "hello" };
        let answer = client.ask(json!({"message": text, "client_message_id": number.to_string()})).await;
        answer["session_id"].as_str().unwrap().to_owned()
    };
    stream::iter(numbers).map(ask).buffer_unordered(8).collect().await
}

fn is_poisoned(call: &Call) -> bool {
    let text = String::from_utf8_lossy(&call.body);
    call.headers["x-chatcore-event-type"] == "chat.requested" && text.contains("poisoned")
}

fn event_id(call: &Call) -> String {
    call.headers["x-chatcore-event-id"].to_str().unwrap().to_owned()
}

/// Records of many kinds, none of them an event, under the keys of sessions that are well.
fn garbage(sessions: &[String]) -> Vec<Value> {
    let of_a_question = r#"{"message_id": "550e8400-e29b-41d4-a716-446655440000", "user_id": "u", "message": "hi",
        "session_id": "660e9411-f39c-42e5-b827-557766551111", "timestamp": "2025-10-28T10:30:00"}"#;
    let values = [
        (REQUESTS, json!("no JSON")),
        (REQUESTS, json!("")),
        (REQUESTS, Value::Null),
        (REQUESTS, json!("\u{ff}\u{fe}\u{0}")),
        (REQUESTS, json!("[1, 2]")),
        (REQUESTS, json!(r#"{"type": "chat.requested", "v": 1}"#)),
        (RESPONSES, json!(r#"{"type": "chat.responded", "v": 1, "event_"#)),
        (RESPONSES, json!(r#"{"type": "chat.rated", "v": 1, "session_id": "660e9411-f39c-42e5-b827-557766551111"}"#)),
        // As the FastAPI system wrote them, in the wrong topic.
        (RESPONSES, json!(of_a_question)),
        (RESPONSES, json!(r#"{"type": "chat.responded", "v": 2}"#)),
    ];
    let record = |(index, (topic, value)): (usize, (&str, Value))| {
        let key = match index {
            0 => Value::Null,
            1 => json!(sessions[index].repeat(1000)),
            _ => json!(sessions[index]),
        };
        json!({"topic": topic, "key": key, "value": value})
    };
    values.into_iter().enumerate().map(record).collect()
}

/// Where a record lies: topic, partition and offset.
type Place = (String, String, String);

fn place(record: &Value) -> Place {
    let topic = record["topic"].as_str().unwrap().to_owned();
    (topic, record["partition"].to_string(), record["offset"].to_string())
}

/// The letters by the places that they tell. Each holds what lies there.
fn aside(letters: &[Value], records: &[Value]) -> BTreeMap<Place, Value> {
    let records: BTreeMap<Place, &Value> = records.iter().map(|record| (place(record), record)).collect();
    let mut aside = BTreeMap::new();
    for letter in letters {
        let mut headers = letter["headers"].as_object().unwrap().clone();
        let mut told = |name: &str| headers.remove(name).unwrap().as_str().unwrap().to_owned();
        let place = (told("dlq-topic"), told("dlq-partition"), told("dlq-offset"));
        assert_ne!(told("dlq-reason"), "");
        // What can't be read is given up at once, and so is what the webhook refuses.
        assert_eq!((told("dlq-attempts").as_str(), told("dlq-group").as_str()), ("1", "poisoned-workers"));
        let record = records[&place];
        assert_eq!((&letter["key"], &letter["value"]), (&record["key"], &record["value"]));
        assert_eq!(Value::from(headers), record["headers"], "besides, those that it had");
        assert!(aside.insert(place, letter.clone()).is_none(), "twice: {letter}");
    }
    aside
}

/// How the reasons begin for which records are to be put aside.
fn reasons(records: &[Value], garbage: &[Value]) -> BTreeMap<Place, &'static str> {
    let reason = |record: &Value| {
        if record["value"].as_str().is_some_and(|text| text.contains(r#""v": 2"#)) {
            "newer_version"
        } else {
            "malformed: "
        }
    };
    let unread = garbage.iter().map(|record| (place(record), reason(record)));
    let poisoned = |record: &&Value| {
        record["topic"] == REQUESTS && record["value"].as_str().is_some_and(|text| text.contains("poisoned"))
    };
    let refused = records.iter().filter(poisoned).map(|record| (place(record), "the webhook answered 400"));
    unread.chain(refused).collect()
}

/// What `app-worker dead-letters ...` prints.
fn letters(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut worker = command("app-worker", folder);
    let output = worker.envs(settings.iter().copied()).arg("dead-letters").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

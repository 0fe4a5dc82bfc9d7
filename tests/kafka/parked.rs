//! What nobody can work off is put aside, and everything else goes on.

use crate::brokers::{Broker, broker};
use crate::client::Client;
use crate::field::{Begun, Field, LONG};
use crate::printer::Printed;
use crate::records::write;
use crate::talk::say;
use crate::worker_process::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_topic() {
    let Some(broker) = broker().await else { return };
    let Begun { field, client, printed, session, _worker } = Begun::start(broker, "garbage").await;
    let deep = "[".repeat(100_000);
    let garbage: [&[u8]; 6] = [b"garbage", b"", b"{}", b"[1]", &[0, 159, 146, 150], deep.as_bytes()];
    write(broker, "garbage-requests", &session, &garbage).await;
    say(&client, Some(&session)).await;
    printed.wait_for(4, LONG).await;
    printed.are_those_of(&[(session.clone(), 2)].into());
    let letters = field.letters();
    let bytes: Vec<String> = garbage.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    let shown = |letter: &Value| letter["record"].as_str().map_or_else(|| letter["record"].to_string(), str::to_owned);
    assert_eq!(letters.iter().map(shown).collect::<Vec<_>>(), bytes);
    for letter in &letters {
        assert_eq!((&letter["key"], &letter["group"]), (&json!(session), &json!("garbage-workers")));
        assert!(letter["reason"].as_str().unwrap().starts_with("malformed: "), "{letter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_that_is_larger_than_a_dead_letter_may_be() {
    let Some(broker) = broker().await else { return };
    make(broker, "huge-requests", "1", "max.message.bytes=3000000").await;
    let Begun { field, client, printed, session, _worker } = Begun::start(broker, "huge").await;
    // The reason of the second one holds nearly all of it.
    let unknown = json!({"type": incompressible(2_000_000), "v": 1, "session_id": session, "seq": 3,
        "user_id": "user_123", "timestamp": "2026-01-01T00:00:00Z"});
    let huge = [incompressible(2_000_000), unknown.to_string()];
    write(broker, "huge-requests", &session, &huge.each_ref().map(String::as_bytes)).await;
    say(&client, Some(&session)).await;
    printed.wait_for(4, LONG).await;
    let letters = field.letters();
    assert_eq!(letters.len(), 2);
    for (offset, (letter, huge)) in (1..).zip(letters.iter().zip(&huge)) {
        let (reason, length) = (letter["reason"].as_str().unwrap(), huge.len());
        assert_eq!((&letter["key"], &letter["record"]), (&json!(session), &json!("")));
        let told = format!("; its {length} bytes are too many for a dead letter, see huge-requests 0 {offset}");
        assert!(reason.starts_with("malformed: ") && reason.ends_with(&told), "{reason}");
    }
    for which in [letters[0]["id"].as_str().unwrap(), "--all"] {
        let replayed = field.run(&["dead-letters", "replay", which]);
        let told = String::from_utf8_lossy(&replayed.stderr);
        assert!(!replayed.status.success() && told.contains(" did not go back"), "nothing in it can: {told}");
        let why = format!("it cannot be given back: its {} bytes are too many", huge[0].len());
        assert!(told.contains(&why) && told.contains("see huge-requests 0 1"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_newer_version() {
    let Some(broker) = broker().await else { return };
    let Begun { field, client, printed, session, _worker } = Begun::start(broker, "newer").await;
    let newer = json!({"type": "chat.requested", "v": 2, "session_id": session, "seq": 3, "message": {"text": "?"}});
    let unknown = json!({"type": "chat.thought", "v": 1, "session_id": session, "seq": 4, "user_id": "user_123",
        "timestamp": "2026-01-01T00:00:00Z"});
    let values = [newer.to_string(), unknown.to_string()];
    write(broker, "newer-requests", &session, &values.each_ref().map(String::as_bytes)).await;
    say(&client, Some(&session)).await;
    printed.wait_for(4, LONG).await;
    let reasons = ["newer_version", "malformed: the type chat.thought is unknown"].map(Value::from);
    let parked = || {
        let letters = field.letters();
        (letters.len() == 2).then_some(letters)
    };
    let letters = eventually(parked, || format!("{:?}", field.letters())).await;
    assert_eq!([&letters[0]["reason"], &letters[1]["reason"]], reasons.each_ref());
    assert_eq!([&letters[0]["record"], &letters[1]["record"]], [&newer, &unknown], "as they were");
    // They can be given back at any time; to a worker that knows them no better they are the same again.
    field.command(&["dead-letters", "replay", "--all"]);
    say(&client, Some(&session)).await;
    printed.wait_for(6, LONG).await;
    let again = eventually(
        || parked().filter(|again| again[0]["id"].as_str() > letters[1]["id"].as_str()),
        || format!("{letters:?}"),
    )
    .await;
    assert_eq!([&again[0]["reason"], &again[1]["reason"]], reasons.each_ref());
    assert_eq!([&again[0]["record"], &again[1]["record"]], [&newer, &unknown]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_too_large_for_kafka() {
    let Some(broker) = broker().await else { return };
    // As many as the other topics have: only so is a session in the same place of each, and read in its order.
    make(broker, "too-large-requests", "3", "max.message.bytes=6000").await;
    let (field, printed) = (Field::new(broker, "too-large", &[]), Printed::default());
    let client = Client::login(&field.server).await;
    let _worker = field.worker(&printed);
    let session = say(&client, None).await;
    let text = incompressible(20_000);
    let (status, _, answer) = client.try_ask(&json!({"message": text, "session_id": session})).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{answer}");
    say(&client, Some(&session)).await;
    let others = [say(&client, None).await, say(&client, None).await];
    // All but the question that was too large.
    printed.wait_for(9, LONG).await;
    let stored = |arguments: &[&str]| field.command(&[&["dead-letters"], arguments, &["--outbox"]].concat());
    let listed =
        eventually(|| Some(stored(&["list", "--json"])).filter(|listed| !listed.is_empty()), String::new).await;
    let letter: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&letter["key"], &letter["record"]["seq"]), (&json!(session), &json!(3)));
    assert_eq!(letter["record"]["message"], text);
    assert_eq!(letter["reason"], "larger than the topic too-large-requests takes");
    let more = ["--alter", "--entity-type", "topics", "--entity-name", "too-large-requests"];
    broker.tool(&[&["configs"][..], &more, &["--add-config", "max.message.bytes=100000"]].concat()).await;
    stored(&["replay", letter["id"].as_str().unwrap()]);
    printed.wait_for(10, LONG).await;
    assert_eq!(stored(&["list"]), "");
    assert_eq!(printed.numbers_of(&session), [1, 2, 4, 5, 6, 3]);
    assert!(others.iter().all(|other| printed.numbers_of(other) == [1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_a_group_that_was_renamed_are_not_given_back_to_nobody() {
    let Some(broker) = broker().await else { return };
    let Begun { mut field, printed, session, _worker, .. } = Begun::start(broker, "renamed").await;
    write(broker, "renamed-requests", &session, &[b"garbage"]).await;
    let groups_are = async |field: &Field, groups: &[&str]| {
        let letters = || {
            let letters = field.letters();
            (letters.iter().map(|letter| &letter["group"]).collect::<Vec<_>>() == groups).then_some(letters)
        };
        eventually(letters, || format!("{groups:?}: {:?}", field.letters())).await
    };
    let old = groups_are(&field, &["renamed-workers"]).await;
    drop(_worker);
    field.rename_group("renamed-heirs");
    let _heir = field.worker(&printed);
    // To a group that is new all events are, also this one.
    let [first, second] = ["renamed-workers", "renamed-heirs"];
    let letters = groups_are(&field, &[first, second]).await;
    let replayed = field.run(&["dead-letters", "replay", "--all"]);
    let (id, told) = (old[0]["id"].as_str().unwrap(), String::from_utf8_lossy(&replayed.stderr));
    assert!(!replayed.status.success() && told.contains("1 of 2 did not go back"), "{told}");
    assert!(told.contains(&format!("{id}: it is of the group {first}, not of {second}")), "{told}");
    let own = letters[1]["id"].as_str().unwrap();
    assert_eq!(String::from_utf8_lossy(&replayed.stdout), format!("{own} goes back\n"), "its own does");
    groups_are(&field, &[first, second]).await;
    let taken = field.command(&["dead-letters", "replay", id, "--take-over"]);
    assert_eq!(taken, format!("{id} goes back\n"));
    let heirs = groups_are(&field, &[second, second]).await;
    assert_eq!([&heirs[0]["record"], &heirs[1]["record"]], ["garbage"; 2]);
}

/// Makes a topic of so many partitions, with this setting.
async fn make(broker: &Broker, topic: &str, partitions: &str, setting: &str) {
    broker.tool(&["topics", "--create", "--topic", topic, "--partitions", partitions, "--config", setting]).await;
}

/// Text that does not get much smaller by compression.
fn incompressible(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(length).collect()
}

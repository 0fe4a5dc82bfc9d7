//! What is stored for events, and that it is stored once. No MongoDB is asked but a stand-in with the same wire protocol.

mod common;

use chatcore::event::Event;
use chatcore::id::{DeviceId, RequestId};
use chatcore::owner::Owner;
use common::{AT, answer, config, database, deletion, handle, new_session, open, question, standin, stored};
use futures_util::future::{join, join_all};
use mongodb::IndexModel;
use mongodb::bson::{Bson, DateTime, Document, bson, doc};
use mongodb::options::IndexOptions;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_one_document_however_often_it_comes() {
    let Some(standin) = standin() else { return };
    let config = config(&standin.uri());
    let (session, handler) = (new_session(), open(&config).await);
    let mut asked = question(session, 1, "Tìm iPhone");
    (asked.owner, asked.request_id) =
        (Owner::Guest(DeviceId::parse("phone-17").unwrap()), Some(RequestId::parse("r-1").unwrap()));
    let answered = answer(session, 2, r#"[{"price": 29500000, "mine": {"$a.b": [1, 2.5]}, "id": null}]"#);
    let again = Event { at: asked.at + Duration::from_secs(1), ..question(session, 1, "another text") };
    for event in [&asked, &answered, &asked, &answered, &again] {
        handle(&handler, event).await.unwrap();
    }
    let at = DateTime::from_millis(AT / 1000);
    let message_id = "00000000-0000-0000-0000-000000000008";
    let expected = [
        doc! {
            "_id": format!("{session}-1"), "type": "chat.requested", "v": 1, "session_id": session.to_string(),
            "user_id": Bson::Null, "device_id": "phone-17", "seq": 1, "timestamp": at, "message_id": message_id,
            "message": "Tìm iPhone", "timestamp_micros": AT, "request_id": "r-1",
        },
        doc! {
            "_id": format!("{session}-2"), "type": "chat.responded", "v": 1, "session_id": session.to_string(),
            "user_id": "ann", "device_id": Bson::Null, "seq": 2, "timestamp": at, "message_id": message_id,
            "response": "có", "products": [{"price": 29_500_000, "mine": {"$a.b": [1, bson!(2.5)]}, "id": Bson::Null}],
            "intent": "product_search", "confidence": 0.5, "status": "completed", "reply_to": 1,
            "timestamp_micros": AT, "request_id": Bson::Null,
        },
    ];
    assert_eq!(stored(&config, "messages").await, expected);
    assert_eq!(stored(&config, "deletions").await, [] as [Document; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_have_the_same_events_at_once_store_each_once() {
    let Some(standin) = standin() else { return };
    let config = config(&standin.uri());
    let workers = [open(&config).await, open(&config).await];
    let session = new_session();
    let events: Vec<_> = (1..=100).map(|seq| question(session, seq, "hello")).collect();
    let handled = workers.iter().flat_map(|worker| events.iter().map(move |event| handle(worker, event)));
    assert_eq!(join_all(handled).await, vec![Ok(()); 200]);
    assert_eq!(stored(&config, "messages").await.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_marks_the_messages_that_are_there_and_those_that_come_later() {
    let Some(standin) = standin() else { return };
    let config = config(&standin.uri());
    let handler = open(&config).await;
    let (session, other) = (new_session(), new_session());
    let later = Event { at: question(session, 3, "").at + Duration::from_secs(9), ..deletion(session, 4) };
    let all = [
        question(session, 1, "hello"),
        answer(session, 2, "[]"),
        question(other, 1, "hello"),
        deletion(session, 4),
        question(session, 3, "late"),
        answer(session, 2, "[]"),
        later,
    ];
    for event in &all {
        handle(&handler, event).await.unwrap();
    }
    let at = Bson::DateTime(DateTime::from_millis(AT / 1000));
    let messages = stored(&config, "messages").await;
    assert_eq!(messages.len(), 4);
    for message in &messages {
        let deleted = message.get("session_id") == Some(&session.to_string().into());
        assert_eq!(message.get("deleted_at"), deleted.then_some(&at), "{message}");
    }
    let deletion = doc! {
        "_id": session.to_string(), "type": "session.deleted", "v": 1, "event_id": format!("{session}-4"),
        "user_id": "ann", "device_id": Bson::Null, "seq": 4, "timestamp": at, "timestamp_micros": AT,
        "request_id": Bson::Null,
    };
    assert_eq!(stored(&config, "deletions").await, [deletion]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_while_its_session_is_deleted_is_marked_by_one_of_the_two() {
    let Some(standin) = standin() else { return };
    let config = config(&standin.uri());
    let (one, other) = (open(&config).await, open(&config).await);
    for _ in 0..100 {
        let session = new_session();
        let (message, deletion) = (question(session, 1, "hello"), deletion(session, 2));
        let done = join(handle(&one, &message), handle(&other, &deletion)).await;
        assert_eq!(done, (Ok(()), Ok(())));
    }
    let messages = stored(&config, "messages").await;
    assert_eq!(messages.iter().filter(|message| message.contains_key("deleted_at")).count(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_can_be_stored_is_refused_without_its_text() {
    let Some(standin) = standin() else { return };
    let config = config(&standin.uri());
    let handler = open(&config).await;
    let session = new_session();
    let unique = IndexOptions::builder().unique(true).build();
    let unique = IndexModel::builder().keys(doc! {"message": 1}).options(unique).build();
    database(&config).await.collection::<Document>("messages").create_index(unique).await.unwrap();
    handle(&handler, &question(session, 1, "a secret")).await.unwrap();

    let twice = handle(&handler, &question(session, 2, "a secret")).await;
    assert_eq!(twice, Err("MongoDB answered 11000 DuplicateKey".to_owned()), "an index that is not ours forbids it");
    let long = question(session, 3, &"secret".repeat(2_800_000));
    let reason = handle(&handler, &long).await.unwrap_err();
    assert!(reason.starts_with("the event is too large for MongoDB: 168"), "{reason}");
    let zero = answer(session, 4, r#"[{"secret\u0000": 1}]"#);
    assert_eq!(handle(&handler, &zero).await, Err("the event cannot be written as BSON".to_owned()));
    let deep = answer(session, 5, &format!("[{}{{}}{}]", r#"{"a":"#.repeat(125), "}".repeat(125)));
    assert_eq!(handle(&handler, &deep).await, Err("the event is nested too deeply".to_owned()));
    assert_eq!(stored(&config, "messages").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_session_and_by_user() {
    let Some(standin) = standin() else { return };
    let config = config(&standin.uri());
    // Twice, as two workers do.
    let handlers = [open(&config).await, open(&config).await];
    for handler in &handlers {
        handle(handler, &question(new_session(), 1, "hello")).await.unwrap();
    }
    let messages = database(&config).await.collection::<Document>("messages");
    for _ in 0..300 {
        let mut names = messages.list_index_names().await.unwrap();
        names.sort_unstable();
        if names == ["_id_", "session_id_1_seq_1", "user_id_1_timestamp_1"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", messages.list_index_names().await);
}

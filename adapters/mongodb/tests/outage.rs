//! A server that is away, frozen, no primary, or that says no. Of a real MongoDB's answers those are written down here that
//! its manual names; the rest is a stand-in's.

mod common;

use chatcore::port::Probe;
use common::scripted::Scripted;
use common::standin::StandIn;
use common::{config, handle, new_session, open, question, stored};
use mongodb::bson::doc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_waited_for() {
    let Some(mut standin) = StandIn::prepare() else { return };
    let mut config = config(&standin.uri());
    config.connect_timeout = Duration::from_millis(500);
    let (handler, session) = (open(&config).await, new_session());
    let first = tokio::spawn({
        let handler = handler.clone();
        async move { handle(&handler, &question(session, 1, "hello")).await }
    });
    sleep(Duration::from_millis(700)).await;
    assert!(!first.is_finished() && handler.check().await.unwrap_err().may_pass(), "it never was there");
    standin.run();
    timeout(Duration::from_secs(20), first).await.unwrap().unwrap().unwrap();
    handler.check().await.unwrap();
    standin.kill();

    let second = tokio::spawn({
        let handler = handler.clone();
        async move { handle(&handler, &question(session, 2, "hello")).await }
    });
    sleep(Duration::from_millis(1500)).await;
    assert!(!second.is_finished() && handler.check().await.is_err(), "it was killed");
    standin.run();
    timeout(Duration::from_secs(20), second).await.unwrap().unwrap().unwrap();
    let kept = stored(&config, "messages").await;
    assert_eq!((kept.len(), kept[0].get_i32("seq").unwrap()), (1, 2), "what a stand-in had is gone when it is killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_frozen_costs_a_call_its_deadline_and_no_event() {
    let Some(standin) = StandIn::start() else { return };
    let mut config = config(&standin.uri());
    config.call_timeout = Duration::from_millis(500);
    let (handler, session) = (open(&config).await, new_session());
    handle(&handler, &question(session, 1, "hello")).await.unwrap();
    standin.freeze();
    let frozen = tokio::spawn({
        let handler = handler.clone();
        async move { handle(&handler, &question(session, 2, "hello")).await }
    });
    let asked = timeout(Duration::from_millis(1500), handler.check()).await.unwrap();
    assert!(asked.unwrap_err().may_pass() && !frozen.is_finished());
    standin.thaw();
    timeout(Duration::from_secs(20), frozen).await.unwrap().unwrap().unwrap();
    assert_eq!(stored(&config, "messages").await.len(), 2, "also where the first try got there in the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_what_may_not_is_refused() {
    let no = |code: i32, name: &str| doc! {"ok": 0, "code": code, "codeName": name, "errmsg": "of hello"};
    let failed = |code: i32| doc! {"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": code, "errmsg": "of hello"}]};
    let half =
        doc! {"ok": 1, "n": 1, "writeConcernError": {"code": 64, "codeName": "WriteConcernTimeout", "errmsg": "x"}};
    let passing = [no(10107, "NotWritablePrimary"), no(13, "Unauthorized"), failed(14031), half, failed(11000)];
    for answer in passing {
        let told = format!("{answer}");
        let server = Scripted::start([answer]).await;
        let handler = open(&config(&server.uri)).await;
        let event = question(new_session(), 1, "hello");
        let handled = timeout(Duration::from_secs(20), handle(&handler, &event)).await;
        assert_eq!(handled, Ok(Ok(())), "{told}");
        assert_eq!(server.updates().len(), 2, "{told}");
    }
    let refusals = [
        (failed(121), "MongoDB answered 121"),
        (failed(17419), "MongoDB answered 17419"),
        (no(10334, "BSONObjectTooLarge"), "MongoDB answered 10334 BSONObjectTooLarge"),
    ];
    for (answer, reason) in refusals {
        let server = Scripted::start([answer]).await;
        let handler = open(&config(&server.uri)).await;
        let handled = handle(&handler, &question(new_session(), 1, "hello")).await;
        assert_eq!((handled, server.updates().len()), (Err(reason.to_owned()), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_acknowledged_by_most_servers_from_their_journals() {
    let server = Scripted::start([]).await;
    let handler = open(&config(&server.uri)).await;
    handle(&handler, &question(new_session(), 1, "hello")).await.unwrap();
    let concern = server.updates()[0].get_document("writeConcern").unwrap().clone();
    assert_eq!(concern, doc! {"w": "majority", "wtimeout": 10_000, "j": true});
    let handler = open(&config(&format!("{}/?w=2&wtimeoutMS=50", server.uri))).await;
    handle(&handler, &question(new_session(), 1, "hello")).await.unwrap();
    let concern = server.updates()[1].get_document("writeConcern").unwrap().clone();
    assert_eq!(concern, doc! {"w": 2, "wtimeout": 50}, "unless the address says something else");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_a_certificate_that_is_trusted_and_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let Some(standin) = StandIn::start_with_tls(folder.path()) else { return };
    let trusting = config(&standin.uri());
    handle(&open(&trusting).await, &question(new_session(), 1, "hello")).await.unwrap();
    assert_eq!(stored(&trusting, "messages").await.len(), 1);
    let others = config(&format!("mongodb://localhost:{}/?tls=true", standin.port));
    assert!(open(&others).await.check().await.is_err(), "nobody has signed it");
}

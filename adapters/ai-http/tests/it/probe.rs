//! The probe: there or not, without a question.

use crate::server::{Server, ok, sees_close};
use crate::support::{ai, clock, config, refusal};
use chatcore::error::Retry;
use chatcore::port::Probe;
use chatcore_ai_http::HttpAi;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_service_that_takes_a_connection_is_there_and_is_asked_nothing() {
    for host in ["127.0.0.1", "localhost"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ai = ai(config(&format!("http://{host}:{}/chat", listener.local_addr().unwrap().port())));
        assert_eq!(ai.name(), "ai");
        ai.check().await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        assert!(heard.is_empty(), "{heard:?}");
        assert!(sees_close(&mut peer).await);
    }
}

#[tokio::test]
async fn an_ipv6_address_is_dialled_without_its_brackets() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    ai(config(&format!("http://{}/", listener.local_addr().unwrap()))).check().await.unwrap();
}

#[tokio::test]
async fn a_service_that_takes_no_connection_may_come_back() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = ai(config(&format!("http://{address}/"))).check().await.unwrap_err();
    assert_eq!((error.adapter, error.retry), ("ai", Retry::Later));
}

#[tokio::test]
async fn an_open_breaker_is_not_well_until_it_would_let_a_call_through() {
    let server = Server::saying(ok("{}")).await;
    let mut config = config(&server.url());
    config.breaker.faults = 2;
    config.breaker.pause = Duration::from_millis(300);
    let ai = HttpAi::new(config, clock()).unwrap();

    refusal(&ai).await;
    ai.check().await.expect("one fault is not many");
    refusal(&ai).await;
    let error = ai.check().await.unwrap_err();
    assert!(error.source.to_string().contains("breaker"), "{}", error.source);
    assert!(refusal(&ai).await.contains("given a rest"));
    assert_eq!(server.calls(), 2, "nobody was called meanwhile");

    tokio::time::sleep(Duration::from_millis(310)).await;
    ai.check().await.expect("the next call is let through");
}

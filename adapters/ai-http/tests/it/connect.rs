//! Connecting: the only thing that is tried again.

use crate::server::{Server, ok, say};
use crate::support::{Clock, ai, ask, clock, config, refusal};
use chatcore::port::Runtime;
use chatcore_ai_http::{HttpAi, HttpAiConfig};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use uuid::Uuid;

/// An address where nobody listens.
async fn nowhere() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Starts a server while a call pauses between two tries.
#[derive(Debug)]
struct Reviver {
    clock: Arc<Clock>,
    address: std::net::SocketAddr,
    server: Arc<Mutex<Option<Server>>>,
}

impl Runtime for Reviver {
    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let is_pause = time < Duration::from_secs(1);
        let (address, server, sleep) = (self.address, Arc::clone(&self.server), self.clock.sleep(time));
        Box::pin(async move {
            if is_pause && server.lock().unwrap().is_none() {
                let listener = TcpListener::bind(address).await.unwrap();
                *server.lock().unwrap() =
                    Some(Server::over(listener, |_, peer| say(peer, ok(r#"{"response": "back"}"#).into())));
            }
            sleep.await;
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.clock.spawn(task);
    }

    fn new_id(&self) -> Uuid {
        self.clock.new_id()
    }
}

#[tokio::test]
async fn a_service_that_comes_back_between_two_tries_answers() {
    let address = nowhere().await;
    let reviver = Reviver { clock: clock(), address, server: Arc::default() };
    let server = Arc::clone(&reviver.server);
    let ai = HttpAi::new(config(&format!("http://{address}/")), Arc::new(reviver)).unwrap();
    assert_eq!(ask(&ai).await.unwrap().0, ["back"]);
    assert_eq!(server.lock().unwrap().as_ref().unwrap().calls(), 1, "the question was sent once");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_tried_three_times_with_growing_pauses() {
    let (clock, address) = (clock(), nowhere().await);
    let ai = HttpAi::new(config(&format!("http://{address}/")), clock.clone()).unwrap();
    let reason = refusal(&ai).await;
    assert!(reason.contains("could not be reached"), "{reason}");
    let pauses =
        clock.sleeps.lock().unwrap().iter().copied().filter(|time| *time < Duration::from_secs(1)).collect::<Vec<_>>();
    assert_eq!(pauses, [50, 200].map(Duration::from_millis));
}

/// What was slept between tries: no other sleep is shorter than a second.
fn pauses(clock: &Clock) -> Vec<Duration> {
    clock.sleeps.lock().unwrap().iter().copied().filter(|time| *time < Duration::from_secs(1)).collect()
}

/// A handshake that gets no answer: the TCP connection alone is not a connection.
async fn silent_tls(change: impl FnOnce(&mut HttpAiConfig)) -> (String, Duration, Vec<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&format!("https://{}/", listener.local_addr().unwrap()));
    change(&mut config);
    let clock = clock();
    let ai = HttpAi::new(config, clock.clone()).unwrap();
    let begun = clock.elapsed();
    let reason = refusal(&ai).await;
    (reason, clock.elapsed() - begun, pauses(&clock))
}

#[tokio::test(start_paused = true)]
async fn all_tries_together_keep_the_deadline_of_connecting() {
    let (reason, took, pauses) = silent_tls(|config| config.connect_timeout = Duration::from_secs(6)).await;
    assert!(reason.contains("could not be reached"), "{reason}");
    assert_eq!(pauses, [50].map(Duration::from_millis), "a second try fits, a third would not");
    assert_eq!(took.as_millis() / 100, 40, "two tries of two seconds each: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_whole_call_holds_while_it_connects() {
    let (reason, took, _) = silent_tls(|config| config.timeout = Duration::from_millis(1500)).await;
    assert!(reason.contains("within 1.5s"), "{reason}");
    assert_eq!(took.as_millis() / 100, 15, "{took:?}");
}

#[tokio::test]
async fn a_host_without_an_address_is_an_error() {
    let reason = refusal(&ai(config("http://chatcore.invalid/"))).await;
    assert!(reason.contains("could not be reached") && !reason.contains("chatcore.invalid/"), "{reason}");
}

#[tokio::test]
async fn a_connection_that_the_service_closed_after_an_answer_is_not_used_for_the_next() {
    let reply: Arc<[u8]> = b"HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{\"response\": \"yes\"}".as_slice().into();
    let server = Server::start(move |_, peer| say(peer, Arc::clone(&reply))).await;
    let ai = ai(config(&server.url()));
    for _ in 0..5 {
        assert_eq!(ask(&ai).await.unwrap().0, ["yes"]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.calls(), 5);
}

//! Several servers on one Redis are one system, and none of them is missed.

use super::servers::Server as Redis;
use super::{ANSWERED_WITHIN, durable};
use crate::client::Client;
use crate::process::Server;
use crate::writers::{open, questions, within};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A server over this Redis, whose AI thinks so long.
fn start(redis: &Redis, delay: &str) -> Server {
    let url = redis.url();
    Server::start(&[("REDIS_URL", &url), ("MESSAGE_QUOTA", "off"), ("TURN_LEASE", "1s"), ("AI_DEMO_DELAY", delay)])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_sessions_and_tokens() {
    let redis = durable();
    // Both start at once, so that they have to agree on a secret that neither of them was given.
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| start(&redis, "0"));
        (start(&redis, "0"), one.join().unwrap())
    });
    let (here, of_two) = (Client::login(&one).await, Client::login(&two).await);
    let there = here.at(&two);
    assert_eq!(of_two.at(&one).sessions().await, [0; 0], "a token of each is good at the other");

    let session = open(&here).await;
    assert_eq!(open(&there).await, session, "the same key is the same message");
    there.ask(json!({"message": "laptop", "session_id": session})).await;
    let history = here.history(&session).await;
    assert_eq!(questions(&history), ["hello", "laptop"]);
    assert_eq!(there.history(&session).await, history);
    let sessions = there.sessions().await;
    assert!(sessions.len() == 1 && sessions[0]["session_id"] == *session, "{sessions:?}");
    assert_eq!(here.sessions().await, sessions);

    assert_eq!(there.delete(&session).await, StatusCode::OK);
    assert_eq!(here.sessions().await, [0; 0]);
    let (status, ..) = here.try_ask(&json!({"message": "phone", "session_id": session})).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// The lease is long over before Redis is there again; who looks then, and did not look before, does not know what the other has.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_after_an_outage_leaves_a_living_one_its_answer() {
    let (mut redis, mut two) = (durable(), None);
    leaves_a_living_one_its_answer(&mut redis, || (), |redis| two = Some(start(redis, "1s"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_frozen_through_an_outage_leaves_a_living_one_its_answer() {
    let mut redis = durable();
    let two = start(&redis, "1s");
    leaves_a_living_one_its_answer(&mut redis, || two.signal("-STOP"), |_| two.signal("-CONT")).await;
}

/// One server has an answer through an outage, and just after it looks later than another.
async fn leaves_a_living_one_its_answer(redis: &mut Redis, before: impl FnOnce(), other_looks: impl FnOnce(&Redis)) {
    let one = start(redis, "1s");
    let client = Client::login(&one).await;
    let session = open(&client).await;
    let asking = client.clone();
    let question = json!({"message": "laptop", "session_id": session, "client_message_id": "k"});
    let again = question.clone();
    let asked = tokio::spawn(async move { asking.try_ask(&question).await });
    within(Duration::from_secs(5), async { while client.history(&session).await.len() < 3 {} }).await;
    before();
    redis.kill();
    tokio::time::sleep(Duration::from_millis(2200)).await;
    redis.run();
    one.signal("-STOP");
    other_looks(redis);
    tokio::time::sleep(Duration::from_millis(500)).await;
    one.signal("-CONT");
    drop(asked.await);
    assert_eq!(client.ask(again).await["status"], "completed");
}

/// So many messages at once, each at the next of these servers.
fn ask_at_once(clients: &[Client; 2], count: usize) -> Vec<JoinHandle<Option<StatusCode>>> {
    let ask = |number: usize| {
        let client = clients[number % 2].clone();
        // A server that dies tells nothing.
        async move { client.try_ask(&json!({ "message": number.to_string() })).await.ok().map(|(status, ..)| status) }
    };
    (0..count).map(|number| tokio::spawn(ask(number))).collect()
}

async fn told(asked: Vec<JoinHandle<Option<StatusCode>>>, status: StatusCode) -> usize {
    let told = join_all(asked).await;
    told.into_iter().filter(|told| *told.as_ref().unwrap() == Some(status)).count()
}

/// Each message opens a session, so that the list shows what was stored, whatever was told of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_quota_is_exact_over_two_servers_and_restarts() {
    const LIMIT: usize = 40;
    let mut redis = durable();
    let (url, quota) = (redis.url(), format!("{LIMIT}/1h"));
    let settings = [("REDIS_URL", &*url), ("MESSAGE_QUOTA", &quota), ("AI_DEMO_DELAY", "1s")];
    let (one, mut two) = (Server::start(&settings), Server::start(&settings));
    let here = Client::login(&one).await;
    let clients = [here.clone(), here.at(&two)];
    let asked = ask_at_once(&clients, LIMIT / 2);
    within(Duration::from_secs(10), async { while here.sessions().await.len() < LIMIT / 2 {} }).await;
    two.kill();
    redis.kill();
    redis.run();
    two.restart();
    assert_eq!(told(asked, StatusCode::OK).await, LIMIT / 4, "those of the server that lives");
    let refused = told(ask_at_once(&clients, 2 * LIMIT), StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!((here.sessions().await.len(), refused), (LIMIT, 2 * LIMIT - LIMIT / 2));
}

/// A right password is let in whatever others try meanwhile, at another server and at one that is killed, though five wrong ones are
/// the most that a name may have.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_does_not_count_at_another_server_nor_at_a_killed_one() {
    let redis = durable();
    let (mut dying, living) = (start(&redis, "0"), start(&redis, "0"));
    let at_dying = Client::login(&dying).await;
    let log_in = |client: Client| async move {
        let body = json!({"username": "testuser", "password": "testpass"});
        client.try_call(Method::POST, "/auth/login", &body).await.0
    };
    let hammering: Vec<_> = (0..40).map(|_| tokio::spawn(log_in(at_dying.clone()))).collect();
    let beside = log_in(at_dying.at(&living)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(hammering.iter().any(|login| !login.is_finished()), "some are not decided");
    hammering.iter().for_each(JoinHandle::abort);
    dying.kill();
    assert_eq!((beside, log_in(at_dying.at(&living)).await), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_leaves_no_session_stuck_past_its_lease() {
    let redis = durable();
    let (mut dying, living) = (start(&redis, "20s"), start(&redis, "0"));
    let here = Client::login(&living).await;
    let ask = |session: &str, key: &str| json!({"message": key, "session_id": session, "client_message_id": key});
    let (retried, passed) = (session(&here, "a").await, session(&here, "b").await);
    let bodies = [ask(&retried, "2"), ask(&passed, "2"), json!({"message": "new", "client_message_id": "new"})];
    let asked = bodies.clone().map(|body| {
        let there = here.at(&dying);
        tokio::spawn(async move { there.try_ask(&body).await })
    });
    let begun = within(Duration::from_secs(10), all_begun(&here)).await;
    dying.kill();
    let [again, other, new] = within(ANSWERED_WITHIN, async {
        let [retry, _, new] = &bodies;
        let (again, other) = (here.ask(retry.clone()), here.ask(ask(&passed, "3")));
        let (again, other, new) = tokio::join!(again, other, here.ask(new.clone()));
        [again, other, new]
    })
    .await;
    for task in asked {
        assert!(task.await.unwrap().is_err(), "the server died before it answered");
    }
    // The retried keys went on with the very questions that the dead server had taken.
    assert!([&again, &other, &new].iter().all(|answer| answer["status"] == "completed"));
    for (answer, questions_there) in [(&again, 2), (&new, 1)] {
        let history = here.history(answer["session_id"].as_str().unwrap()).await;
        assert_eq!(questions(&history).len(), questions_there);
        assert!(begun.contains(&answer["message_id"]), "{answer}");
    }
    let history = here.history(&passed).await;
    assert_eq!(questions(&history).len(), 3);
    assert_eq!(history[3]["status"], "failed", "the question of the other key was closed");
    assert_eq!(here.sessions().await.len(), 3, "no session was opened twice");
}

/// A session with one question, under a key of its own.
async fn session(client: &Client, key: &str) -> String {
    let answer = client.ask(json!({"message": key, "client_message_id": key})).await;
    answer["session_id"].as_str().unwrap().to_owned()
}

/// Waits until three sessions have an open question each, and answers their ids.
async fn all_begun(client: &Client) -> Vec<Value> {
    loop {
        let mut begun = Vec::new();
        for session in client.sessions().await {
            let newest = client.messages(session["session_id"].as_str().unwrap()).await.pop();
            begun.extend(newest.filter(|message| message["role"] == "user").map(|message| message["id"].clone()));
        }
        if begun.len() == 3 {
            return begun;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! Sessions that were adopted lie in other slots than their owner's own: limits, quota and lists reach them all the same.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use chatcore::id::{DeviceId, UserId};
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Probe, SessionStore};
use chatcore::session::{Adopted, AdoptionRest, SessionsCursor, SessionsPage};
use chatcore::turn::{Began, NewTurn, Piece, Refusal, Target};
use chatcore_redis::Redis;
use common::adopted::{adopt, adopted, give_up_waiting, listed, new, refused, talk};
use common::chat::{finish, start};
use common::faults::patiently;
use common::{Server, Wire, config, open};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

#[tokio::test]
async fn the_quota_counts_questions_in_adopted_sessions_and_nothing_else() {
    let server = Server::start();
    let (store, sessions) = adopted(&server, 10, &["phone", "tablet"]).await;
    let here = Target::Existing(sessions[0]);
    let first = start(&*store, &new("user:ann", here, "k1", Some(3))).await;
    assert!(matches!(first.left, Some(Left { remaining: 2, reset }) if !reset.is_zero()), "{:?}", first.left);
    for _ in 0..5 {
        assert!(matches!(refused(&store, &new("user:ann", here, "busy", Some(3))).await, Some(Refusal::Busy { .. })));
    }
    finish(&*store, &first).await;
    for _ in 0..5 {
        let replayed = store.begin_turn(&new("user:ann", here, "k1", Some(3))).await.unwrap();
        assert!(matches!(replayed, Began::Replayed(_)), "{replayed:?}");
    }
    let second = start(&*store, &new("user:ann", Target::New, "k2", Some(3))).await;
    assert_eq!(second.left.map(|left| left.remaining), Some(1), "a question at home");
    let third = start(&*store, &new("user:ann", Target::Existing(sessions[1]), "k3", Some(3))).await;
    assert_eq!(third.left.map(|left| left.remaining), Some(0));
    for target in [here, Target::New] {
        let throttled = refused(&store, &new("user:ann", target, "k4", Some(3))).await;
        assert!(matches!(throttled, Some(Refusal::Throttled { .. })), "{throttled:?}");
    }
    let replayed = store.begin_turn(&new("user:ann", here, "k1", Some(3))).await.unwrap();
    assert!(matches!(replayed, Began::Replayed(_)), "what was taken before is not refused: {replayed:?}");
}

/// It is counted in another slot than it is stored in, and the core asks again where it was told nothing.
#[tokio::test]
async fn a_question_whose_answer_is_cut_after_any_byte_counts_once() {
    const LIMIT: u32 = 10_000;
    let server = Server::start();
    let wire = Wire::to(server.port).await;
    let mut config = config(&[server.url()]);
    let store = open(&config).await;
    config.urls = vec![wire.url()];
    let cut_off = open(&config).await;
    let mut sessions = Vec::new();
    for guest in ["phone", "tablet"] {
        sessions.push(talk(&store, &format!("guest:{guest}"), Target::New, "k").await);
        adopt(&store, guest).await;
    }
    let (quota, ann) = (Quota { limit: LIMIT, window: Duration::from_secs(60) }, "user:ann".parse().unwrap());
    let mut cut = 0;
    loop {
        patiently(async || cut_off.check().await).await;
        let here = Target::Existing(sessions[cut as usize % 2]);
        let new = NewTurn { window: 2, ..new("user:ann", here, &format!("q{cut}"), Some(LIMIT)) };
        wire.cut_after(cut);
        let began = patiently(async || cut_off.begin_turn(&new).await).await;
        let over = !wire.was_cut();
        let Began::Started(started) = began else { panic!("{began:?}") };
        let left = store.left(&ann, &quota).await.unwrap().remaining;
        assert_eq!(left, LIMIT - 1 - cut as u32, "cut after {cut}");
        finish(&*store, &started).await;
        if over {
            break;
        }
        cut += 1;
    }
    assert!(cut > 60, "a question in an adopted session is {cut} bytes of Redis");
}

#[tokio::test]
async fn the_limit_of_sessions_counts_adopted_ones_while_they_live() {
    let server = Server::start();
    let (store, sessions) = adopted(&server, 3, &["phone", "tablet"]).await;
    let ann: Owner = "user:ann".parse().unwrap();
    talk(&store, "user:ann", Target::New, "own").await;
    let next = new("user:ann", Target::New, "next", None);
    assert_eq!(refused(&store, &next).await, Some(Refusal::TooManySessions));
    talk(&store, "guest:watch", Target::New, "k").await;
    assert_eq!(adopt(&store, "watch").await, Adopted { moved: 0, rest: AdoptionRest::NoRoom });
    store.delete(&ann, &sessions[0], None).await.unwrap();
    assert_eq!(adopt(&store, "watch").await, Adopted { moved: 1, rest: AdoptionRest::Nothing }, "there is room again");
    assert_eq!(refused(&store, &next).await, Some(Refusal::TooManySessions));
    store.delete(&ann, &sessions[1], None).await.unwrap();
    assert_eq!(refused(&store, &next).await, None, "there is room again");
}

#[tokio::test]
async fn a_list_is_one_whatever_slots_its_sessions_lie_in() {
    let server = Server::start();
    let guests = ["a", "b", "c", "d", "e", "f"];
    let (store, mut sessions) = adopted(&server, 10, &guests).await;
    sessions.push(talk(&store, "user:ann", Target::New, "own").await);
    let moved_up = sessions.remove(2);
    talk(&store, "user:ann", Target::Existing(moved_up), "again").await;
    sessions.push(moved_up);
    sessions.reverse();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = SessionsPage { after, limit: 2 };
        let found = store.sessions(&"user:ann".parse().unwrap(), &page).await.unwrap();
        let Some(last) = found.last() else { break };
        after = Some(SessionsCursor::from(last));
        listed.extend(found.iter().map(|session| session.id));
    }
    assert_eq!(listed, sessions, "newest first, each once");
}

/// Drops a call when it waits for the so-manieth time, as a process does that is killed; `true` if it came to its end before.
async fn killed_at<T>(wait: usize, call: impl Future<Output = T>) -> bool {
    let (mut call, mut waits) = (pin!(call), 0);
    poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if waits == wait => Poll::Ready(false),
        Poll::Pending => {
            waits += 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn an_adoption_that_was_killed_anywhere_and_run_again_loses_no_session() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    let mut users = Vec::new();
    let mut whole = false;
    while !whole {
        let cut = users.len();
        let user = UserId::parse(format!("user{cut}")).unwrap();
        let [brief, lasting] = ["brief", "lasting"].map(|name| DeviceId::parse(format!("{name}{cut}")).unwrap());
        let mut session = None;
        for (guest, ttl) in [(&brief, 1), (&lasting, 3600)] {
            let guest = Owner::Guest(guest.clone());
            let ttl = Duration::from_secs(ttl);
            let new = NewTurn { ttl, ..new(&guest.to_string(), Target::New, "k", None) };
            let started = start(&*store, &new).await;
            finish(&*store, &started).await;
            session = Some(started.turn.id.session);
        }
        // The first makes the user's list of other slots live as short as its session.
        store.adopt(&brief, &user).await.unwrap();
        whole = killed_at(cut, store.adopt(&lasting, &user)).await;
        store.adopt(&lasting, &user).await.unwrap();
        users.push((Owner::User(user), Owner::Guest(lasting), session.unwrap()));
    }
    assert!(users.len() > 4, "an adoption waits for some answers: {}", users.len());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let page = SessionsPage { after: None, limit: 10 };
    for (cut, (user, guest, session)) in users.iter().enumerate() {
        let listed: Vec<_> = store.sessions(user, &page).await.unwrap().iter().map(|session| session.id).collect();
        assert_eq!(listed, [*session], "killed at {cut}");
        assert_eq!(store.sessions(guest, &page).await.unwrap(), [], "killed at {cut}");
    }
}

/// All steps of it.
async fn adopt_all(store: &Redis, guest: &DeviceId, user: &UserId) {
    for _ in 0..10 {
        if store.adopt(guest, user).await.unwrap().rest != AdoptionRest::More {
            return;
        }
    }
    panic!("the adoption comes to no end");
}

#[tokio::test]
async fn an_adoption_of_several_steps_that_was_killed_anywhere_has_each_session_in_one_list() {
    const SESSIONS: usize = 230;
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    let (mut cut, mut halves, mut whole) = (0, 0, false);
    while !whole {
        let (guest, owner) = (format!("guest:phone{cut}"), format!("user:user{cut}"));
        for number in 0..SESSIONS {
            talk(&store, &guest, Target::New, &format!("k{number}")).await;
        }
        let phone = DeviceId::parse(format!("phone{cut}")).unwrap();
        let user = UserId::parse(format!("user{cut}")).unwrap();
        whole = killed_at(cut, adopt_all(&store, &phone, &user)).await;
        let (had, left) = (listed(&store, &owner).await, listed(&store, &guest).await);
        halves += usize::from(!had.is_empty() && !left.is_empty());
        assert_eq!(had.len() + left.len(), SESSIONS, "killed at {cut}");
        assert_eq!(had.iter().chain(&left).collect::<BTreeSet<_>>().len(), SESSIONS, "killed at {cut}");
        adopt_all(&store, &phone, &user).await;
        let (had, left) = (listed(&store, &owner).await, listed(&store, &guest).await);
        assert_eq!((had.len(), left.len()), (SESSIONS, 0), "killed at {cut}");
        cut += 1;
    }
    assert!(halves > 2, "it is killed between its steps as well: {halves} of {cut}");
}

/// A step that is made again where its answer was lost moves no second batch, which nothing would have counted.
#[tokio::test]
async fn an_adoption_whose_answer_is_cut_after_any_byte_goes_past_no_limit() {
    let server = Server::start();
    let wire = Wire::to(server.port).await;
    let mut config = config(&[server.url()]);
    let wide = open(&config).await;
    config.limits.owner_sessions = 2;
    let store = open(&config).await;
    config.urls = vec![wire.url()];
    let cut_off = open(&config).await;
    let mut cut = 0;
    loop {
        let (phone, user) = (format!("phone{cut}"), format!("user{cut}"));
        let (guest, owner) = (format!("guest:{phone}"), format!("user:{user}"));
        for key in ["k0", "k1", "k2", "k3"] {
            talk(&wide, &guest, Target::New, key).await;
        }
        let (phone, ann) = (DeviceId::parse(phone).unwrap(), UserId::parse(&user).unwrap());
        patiently(async || cut_off.check().await).await;
        wire.cut_after(cut);
        let told = cut_off.adopt(&phone, &ann).await.map(|adopted| adopted.moved);
        let over = !wire.was_cut();
        assert_eq!(told.ok(), Some(2), "cut after {cut}");
        store.adopt(&phone, &ann).await.unwrap();
        let (had, left) = (listed(&store, &owner).await, listed(&store, &guest).await);
        assert!(had.len() <= 2, "cut after {cut}: {} sessions where 2 are allowed", had.len());
        assert_eq!(had.iter().chain(&left).collect::<BTreeSet<_>>().len(), 4, "cut after {cut}: {had:?}, {left:?}");
        give_up_waiting(&server, &user);
        store.adopt(&phone, &ann).await.unwrap();
        assert_eq!(listed(&store, &owner).await.len(), 2, "cut after {cut}");
        if over {
            break;
        }
        cut += 1;
    }
    assert!(cut > 60, "an adoption is {cut} bytes of Redis");
}

/// What is left of all keys once their sessions are over: streams of events, and what quotas count for a minute.
#[tokio::test]
async fn nothing_of_a_session_outlives_it() {
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    let new =
        |owner: &str, target, key: &str| NewTurn { ttl: Duration::from_secs(1), ..new(owner, target, key, Some(9)) };
    let whole = start(&*store, &new("user:ann", Target::New, "whole")).await;
    finish(&*store, &whole).await;
    finish(&*store, &start(&*store, &new("user:ann", Target::Existing(whole.turn.id.session), "again")).await).await;
    let open_one = start(&*store, &new("user:ann", Target::New, "open")).await;
    let piece = Piece { offset: 0, text: "Mu".into() };
    store.extend_turn(&open_one.turn, &piece, Duration::from_millis(100)).await.unwrap();
    let deleted = start(&*store, &new("user:ann", Target::New, "deleted")).await;
    store.delete(&"user:ann".parse().unwrap(), &deleted.turn.id.session, None).await.unwrap();
    for guest in ["phone", "tablet"] {
        let started = start(&*store, &new(&format!("guest:{guest}"), Target::New, "k")).await;
        finish(&*store, &started).await;
        adopt(&store, guest).await;
        let here = Target::Existing(started.turn.id.session);
        finish(&*store, &start(&*store, &new("user:ann", here, "adopted")).await).await;
    }
    // All but the one that the probe looks at.
    let keys = || {
        let keys = server.ask(&["KEYS", "*}:*"]);
        keys.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let kinds = || {
        let kind = |key: &String| key.split_once("}:").unwrap().1.split(':').next().unwrap().to_owned();
        keys().iter().map(kind).collect::<BTreeSet<_>>()
    };
    assert_eq!(kinds().into_iter().collect::<String>(), "aehiklmoxqstu", "of each kind there is one");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    store.close_orphans(Duration::ZERO, 100).await.unwrap();
    let lasting: BTreeSet<String> = ["a", "ox", "q"].map(str::to_owned).into();
    assert_eq!(kinds(), lasting, "{:?}", keys());
    for key in keys().iter().filter(|key| !key.ends_with(":ox")) {
        let left: u64 = server.ask(&["PTTL", key]).parse().unwrap();
        assert!(left <= 61_000, "{key} lives for {left} ms");
    }
}

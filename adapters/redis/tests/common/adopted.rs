//! Owners, and a user who has adopted what guests asked.

use super::chat::{finish, question, start};
use super::{Server, config, open};
use chatcore::id::{DeviceId, SessionId, UserId};
use chatcore::policy::Quota;
use chatcore::port::SessionStore;
use chatcore::session::{Adopted, AdoptionRest, SessionsPage};
use chatcore::turn::{Began, NewTurn, Refusal, Target};
use chatcore_redis::Redis;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn new(owner: &str, target: Target, key: &str, quota: Option<u32>) -> NewTurn {
    let quota = quota.map(|limit| Quota { limit, window: Duration::from_secs(60) });
    NewTurn { owner: owner.parse().unwrap(), quota, ..question(target, key) }
}

pub(crate) async fn talk(store: &Redis, owner: &str, target: Target, key: &str) -> SessionId {
    let started = start(store, &new(owner, target, key, None)).await;
    finish(store, &started).await;
    started.turn.id.session
}

pub(crate) async fn adopt(store: &Redis, guest: &str) -> Adopted {
    store.adopt(&DeviceId::parse(guest).unwrap(), &UserId::parse("ann").unwrap()).await.unwrap()
}

pub(crate) async fn refused(store: &Redis, new: &NewTurn) -> Option<Refusal> {
    match store.begin_turn(new).await.unwrap() {
        Began::Refused(refusal) => Some(refusal),
        _ => None,
    }
}

/// A store whose owners have so many sessions, and one session of each of these guests, in several slots, adopted by ann.
pub(crate) async fn adopted(server: &Server, most: u64, guests: &[&str]) -> (Arc<Redis>, Vec<SessionId>) {
    let mut config = config(&[server.url()]);
    config.limits.owner_sessions = most;
    let store = open(&config).await;
    let mut sessions = Vec::new();
    for guest in guests {
        sessions.push(talk(&store, &format!("guest:{guest}"), Target::New, "k").await);
        assert_eq!(adopt(&store, guest).await, Adopted { moved: 1, rest: AdoptionRest::Nothing });
    }
    (store, sessions)
}

/// The sessions of an owner.
pub(crate) async fn listed(store: &Redis, owner: &str) -> Vec<SessionId> {
    let page = SessionsPage { after: None, limit: 1000 };
    store.sessions(&owner.parse().unwrap(), &page).await.unwrap().iter().map(|session| session.id).collect()
}

/// From now on an adoption of this user that was not seen to its end counts as killed, as a minute after it began.
pub(crate) fn give_up_waiting(server: &Server, user: &str) {
    let places = server.ask(&["KEYS", &format!("*:h:user:{user}")]);
    // Of sessions that lie in the user's own slot there is no number.
    if !places.is_empty() {
        assert_eq!(server.ask(&["HSET", &places, "r", "0"]), "0");
    }
}

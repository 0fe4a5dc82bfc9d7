//! Looking at all sessions from outside: in each pause at those where something happened since, at the end at all.

use crate::check::{self, Places};
use crate::guests::GUESTS;
use crate::who::Who;
use crate::world::{USERS, World};
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::time::sleep;

/// How many sessions are read at once.
const AT_ONCE: usize = 8;
/// How many of the deleted sessions are looked at in a pause.
const SOME: usize = 40;

/// Later than any time.
const END: &str = "Z";

/// A session and all that stands in it.
pub(crate) struct History {
    pub(crate) who: Who,
    pub(crate) session: String,
    pub(crate) messages: Vec<Value>,
}

/// All has run well since `calm`: no question from before it may be open. Load goes on.
pub(crate) async fn pause(world: &World, since: &str, calm: &str) {
    let listed = list(world, Some(since)).await;
    let mut pages = iter(listed).map(|(who, session)| async move {
        let path = format!("/chat/session/{session}/messages?limit=100");
        (session, world.read(who, &path).await)
    });
    let mut reading = pages.by_ref().buffer_unordered(AT_ONCE);
    while let Some((session, page)) = reading.next().await {
        let Some(page) = page else { continue };
        let messages = page.body.as_array().map_or(&[][..], Vec::as_slice);
        check::history(world, &session, messages, &mut Places::new());
        if let Some(open) = check::unanswered(messages, calm) {
            world.ledger.violation(format!("I4: unanswered since before {calm}, in session {session}: {open}"));
        }
    }
    let mut deleted = deleted(world);
    fastrand::shuffle(&mut deleted);
    deleted.truncate(SOME);
    stay_deleted(world, deleted).await;
}

/// All clients are done: everything is there, once. Answers all that stands there.
pub(crate) async fn last(world: &World) -> Vec<History> {
    let (mut places, mut histories) = (Places::new(), Vec::new());
    let listed = list(world, None).await;
    let mut reading = iter(listed).map(|(who, session)| async move {
        let history = whole(world, who, &session).await;
        (who, session, history)
    });
    let mut reading = reading.by_ref().buffer_unordered(AT_ONCE);
    while let Some((who, session, history)) = reading.next().await {
        check::history(world, &session, &history, &mut places);
        if history.first().is_none_or(|first| first["seq"] != 1) {
            world.ledger.violation(format!("I2: session {session} does not begin at 1"));
        }
        histories.push(History { who, session, messages: history });
    }
    check::all_there(&world.ledger, &places);
    nothing_left(world).await;
    stay_deleted(world, deleted(world)).await;
    all_answered(world, &mut histories).await;
    histories
}

/// Guests who have logged in have nothing that is their own.
async fn nothing_left(world: &World) {
    let guests = world.ledger.book().leaving.clone();
    for guest in guests {
        let left = list_of(world, guest, None).await;
        if !left.is_empty() {
            world.ledger.violation(format!("adoption: {guest:?} has logged in, and has {left:?}"));
        }
    }
}

/// Those who hung up left questions behind; the last of them was asked a moment ago.
async fn all_answered(world: &World, histories: &mut [History]) {
    sleep(crate::LEASE + crate::UNANSWERED).await;
    for history in histories.iter_mut().filter(|history| check::unanswered(&history.messages, END).is_some()) {
        history.messages = whole(world, history.who, &history.session).await;
        check::history(world, &history.session, &history.messages, &mut Places::new());
        if let Some(open) = check::unanswered(&history.messages, END) {
            world.ledger.violation(format!("I4: unanswered at the end, in session {}: {open}", history.session));
        }
    }
}

/// The sessions of all users, as far back as there was activity since then. None is anybody else's too.
async fn list(world: &World, since: Option<&str>) -> Vec<(Who, String)> {
    let mut found = BTreeMap::new();
    for who in (0..USERS + GUESTS).map(Who::User) {
        for session in list_of(world, who, since).await {
            if let Some(other) = found.insert(session.clone(), who).filter(|other| *other != who) {
                world.ledger.violation(format!("adoption: session {session} is of {other:?} and of {who:?}"));
            }
        }
    }
    found.into_iter().map(|(session, who)| (who, session)).collect()
}

/// The sessions of one.
pub(crate) async fn list_of(world: &World, who: Who, since: Option<&str>) -> Vec<String> {
    let (mut found, mut path) = (Vec::new(), Some("/chat/sessions?limit=100".to_owned()));
    while let Some(page) = path.take() {
        let Some(said) = world.read(who, &page).await else { break };
        let rows = said.body.as_array().cloned().unwrap_or_default();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let new = |row: &&Value| since.is_none_or(|since| text(row, "last_activity").as_str() >= since);
        let newer: Vec<_> = rows.iter().filter(new).map(|row| text(row, "session_id")).collect();
        path = said.next.filter(|_| newer.len() == rows.len());
        found.extend(newer);
    }
    found
}

/// All that stands in a session, as far as it can be read.
pub(crate) async fn whole(world: &World, who: Who, session: &str) -> Vec<Value> {
    let (mut history, mut before) = (Vec::new(), String::new());
    loop {
        let path = format!("/chat/session/{session}/messages?limit=100{before}");
        let Some(said) = world.read(who, &path).await else { break };
        let mut page = said.body.as_array().cloned().unwrap_or_default();
        let first = page.first().and_then(|message| message["seq"].as_u64()).unwrap_or(1);
        page.append(&mut history);
        history = page;
        if first <= 1 {
            break;
        }
        before = format!("&before={first}");
    }
    history
}

fn deleted(world: &World) -> Vec<(Who, String)> {
    let book = world.ledger.book();
    let deleted = book.sessions.iter().filter(|(_, session)| session.deleted);
    deleted.map(|(id, session)| (session.who, id.clone())).collect()
}

async fn stay_deleted(world: &World, sessions: Vec<(Who, String)>) {
    for (who, session) in sessions {
        if let Some(said) = world.read(who, &format!("/chat/session/{session}")).await {
            world.ledger.violation(format!("I5: a deleted session came back: {}", said.body));
        }
    }
}

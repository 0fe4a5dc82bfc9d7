//! Looking at all sessions from outside: in each pause at those where something happened since, at the end at all.

use crate::check::{self, Places};
use crate::world::{USERS, World};
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::Value;
use tokio::time::sleep;

/// How many sessions are read at once.
const AT_ONCE: usize = 8;
/// How many of the deleted sessions are looked at in a pause.
const SOME: usize = 40;

/// Later than any time.
const END: &str = "Z";

/// A session and all that stands in it.
pub(crate) struct History {
    pub(crate) user: usize,
    pub(crate) session: String,
    pub(crate) messages: Vec<Value>,
}

/// All has run well since `calm`: no question from before it may be open. Load goes on.
pub(crate) async fn pause(world: &World, since: &str, calm: &str) {
    let listed = list(world, Some(since)).await;
    let mut pages = iter(listed).map(|(user, session)| async move {
        let path = format!("/chat/session/{session}/messages?limit=100");
        (session, world.read(user, &path).await)
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
    let mut reading = iter(listed).map(|(user, session)| async move {
        let history = whole(world, user, &session).await;
        (user, session, history)
    });
    let mut reading = reading.by_ref().buffer_unordered(AT_ONCE);
    while let Some((user, session, history)) = reading.next().await {
        check::history(world, &session, &history, &mut places);
        if history.first().is_none_or(|first| first["seq"] != 1) {
            world.ledger.violation(format!("I2: session {session} does not begin at 1"));
        }
        histories.push(History { user, session, messages: history });
    }
    check::all_there(&world.ledger, &places);
    stay_deleted(world, deleted(world)).await;
    all_answered(world, &mut histories).await;
    histories
}

/// Those who hung up left questions behind; the last of them was asked a moment ago.
async fn all_answered(world: &World, histories: &mut [History]) {
    sleep(crate::LEASE + crate::UNANSWERED).await;
    for history in histories.iter_mut().filter(|history| check::unanswered(&history.messages, END).is_some()) {
        history.messages = whole(world, history.user, &history.session).await;
        check::history(world, &history.session, &history.messages, &mut Places::new());
        if let Some(open) = check::unanswered(&history.messages, END) {
            world.ledger.violation(format!("I4: unanswered at the end, in session {}: {open}", history.session));
        }
    }
}

/// The sessions of all users, as far back as there was activity since then.
async fn list(world: &World, since: Option<&str>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for user in 0..USERS {
        let mut path = Some("/chat/sessions?limit=100".to_owned());
        while let Some(page) = path.take() {
            let Some(said) = world.read(user, &page).await else { break };
            let rows = said.body.as_array().cloned().unwrap_or_default();
            let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let new = |row: &&Value| since.is_none_or(|since| text(row, "last_activity").as_str() >= since);
            let newer: Vec<_> = rows.iter().filter(new).map(|row| (user, text(row, "session_id"))).collect();
            path = said.next.filter(|_| newer.len() == rows.len());
            found.extend(newer);
        }
    }
    found
}

async fn whole(world: &World, user: usize, session: &str) -> Vec<Value> {
    let (mut history, mut before) = (Vec::new(), String::new());
    loop {
        let path = format!("/chat/session/{session}/messages?limit=100{before}");
        let Some(said) = world.read(user, &path).await else { break };
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

fn deleted(world: &World) -> Vec<(usize, String)> {
    let book = world.ledger.book();
    let deleted = book.sessions.iter().filter(|(_, session)| session.deleted);
    deleted.map(|(id, session)| (session.user, id.clone())).collect()
}

async fn stay_deleted(world: &World, sessions: Vec<(usize, String)>) {
    for (user, session) in sessions {
        if let Some(said) = world.read(user, &format!("/chat/session/{session}")).await {
            world.ledger.violation(format!("I5: a deleted session came back: {}", said.body));
        }
    }
}

//! The invariants I1 to I5, I9 and I10, and the quota, checked when a world has come to rest.

use crate::world::{QUOTA, Sky, World};
use chatcore::event::{Event, EventBody};
use chatcore::id::{Fence, SessionId};
use chatcore::message::{Message, Role, Status};
use chatcore::owner::Owner;
use chatcore_ports::memory::Dump;
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

/// What a world saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Findings {
    /// Polls: work, and a fingerprint.
    pub(crate) polls: u64,
    /// Calls over the network, and those that failed.
    pub(crate) calls: (u64, u64),
    /// Servers that died.
    pub(crate) crashes: u64,
    /// Answers that clients were given.
    pub(crate) acks: u64,
    /// Answers in history by status: completed, fallback, failed, cancelled.
    pub(crate) statuses: [u64; 4],
    /// Turns resumed, begins repeated, turns closed.
    pub(crate) taken: [u64; 3],
    /// Completed answers that came too late.
    pub(crate) late: u64,
    /// The longest time that a turn was open after its lease.
    pub(crate) overdue: Duration,
    /// The virtual time.
    pub(crate) elapsed: Duration,
}

/// How long a turn may be open after its lease: the time that servers have first, which begins anew with an outage and with a
/// server that starts, and an outage or two.
const OVERDUE: Duration = Duration::from_secs(20);

/// Checks a world at rest.
///
/// # Errors
/// What was violated.
pub(crate) fn check(world: &World) -> Result<Findings, String> {
    let events = firsts(&world.bus.events())?;
    let mut findings = count(world);
    for Dump { session, messages, fences, open, .. } in world.store.dump() {
        ensure(!open, "I4", "a turn is open at rest")?;
        let bus = events.get(&session).map(Vec::as_slice).unwrap_or_default();
        match messages {
            Some(messages) => {
                history(&messages, &fences, &mut findings)?;
                announced(&messages, bus)?;
            }
            None => {
                let deleted = bus.last().is_some_and(|event| event.body == EventBody::SessionDeleted);
                ensure(deleted, "I5", "no deletion on the bus")?;
            }
        }
        acknowledged(world, session)?;
    }
    ensure(findings.overdue < OVERDUE, "I4", "a turn was open for too long after its lease")?;
    quota(&events)?;
    one_session(world)?;
    handled(world, &events)?;
    let lost = findings.late + findings.taken[0] + findings.taken[2];
    ensure(world.sky() == Sky::Storm || lost == 0, "I10", "without a storm a turn was taken from a living server")?;
    Ok(findings)
}

fn ensure(holds: bool, law: &str, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{law}: {what}")) }
}

fn count(world: &World) -> Findings {
    use chatcore::port::Runtime;
    let tally = world.store.tally();
    Findings {
        polls: world.sim.polls(),
        calls: world.net.counts(),
        crashes: world.crashes(),
        acks: world.acks().len() as u64,
        taken: [tally.resumed, tally.repeated, tally.closed],
        late: tally.late,
        overdue: tally.overdue,
        elapsed: world.sim.runtime(0).elapsed(),
        statuses: [0; 4],
    }
}

/// I3: each session's events by their first occurrence, which has to be in order.
fn firsts(events: &[Event]) -> Result<BTreeMap<SessionId, Vec<Event>>, String> {
    let mut first: BTreeMap<SessionId, Vec<Event>> = BTreeMap::new();
    for event in events {
        let seen = first.entry(event.session).or_default();
        match seen.iter().find(|old| old.seq == event.seq) {
            Some(old) => ensure(old == event, "I3", "two events of one place")?,
            None => {
                ensure(event.seq == seen.len() as u64 + 1, "I3", "a gap or a wrong order on the bus")?;
                seen.push(event.clone());
            }
        }
    }
    Ok(first)
}

/// I1, I2, I5: question and answer in turn, no gap, growing fences, one attempt's words in each answer.
fn history(messages: &[Message], fences: &[Fence], findings: &mut Findings) -> Result<(), String> {
    for (index, message) in messages.iter().enumerate() {
        ensure(message.seq == index as u64 + 1, "I2", "seq has a gap")?;
        let role = if index % 2 == 0 { Role::User } else { Role::Assistant };
        ensure(message.role == role, "I1", "question and answer do not alternate")?;
        if role == Role::Assistant {
            let question = &messages[index - 1];
            ensure(
                message.reply_to == Some(question.seq) && message.turn == question.turn,
                "I2",
                "an answer names another question",
            )?;
            ensure(one_attempt(&message.content), "I5", "an answer mixes two attempts")?;
            findings.statuses[place(message.status)?] += 1;
        }
    }
    ensure(fences.is_sorted_by(|a, b| a < b), "I5", "fences do not grow")?;
    ensure(messages.len().is_multiple_of(2), "I4", "a question without an answer")
}

fn place(status: Status) -> Result<usize, String> {
    match status {
        Status::Completed => Ok(0),
        Status::Fallback => Ok(1),
        Status::Failed => Ok(2),
        Status::Cancelled => Ok(3),
        Status::Accepted => Err("I1: an answer that is none".into()),
    }
}

/// Words are `<call>:<number>`, counted from 1.
fn one_attempt(content: &str) -> bool {
    if !content.contains(':') {
        return true;
    }
    let words: Vec<_> = content.split_whitespace().filter_map(|word| word.split_once(':')).collect();
    words.iter().enumerate().all(|(index, (call, number))| *call == words[0].0 && *number == format!("{}é", index + 1))
}

/// I3: every message has its event.
fn announced(messages: &[Message], bus: &[Event]) -> Result<(), String> {
    ensure(messages.len() == bus.len(), "I3", "a message without its event, or an event without its message")?;
    let same = messages.iter().zip(bus).all(|(message, event)| event.message() == Some(message));
    ensure(same, "I3", "an event tells of another message")
}

/// I1, I9: what was acknowledged stands in history, once.
fn acknowledged(world: &World, session: SessionId) -> Result<(), String> {
    let dump = world.store.dump();
    let Some(messages) = dump.iter().find(|row| row.session == session).and_then(|row| row.messages.as_ref()) else {
        return Ok(());
    };
    ensure(!world.deleted().contains(&session), "I5", "a deleted session came back")?;
    for ack in world.acks().iter().filter(|ack| ack.session == session) {
        let questions: Vec<_> = messages.iter().filter(|message| message.content == ack.text).collect();
        ensure(questions.len() == 1, "I1", "a key has not exactly one question")?;
        let answers: Vec<_> = messages.iter().filter(|message| message.reply_to == Some(questions[0].seq)).collect();
        ensure(answers.len() == 1, "I1", "a key has not exactly one answer")?;
        ensure(*answers[0] == ack.answer, "I9", "the acknowledged answer is not the stored one")?;
    }
    Ok(())
}

/// I5: a key opens one session, though it be deleted.
fn one_session(world: &World) -> Result<(), String> {
    let mut sessions = BTreeMap::new();
    let one = world.acks().into_iter().all(|ack| *sessions.entry(ack.key).or_insert(ack.session) == ack.session);
    ensure(one, "I5", "a key opened two sessions")
}

/// I3: consumers saw each event at least once, first occurrences in order.
fn handled(world: &World, events: &BTreeMap<SessionId, Vec<Event>>) -> Result<(), String> {
    let handled = firsts(&world.handled()).map_err(|error| format!("consumer: {error}"))?;
    let all =
        events.iter().all(|(session, events)| handled.get(session).is_some_and(|seen| seen.len() == events.len()));
    ensure(all, "I3", "a consumer missed an event")
}

/// No owner started more questions than the quota in any window, wherever they were asked.
fn quota(events: &BTreeMap<SessionId, Vec<Event>>) -> Result<(), String> {
    let mut starts: BTreeMap<&Owner, Vec<OffsetDateTime>> = BTreeMap::new();
    for event in events.values().flatten() {
        if let EventBody::ChatRequested(question) = &event.body {
            starts.entry(&event.owner).or_default().push(question.at);
        }
    }
    starts.values_mut().for_each(|times| times.sort());
    let kept = |times: &Vec<OffsetDateTime>| {
        let beyond = times.iter().zip(times.iter().skip(QUOTA.limit as usize));
        beyond.into_iter().all(|(first, beyond)| *beyond - *first >= QUOTA.window)
    };
    ensure(starts.values().all(kept), "quota", "an owner started more questions than the quota allows")
}

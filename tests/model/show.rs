//! What was done and answered, to be read by people: short names instead of ids.

use crate::call::Call;
use crate::reply::Reply;
use chatcore::id::{Fence, SessionId};
use chatcore::turn::{Began, Cursor, NewTurn, Started, Target, Turn, TurnId};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Which of the answers that matter were given.
pub(crate) type Seen = BTreeSet<&'static str>;

/// Answers that a sequence ought to come to, and parts of them.
pub(crate) const ANSWERS: [&str; 37] = [
    "resumed: true",
    "resumed: false",
    "left: Some",
    "Attached",
    "Replayed",
    "Busy",
    "KeyReused",
    "Refused(NotFound",
    "Refused(NotYours",
    "SessionFull",
    "TooManySessions",
    "Throttled",
    "Overloaded",
    "Held",
    "StopRequested",
    "Extended(Fenced",
    "Extended(Gone",
    "Stored",
    "Finished(Fenced",
    "Finished(Gone",
    "Stopping(Requested",
    "Stopping(Ended",
    "restarted: true",
    "restarted: false",
    "end: Some",
    "end: None",
    "open: Some",
    "open: None",
    "Messages([])",
    "Messages([M",
    "rest: Nothing",
    "rest: NoRoom",
    "Denied(\"not found",
    "Denied(\"access denied",
    "Count(2)",
    "Done",
    "Sessions([])",
];

/// A call was refused for a moment, and made again.
pub(crate) const REFUSED: &str = "refused for now";

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Show {
    /// What was answered.
    pub(crate) seen: Seen,
    lines: Vec<String>,
    sessions: Vec<SessionId>,
    /// Looks at the end are many, and equal but for the last.
    quiet: bool,
}

impl Show {
    pub(crate) fn note(&mut self, what: &str) {
        self.lines.push(what.to_owned());
    }

    /// From now on only a difference is kept.
    pub(crate) fn hush(&mut self) {
        self.quiet = true;
    }

    pub(crate) fn step(&mut self, call: &Call, reply: &Reply) {
        if let Reply::Began(Began::Started(Started { turn, .. })) = reply
            && !self.sessions.contains(&turn.id.session)
        {
            self.sessions.push(turn.id.session);
        }
        if !self.quiet {
            let answer = format!("{reply:?}");
            self.seen.extend(ANSWERS.iter().filter(|part| answer.contains(**part)));
            self.lines.push(format!("{} -> {answer}", told(call)));
        }
    }

    /// All steps, and the one that differs.
    pub(crate) fn difference(&self, call: &Call, ours: &Reply, theirs: &Reply) -> String {
        let answers = format!("then {}\n     model:   {ours:?}\n     subject: {theirs:?}", told(call));
        self.shorten(format!("{}{answers}", self.steps()))
    }

    /// All steps, and what was found to be wrong after them.
    pub(crate) fn fault(&self, fault: &str) -> String {
        self.shorten(format!("{}{fault}", self.steps()))
    }

    fn steps(&self) -> String {
        let mut text = String::new();
        for (number, line) in (1..).zip(&self.lines) {
            let _ = writeln!(text, "{number:3}. {line}");
        }
        text
    }

    /// Sessions are s1, s2 and so on, messages and attempts by their number.
    fn shorten(&self, text: String) -> String {
        let short = (1..).zip(&self.sessions);
        let text = short.fold(text, |text, (number, id)| text.replace(&id.to_string(), &format!("s{number}")));
        text.replace("00000000-0000-7000-8000-00000000", "#")
    }
}

/// A call in one line.
fn told(call: &Call) -> String {
    match call {
        Call::Begin(new) => begin(new),
        Call::Extend(turn, piece, lease) => {
            format!("extend {} at {} with {:?} for {lease:?}", right(turn), piece.offset, piece.text)
        }
        Call::Finish(turn, answer) => format!("finish {} {} {:?}", right(turn), answer.status, answer.content),
        Call::Stop(owner, turn) => format!("{owner} stops {}", named(turn)),
        Call::Follow(owner, Cursor { turn, from }) => {
            let Fence(fence) = from.fence;
            format!("{owner} follows {} from fence {fence} byte {}", named(turn), from.offset)
        }
        Call::Session(owner, session) => format!("{owner} looks at {session}"),
        Call::Sessions(owner, limit) => format!("{owner} lists sessions by {limit}"),
        Call::Messages(owner, session, page) => {
            format!("{owner} reads {session} before {:?}, {}", page.before, page.limit)
        }
        Call::Delete(owner, session) => format!("{owner} deletes {session}"),
        Call::Adopt(guest, user) => format!("user:{user} adopts guest:{guest}"),
        Call::CloseOrphans(grace, max) => format!("close at most {max} orphans after {grace:?}"),
        Call::Claim => "claim all events".into(),
        Call::Settle(events, settled) => {
            let events: Vec<String> = events.iter().map(|(session, seq)| format!("{session}-{seq}")).collect();
            format!("settle [{}] as {settled:?}", events.join(" "))
        }
    }
}

fn begin(new: &NewTurn) -> String {
    let NewTurn { owner, key, body_hash, attempt, message, lease, ttl, quota, window, .. } = new;
    let place = match new.target {
        Target::New => "a new session".into(),
        Target::Existing(session) => session.to_string(),
    };
    let quota = quota.map_or("no quota".into(), |quota| format!("quota {}/{:?}", quota.limit, quota.window));
    format!(
        "{owner} asks in {place}, key {key} body {body_hash} attempt {attempt} message {message} \
         lease {lease:?} ttl {ttl:?} window {window} {quota}"
    )
}

fn named(turn: &TurnId) -> String {
    format!("{}/{}", turn.session, turn.message)
}

fn right(turn: &Turn) -> String {
    format!("{} fence {}", named(&turn.id), turn.fence.0)
}

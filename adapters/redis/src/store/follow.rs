//! `follow` and `newer`: what comes after a reader's place, as soon as there is any.
//!
//! A reader who finds nothing new listens on the session's channel, and then looks again with a mark in the session's hash
//! that says until when it listens. Whoever writes afterwards sees the mark and tells of it; whoever wrote before is seen by
//! that look. So what is behind the place where a look ended is told as well, and a reader that comes back to it soon waits for
//! that first. Live text is told as it is, so no look is needed for a piece of it: only to set the mark again before it is over.
//! Where nobody follows there is no mark, and nothing is told.

use super::told::{self, Piece};
use super::write::denial;
use super::{Access, countable, script};
use crate::Redis;
use crate::hub::Listening;
use crate::known::{Place, Seen};
use crate::record::{message_of, messages_of};
use crate::script::Script;
use crate::value::{Read, fixed, micros, number, text};
use chatcore::error::AccessError;
use chatcore::id::{Fence, SessionId};
use chatcore::message::{Message, NewerPage};
use chatcore::owner::Owner;
use chatcore::turn::{Cursor, Followed, Position};
use deadpool_redis::redis::Value;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

static FOLLOW: Script = script!("follow");
static NEWER: Script = script!("newer");

/// How much longer than the reader waits its mark stays, since its next call comes soon.
const LINGER: Duration = Duration::from_secs(2);

impl Redis {
    pub(super) async fn follow_turn(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Access<Followed> {
        let reader = TurnReader { redis: self, owner, cursor };
        self.news(&cursor.turn.session, wait, &reader).await
    }

    pub(super) async fn newer_messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Access<Vec<Message>> {
        self.news(session, wait, &SessionReader { redis: self, owner, session, page }).await
    }

    /// Looks until there is news, or until the time is over; what it saw last.
    async fn news<R: Reader>(&self, session: &SessionId, wait: Duration, reader: &R) -> Access<R::Found> {
        let end = self.inner.runtime.elapsed() + wait;
        if wait.is_zero() {
            return reader.look(wait).await;
        }
        let listening = self.inner.hub.listen(self.inner.keys.session_channel(session));
        let mut heard = match listening.heard() {
            Some(heard) => heard,
            None => {
                let found = reader.look(Duration::ZERO).await?;
                if R::is_news(&found) {
                    return Ok(found);
                }
                let Some(heard) = self.until(end, listening.ready()).await? else { return Ok(found) };
                heard
            }
        };
        let known = listening.known().of(&reader.place());
        if let Some(seen) = known {
            match self.told(&listening, reader, seen, end).await? {
                Told::News(found) => return Ok(found),
                Told::More(more) => heard = more,
                Told::Over => {}
            }
        }
        loop {
            let seen = Seen { heard, until: self.inner.runtime.elapsed() + wait };
            let found = reader.look(wait + LINGER).await?;
            if let Some(place) = reader.last_place(&found) {
                listening.known().note(place, seen);
            }
            if R::is_news(&found) {
                return Ok(found);
            }
            match self.told(&listening, reader, seen, end).await? {
                Told::News(found) => return Ok(found),
                Told::More(more) => heard = more,
                Told::Over => return Ok(found),
            }
        }
    }

    /// Waits for what is told behind the reader's place.
    async fn told<R: Reader>(
        &self,
        listening: &Listening,
        reader: &R,
        mut seen: Seen,
        end: Duration,
    ) -> Read<Told<R::Found>> {
        loop {
            let Some(more) = self.until(end.min(seen.until), listening.more(seen.heard)).await? else {
                return Ok(Told::Over);
            };
            let Some((heard, messages)) = listening.since(seen.heard) else { return Ok(Told::More(more)) };
            seen.heard = heard;
            let pieces: Option<Vec<Piece<'_>>> = messages.iter().map(|message| told::piece(message)).collect();
            match pieces.map(|pieces| reader.told(&pieces)) {
                Some(Heard::News(found, place)) => {
                    listening.known().note(place, seen);
                    return Ok(Told::News(found));
                }
                Some(Heard::Nothing) => listening.known().note(reader.place(), seen),
                Some(Heard::Unclear) | None => return Ok(Told::More(heard)),
            }
        }
    }

    /// What the server tells, or nothing when the time is over.
    async fn until(&self, end: Duration, told: impl Future<Output = Read<u64>>) -> Read<Option<u64>> {
        let left = end.saturating_sub(self.inner.runtime.elapsed());
        match select(pin!(told), self.inner.runtime.sleep(left)).await {
            Either::Left((told, _)) => told.map(Some),
            Either::Right(_) => Ok(None),
        }
    }
}

/// What became of a wait.
enum Told<F> {
    News(F),
    /// There is more to look for; so much was heard.
    More(u64),
    /// The time was over, or the server's to tell.
    Over,
}

/// What live text is to a reader.
enum Heard<F> {
    /// What it waits for, and where it stands with it.
    News(F, Place),
    Nothing,
    /// It has to look.
    Unclear,
}

/// Somebody who reads a session.
trait Reader {
    type Found;

    /// What there is behind its place. The server is told how long it listens.
    async fn look(&self, listens: Duration) -> Access<Self::Found>;

    fn is_news(found: &Self::Found) -> bool;

    /// Where it stands.
    fn place(&self) -> Place;

    /// Where it stands with what it found, if there is nothing more.
    fn last_place(&self, found: &Self::Found) -> Option<Place>;

    /// What it makes of these pieces, which came after one another while it stood at its place.
    fn told(&self, pieces: &[Piece<'_>]) -> Heard<Self::Found>;
}

struct TurnReader<'a> {
    redis: &'a Redis,
    owner: &'a Owner,
    cursor: &'a Cursor,
}

impl TurnReader<'_> {
    fn at(&self, position: Position) -> Place {
        let attempt = Some((self.cursor.turn.message, position.fence));
        Place { owner: self.owner.clone(), attempt, after: position.offset as u64 }
    }
}

impl Reader for TurnReader<'_> {
    type Found = Followed;

    async fn look(&self, listens: Duration) -> Access<Followed> {
        let Cursor { turn, from } = self.cursor;
        let call = self
            .redis
            .at_session(&turn.session, &FOLLOW, "smil", &[])
            .arg(self.owner.to_string())
            .arg(&[turn.session.to_string(), turn.message.to_string()])
            .arg(turn.message.as_uuid().as_bytes().as_slice())
            .arg(from.fence.0)
            .arg(from.offset)
            .arg(micros(listens));
        let (word, rest) = self.redis.say(&call).await?;
        match word.as_str() {
            "OPEN" => Ok(open(*from, rest)?),
            "ENDED" => ended(*from, rest),
            denied => Err(denial(denied)),
        }
    }

    fn is_news(found: &Followed) -> bool {
        found.restarted || !found.text.is_empty() || found.end.is_some()
    }

    fn place(&self) -> Place {
        self.at(self.cursor.from)
    }

    fn last_place(&self, found: &Followed) -> Option<Place> {
        found.end.is_none().then(|| self.at(found.to))
    }

    fn told(&self, pieces: &[Piece<'_>]) -> Heard<Followed> {
        match told::followed(pieces, self.owner, self.cursor) {
            Some(found) if found.text.is_empty() => Heard::Nothing,
            Some(found) => {
                let place = self.at(found.to);
                Heard::News(found, place)
            }
            None => Heard::Unclear,
        }
    }
}

struct SessionReader<'a> {
    redis: &'a Redis,
    owner: &'a Owner,
    session: &'a SessionId,
    page: &'a NewerPage,
}

impl SessionReader<'_> {
    fn at(&self, after: u64) -> Place {
        Place { owner: self.owner.clone(), attempt: None, after }
    }
}

impl Reader for SessionReader<'_> {
    type Found = Vec<Message>;

    async fn look(&self, listens: Duration) -> Access<Vec<Message>> {
        let call = self
            .redis
            .at_session(self.session, &NEWER, "sm", &[])
            .arg(self.owner.to_string())
            .arg(self.session.to_string())
            .arg(countable(self.page.after))
            .arg(countable(self.page.limit as u64))
            .arg(micros(listens));
        let [records] = self.redis.found(&call).await?;
        Ok(messages_of(records)?)
    }

    fn is_news(found: &Vec<Message>) -> bool {
        !found.is_empty()
    }

    fn place(&self) -> Place {
        self.at(self.page.after)
    }

    fn last_place(&self, found: &Vec<Message>) -> Option<Place> {
        let after = found.last().map_or(self.page.after, |last| last.seq);
        (found.len() < self.page.limit).then(|| self.at(after))
    }

    /// Live text is no message.
    fn told(&self, _: &[Piece<'_>]) -> Heard<Vec<Message>> {
        Heard::Nothing
    }
}

/// Without an offset the reader is ahead, and stands where it stood.
fn open(from: Position, rest: Vec<Value>) -> Read<Followed> {
    let [seq, fence, offset, restarted, new] = fixed(Value::Array(rest))?;
    let offset = if offset == Value::Nil { from.offset } else { number(offset)? };
    let to = Position { fence: Fence(number(fence)?), offset };
    Ok(Followed { seq: number(seq)?, restarted: number::<u8>(restarted)? == 1, text: text(new)?, to, end: None })
}

/// Of an answer everything after the position, or all of it where the position is not in it.
fn ended(from: Position, rest: Vec<Value>) -> Access<Followed> {
    let [seq, answer] = fixed(Value::Array(rest))?;
    if answer == Value::Nil {
        return Err(AccessError::NotFound);
    }
    let (message, fence) = message_of(answer)?;
    let rest = message.content.get(from.offset..).filter(|_| from.fence == fence);
    let restarted = rest.is_none() && from != Position::default();
    let text = rest.unwrap_or(&message.content).to_owned();
    let to = Position { fence, offset: message.content.len() };
    Ok(Followed { seq: number(seq)?, restarted, text, to, end: Some(Box::new(message)) })
}

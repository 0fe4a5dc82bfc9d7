//! `follow` and `newer`: what comes after a reader's place, as soon as there is any.
//!
//! A reader who finds nothing new listens on the session's channel, and then looks again with a mark in the session's hash
//! that says until when it listens. Whoever writes afterwards sees the mark and tells of it; whoever wrote before is seen by
//! that look. Where nobody follows there is no mark, and nothing is told.

use super::write::denial;
use super::{Access, countable, script};
use crate::Redis;
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
        self.news(&cursor.turn.session, wait, |listens| self.look_after(owner, cursor, listens), is_news).await
    }

    pub(super) async fn newer_messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Access<Vec<Message>> {
        let look = |listens| self.look_behind(owner, session, page, listens);
        self.news(session, wait, look, |messages| !messages.is_empty()).await
    }

    /// Looks until there is news, or until the time is over; what it saw last. `look` is told how long the reader listens.
    async fn news<T, F: Future<Output = Access<T>>>(
        &self,
        session: &SessionId,
        wait: Duration,
        look: impl Fn(Duration) -> F,
        is_news: impl Fn(&T) -> bool,
    ) -> Access<T> {
        let end = self.inner.runtime.elapsed() + wait;
        let found = look(Duration::ZERO).await?;
        if is_news(&found) || wait.is_zero() {
            return Ok(found);
        }
        let listening = self.inner.hub.listen(self.inner.keys.session_channel(session));
        let Some(mut heard) = self.until(end, listening.ready()).await? else { return Ok(found) };
        loop {
            let left = end.saturating_sub(self.inner.runtime.elapsed());
            let found = look(left + LINGER).await?;
            if is_news(&found) {
                return Ok(found);
            }
            match self.until(end, listening.more(heard)).await? {
                Some(more) => heard = more,
                None => return Ok(found),
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

    async fn look_behind(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        listens: Duration,
    ) -> Access<Vec<Message>> {
        let call = self
            .at_session(session, &NEWER, "sm", &[])
            .arg(owner.to_string())
            .arg(session.to_string())
            .arg(countable(page.after))
            .arg(countable(page.limit as u64))
            .arg(micros(listens));
        let [records] = self.found(&call).await?;
        Ok(messages_of(records)?)
    }

    async fn look_after(&self, owner: &Owner, cursor: &Cursor, listens: Duration) -> Access<Followed> {
        let Cursor { turn, from } = cursor;
        let call = self
            .at_session(&turn.session, &FOLLOW, "smil", &[])
            .arg(owner.to_string())
            .arg(&[turn.session.to_string(), turn.message.to_string()])
            .arg(turn.message.as_uuid().as_bytes().as_slice())
            .arg(from.fence.0)
            .arg(from.offset)
            .arg(micros(listens));
        let (word, rest) = self.say(&call).await?;
        match word.as_str() {
            "OPEN" => Ok(open(rest)?),
            "ENDED" => ended(*from, rest),
            denied => Err(denial(denied)),
        }
    }
}

fn is_news(found: &Followed) -> bool {
    found.restarted || !found.text.is_empty() || found.end.is_some()
}

fn open(rest: Vec<Value>) -> Read<Followed> {
    let [seq, fence, offset, restarted, new] = fixed(Value::Array(rest))?;
    let to = Position { fence: Fence(number(fence)?), offset: number(offset)? };
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

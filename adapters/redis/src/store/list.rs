//! Sessions and histories, looked at.

use super::write::denial;
use super::{Access, countable, script};
use crate::Redis;
use crate::keys::Partition;
use crate::record::messages_of;
use crate::script::{Call, Script};
use crate::value::{Read, fixed, items, number, parsed, text};
use chatcore::id::SessionId;
use chatcore::message::{Message, MessagesPage};
use chatcore::owner::Owner;
use chatcore::session::{Session, SessionsCursor, SessionsPage};
use chatcore::stamp::{from_micros, micros};
use deadpool_redis::redis::Value;
use std::cmp::Reverse;

static SESSION: Script = script!("session");
static LIST: Script = script!("list");

impl Redis {
    pub(super) async fn one_session(&self, owner: &Owner, session: &SessionId) -> Access<Session> {
        let call = self.look_at(owner, session).arg("").arg(0);
        let [row, _] = self.found(&call).await?;
        Ok(shown(owner, row)?)
    }

    pub(super) async fn page_of_messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Access<Vec<Message>> {
        let before = page.before.map(|seq| seq.to_string()).unwrap_or_default();
        let [_, records] = self.found(&self.look_at(owner, session).arg(before).arg(page.limit)).await?;
        Ok(messages_of(records)?)
    }

    fn look_at(&self, owner: &Owner, session: &SessionId) -> Call {
        self.at_session(session, &SESSION, "sm", &[]).arg(owner.to_string()).arg(session.to_string())
    }

    pub(super) async fn found<const N: usize>(&self, call: &Call) -> Access<[Value; N]> {
        match self.say(call).await? {
            (word, rest) if word == "FOUND" => Ok(fixed(Value::Array(rest))?),
            (denied, _) => Err(denial(&denied)),
        }
    }

    /// The home of the owner tells where else sessions are: those that were adopted. Each place gives its newest ones, and
    /// the newest of all are the page.
    pub(super) async fn list_sessions(&self, owner: &Owner, page: &SessionsPage) -> Read<Vec<Session>> {
        if page.limit == 0 {
            return Ok(Vec::new());
        }
        let home = self.inner.keys.home(owner);
        let [rows, places] = page_in(self.say(&self.list_in(home, owner, page)).await?.1)?;
        let mut sessions = rows_of(owner, rows)?;
        let elsewhere: Vec<Call> = partitions(places)?
            .into_iter()
            .filter(|place| *place != home)
            .map(|place| self.list_in(place, owner, page))
            .collect();
        for answer in self.inner.client.call_all(&elsewhere).await {
            let [_, rows, _] = fixed(answer?)?;
            sessions.extend(rows_of(owner, rows)?);
        }
        sessions.sort_by_key(|session| Reverse((session.last_activity, session.id)));
        sessions.truncate(page.limit);
        Ok(sessions)
    }

    fn list_in(&self, partition: Partition, owner: &Owner, page: &SessionsPage) -> Call {
        let (last, id) = match page.after {
            None => ("+inf".to_owned(), String::new()),
            Some(SessionsCursor { last_activity, session }) => (micros(last_activity).to_string(), session.to_string()),
        };
        self.at(partition, &LIST, &[format!("u:{owner}"), format!("e:{owner}")])
            .at_rest()
            .arg(owner.to_string())
            .arg(countable(page.limit as u64))
            .arg(last)
            .arg(id)
    }
}

fn page_in(rest: Vec<Value>) -> Read<[Value; 2]> {
    fixed(Value::Array(rest))
}

/// The numbers of slots among the fields of the list of other slots.
pub(super) fn partitions(fields: Value) -> Read<Vec<Partition>> {
    let names = items(fields)?.into_iter().map(text).collect::<Read<Vec<_>>>()?;
    Ok(names.iter().filter_map(|name| name.parse().ok().map(Partition)).collect())
}

fn rows_of(owner: &Owner, rows: Value) -> Read<Vec<Session>> {
    items(rows)?.into_iter().map(|row| shown(owner, row)).collect()
}

fn shown(owner: &Owner, row: Value) -> Read<Session> {
    let [id, last_activity, created_at, message_count, open] = fixed(row)?;
    let open = Some(text(open)?).filter(|open| !open.is_empty());
    Ok(Session {
        id: parsed(id)?,
        owner: owner.clone(),
        created_at: from_micros(number(created_at)?),
        last_activity: from_micros(number(last_activity)?),
        message_count: number(message_count)?,
        open: open.map(|open| parsed(Value::SimpleString(open))).transpose()?,
    })
}

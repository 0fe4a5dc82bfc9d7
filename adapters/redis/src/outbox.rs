//! The `Outbox`: one stream in each partition, as the relay sees them.
//!
//! A session's events are all in one partition, so the order of each stream is the order of its sessions. A claim takes a
//! run from the head of each stream that is no other relay's now (`lease`); what is settled is taken out, and not before.

mod lease;

pub(crate) use lease::Leases;

use crate::Redis;
use crate::event::Entry as Record;
use crate::keys::Partition;
use crate::letters::{MOST_AT_ONCE, RELAY};
use crate::script::{Call, Script};
use crate::value::{Read, number, some};
use crate::wakes::{LOOK, Wakes};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Backlog, CLAIM_BYTES, Claimed, Entry, EntryId, Mark, Outbox, Settled};
use deadpool_redis::redis::cmd;
use futures_util::future::{Either, join_all, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often it is looked what was written behind what is left.
const LOOK_BEHIND: Duration = Duration::from_millis(100);

/// An entry's id in each partition of which some were seen.
type Places = BTreeMap<Partition, String>;

static SETTLE: Script = Script::with(include_str!("lua/settle.lua"), include_str!("lua/bus/park.lua"));
static OLDEST: Script = Script::new(include_str!("lua/oldest.lua"));

#[async_trait]
impl Outbox for Redis {
    async fn claim_behind(&self, mark: &Mark, max: usize, wait: Duration) -> Result<Claimed, BackendError> {
        let places = self.places(mark);
        // Nobody is told of what is written behind something.
        let look = if places.is_empty() { LOOK } else { LOOK_BEHIND };
        let now = || self.inner.runtime.elapsed();
        let end = now().saturating_add(wait);
        let (mut wakes, mut news, mut looked) = (None, None, now());
        loop {
            let heard = self.leaving().heard();
            let at = news.take().filter(|_| now() < looked + look).unwrap_or_else(|| {
                looked = now();
                self.inner.keys.partitions().collect()
            });
            let claimed = self.oldest(at, &places, max).await?;
            let left = end.saturating_sub(now());
            if !claimed.entries.is_empty() || left.is_zero() {
                return Ok(claimed);
            }
            // Whoever finds something at once listens to nothing.
            let wakes = wakes.get_or_insert_with(|| Wakes::new(self));
            let pause = left.min((looked + look).saturating_sub(now()));
            news = match select(pin!(self.places_of_news(wakes, heard)), self.inner.runtime.sleep(pause)).await {
                Either::Left((Ok(at), _)) => Some(at),
                Either::Left((Err(_), _)) => {
                    self.inner.runtime.sleep(pause).await;
                    None
                }
                Either::Right(_) => None,
            };
        }
    }

    async fn settle(&self, entries: &[(EntryId, Settled)]) -> Result<(), BackendError> {
        let mut places: BTreeMap<Partition, Vec<(&str, &str)>> = BTreeMap::new();
        for (id, settled) in entries {
            let Some((partition, id)) = self.place(id) else { continue };
            let reason = match settled {
                Settled::Published => "",
                Settled::Refused(reason) if reason.is_empty() => "refused",
                Settled::Refused(reason) => reason,
            };
            places.entry(partition).or_default().push((id, reason));
        }
        let chunks = places.iter().flat_map(|(partition, of)| of.chunks(MOST_AT_ONCE).map(|chunk| (*partition, chunk)));
        let calls: Vec<Call> = chunks.map(|(partition, chunk)| self.settling(partition, chunk)).collect();
        self.inner.client.call_all(&calls).await.into_iter().try_for_each(|settled| settled.map(drop))
    }

    async fn backlog(&self) -> Result<Backlog, BackendError> {
        let lengths = self.lengths(self.inner.keys.partitions()).await?;
        let heads =
            lengths.iter().filter(|(_, length)| *length > 0).map(|(partition, _)| self.run(*partition, None, 1, 1));
        let heads = some(join_all(heads).await)?;
        let oldest = heads.iter().flat_map(|(_, head)| head).filter_map(|head| head.at().ok()).min();
        Ok(Backlog { events: lengths.iter().map(|(_, length)| length).sum(), oldest })
    }

    async fn keep(&self) -> Result<(), BackendError> {
        self.hold_on().await
    }

    async fn leave(&self) -> Result<(), BackendError> {
        self.give_back().await
    }
}

impl Redis {
    /// How many events a partition's log may hold, and how many dead letters lie there.
    pub(crate) fn most_events(&self) -> u64 {
        self.outbox_share().max(1)
    }

    /// Where there may be something to claim, once there may: what is another's is none of this relay's business, until so much
    /// more is heard of those who leave.
    async fn places_of_news(&self, wakes: &mut Wakes, heard: Option<u64>) -> Read<Vec<Partition>> {
        let left = self.leaving().more(heard.unwrap_or_default());
        let own = async {
            loop {
                let mut news = wakes.next().await?;
                news.retain(|partition| !self.is_anothers(*partition));
                if !news.is_empty() {
                    return Ok(news);
                }
            }
        };
        match select(pin!(own), pin!(left)).await {
            Either::Left((news, _)) => news,
            Either::Right((left, _)) => left.map(|_| self.inner.keys.partitions().collect()),
        }
    }

    /// The oldest entries behind those, in these partitions; of each that has some, and is no other relay's, a fair share.
    async fn oldest(&self, at: Vec<Partition>, behind: &Places, max: usize) -> Result<Claimed, BackendError> {
        let own = at.into_iter().filter(|partition| !self.is_anothers(*partition));
        let lengths = self.lengths(own).await?;
        let hold = async |(partition, length)| Ok(self.hold(partition).await?.then_some((partition, length)));
        let held = lengths.into_iter().filter(|(_, length)| *length > 0).map(hold);
        let mut lengths: Vec<_> = some(join_all(held).await)?.into_iter().flatten().collect();
        // Where not all can have a share, each has its turn.
        let turn = self.inner.turn.fetch_add(1, Ordering::Relaxed) % lengths.len().max(1);
        lengths.rotate_left(turn);
        let shares = shares(max as u64, &lengths);
        let bytes = CLAIM_BYTES / shares.len().max(1);
        let heads = shares.iter().map(|(partition, share)| self.run(*partition, behind.get(partition), *share, bytes));
        let heads = some(join_all(heads).await)?;
        let (mut entries, mut unreadable, mut ends) = (Vec::new(), Vec::new(), behind.clone());
        for (partition, head) in heads {
            ends.extend(head.last().map(|last| (partition, last.id.clone())));
            for record in head {
                let id = EntryId(format!("{}/{}", partition.0, record.id));
                match record.event() {
                    Ok(event) => entries.push(Entry { id, event }),
                    Err(reason) => unreadable.push((id, Settled::Refused(reason.to_string()))),
                }
            }
        }
        // A record of a newer build holds up nothing behind it.
        if !unreadable.is_empty() {
            self.settle(&unreadable).await?;
        }
        let ends: Vec<String> = ends.into_iter().map(|(partition, id)| format!("{}/{id}", partition.0)).collect();
        Ok(Claimed { entries, end: Mark(ends.join(" ")) })
    }

    /// How many entries each of these has.
    async fn lengths(&self, of: impl Iterator<Item = Partition>) -> Read<Vec<(Partition, u64)>> {
        let length = async |partition| {
            let length = self.inner.client.command(cmd("XLEN").arg(self.inner.keys.outbox(partition))).await?;
            Ok((partition, number(length)?))
        };
        some(join_all(of.map(length)).await)
    }

    /// The first entries of a partition behind this one, or of all, up to that with which there are so many bytes.
    async fn run(
        &self,
        partition: Partition,
        behind: Option<&String>,
        count: u64,
        bytes: usize,
    ) -> Read<(Partition, Vec<Record>)> {
        let from = behind.map_or("-".to_owned(), |id| format!("({id}"));
        let oldest = OLDEST.on(&[self.inner.keys.outbox(partition)]).arg(from).arg(count).arg(bytes);
        Ok((partition, Record::read_all(self.inner.client.call(&oldest).await?)?))
    }

    fn settling(&self, partition: Partition, entries: &[(&str, &str)]) -> Call {
        let keys = &self.inner.keys;
        let call = SETTLE.on(&[keys.outbox(partition), keys.letters(partition)]);
        let call = call.arg(self.most_events()).arg(RELAY);
        entries.iter().fold(call, |call, (id, reason)| call.arg(*id).arg(*reason))
    }

    /// Reads a mark that a claim made.
    fn places(&self, mark: &Mark) -> Places {
        let ids = mark.0.split_whitespace().map(|id| EntryId(id.to_owned()));
        ids.filter_map(|id| self.place(&id).map(|(partition, id)| (partition, id.to_owned()))).collect()
    }

    /// Reads an id that a claim made; `None` for any other.
    fn place<'a>(&self, id: &'a EntryId) -> Option<(Partition, &'a str)> {
        let (partition, id) = id.0.split_once('/')?;
        let (ms, seq) = id.split_once('-')?;
        (ms.parse::<u64>().is_ok() && seq.parse::<u64>().is_ok()).then_some(())?;
        self.inner.keys.partition(partition).map(|partition| (partition, id))
    }
}

/// Who gets how many of `max`: all the same, and what one does not need goes to the others.
fn shares(max: u64, lengths: &[(Partition, u64)]) -> Vec<(Partition, u64)> {
    let mut shares: Vec<(Partition, u64)> = lengths.iter().map(|(partition, _)| (*partition, 0)).collect();
    let mut left = max;
    loop {
        let hungry = shares.iter().zip(lengths).filter(|(share, length)| share.1 < length.1).count() as u64;
        if left == 0 || hungry == 0 {
            break;
        }
        let each = (left / hungry).max(1);
        for ((_, share), (_, length)) in shares.iter_mut().zip(lengths) {
            let more = each.min(*length - *share).min(left);
            *share += more;
            left -= more;
        }
    }
    shares.retain(|(_, share)| *share > 0);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_partition_starves_no_other() {
        let lengths =
            |of: &[u64]| -> Vec<_> { of.iter().zip(0..).map(|(length, at)| (Partition(at), *length)).collect() };
        let given =
            |max, of: &[u64]| -> Vec<_> { shares(max, &lengths(of)).iter().map(|(at, n)| (at.0, *n)).collect() };
        assert_eq!(given(100, &[1_000_000, 3, 0, 40]), [(0, 57), (1, 3), (3, 40)]);
        assert_eq!(given(10, &[1_000_000, 3, 0, 40]), [(0, 4), (1, 3), (3, 3)]);
        assert_eq!(given(2, &[5, 5, 5]), [(0, 1), (1, 1)]);
        assert_eq!(given(100, &[0, 7]), [(1, 7)]);
        assert_eq!(given(0, &[7]), []);
    }
}

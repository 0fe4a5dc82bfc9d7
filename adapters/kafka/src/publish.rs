//! Publishing: in rounds, so that no event overtakes another of its session, and in batches that a broker takes.

use crate::Kafka;
use crate::error::Failed;
use crate::record;
use crate::topic::{Part, Topic};
use crate::topics::Counts;
use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::port::Published;
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So many bytes share a batch, before they are compressed. A partition has one batch under way, so it may be small: twice the batch of
/// a Java producer. Larger ones are slower where broker and relay are on one machine: the client writes a request of more than 8 kB
/// in two parts, and the system holds the second one back for 40 ms (Nagle's algorithm) where it is no full packet, of 64 kB there.
const BATCH_BYTES: usize = 32 * 1024;

/// How often it is tried to make a topic that could not be had, while events of others go out.
const AGAIN: Duration = Duration::from_secs(2);

/// What goes to each partition at once; events by their place in the call.
type Round = BTreeMap<Part, Vec<usize>>;

/// Publishes events: one result for each, in order. Without any it makes the topics that are missing, and fails where it cannot.
pub(crate) async fn publish(kafka: &Kafka, events: &[Event]) -> Result<Vec<Published>, BackendError> {
    if events.is_empty() {
        let all = kafka.inner.config.topics.of_events();
        return kafka.known(&all, AGAIN).await?.refusal(&all).map_or(Ok(Vec::new()), Err);
    }
    let topics: BTreeSet<Topic> = events.iter().map(Topic::of).collect();
    let needed: Vec<&str> = topics.into_iter().map(|topic| kafka.inner.config.topics.name(topic)).collect();
    let counts = kafka.known(&needed, AGAIN).await?;
    let result = |event| counts.part_of(event).map_or_else(Published::Later, |_| Published::Done);
    let results = events.iter().map(result).collect();
    let mut call = Call { kafka, events, results, failed: BTreeMap::new() };
    for round in rounds(events, &counts) {
        call.run(round).await;
    }
    if !call.failed.is_empty() {
        kafka.forget_topics();
    }
    Ok(call.results)
}

/// An event whose topic cannot be had is in none. An event whose predecessor goes to another topic waits for a later round, until that one is acknowledged.
fn rounds(events: &[Event], counts: &Counts) -> Vec<Round> {
    let mut last: BTreeMap<SessionId, (usize, Part)> = BTreeMap::new();
    let mut rounds: Vec<Round> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let Ok(part) = counts.part_of(event) else { continue };
        let round = match last.get(&event.session) {
            Some((round, before)) if *before == part => *round,
            Some((round, _)) => round + 1,
            None => 0,
        };
        last.insert(event.session, (round, part));
        if rounds.len() == round {
            rounds.push(Round::new());
        }
        rounds[round].entry(part).or_default().push(index);
    }
    rounds
}

struct Call<'a> {
    kafka: &'a Kafka,
    events: &'a [Event],
    results: Vec<Published>,
    /// Partitions that failed: nothing more is tried there in this call, which so keeps its deadline.
    failed: BTreeMap<Part, BackendError>,
}

impl Call<'_> {
    async fn run(&mut self, round: Round) {
        let blocked = self.blocked();
        let mut sends = Vec::new();
        for (part, indexes) in round {
            let failed = self.failed.get(&part).cloned();
            let before = |index: usize| blocked.get(&self.events[index].session).filter(|(first, _)| *first < index);
            let mut open = Vec::new();
            for index in indexes {
                match failed.as_ref().or_else(|| before(index).map(|(_, error)| error)) {
                    Some(error) => self.results[index] = Published::Later(error.clone()),
                    None => open.push(index),
                }
            }
            if let Some(error) = open.first().and_then(|first| self.kafka.scout(part, &self.events[*first])) {
                open.drain(..).for_each(|index| self.results[index] = Published::Later(error.clone()));
                self.failed.insert(part, error);
            }
            sends.push(send(self.kafka, self.events, part, open));
        }
        for (part, results) in join_all(sends).await {
            for (index, result) in results {
                if let Published::Later(error) = &result {
                    self.failed.insert(part, error.clone());
                }
                self.results[index] = result;
            }
        }
    }

    /// Sessions of which an event failed, and which the first is.
    fn blocked(&self) -> BTreeMap<SessionId, (usize, BackendError)> {
        let failed = |(index, (event, result)): (usize, (&Event, &Published))| match result {
            Published::Later(error) => Some((event.session, (index, error.clone()))),
            _ => None,
        };
        // Of several the first is collected last.
        self.events.iter().zip(&self.results).enumerate().rev().filter_map(failed).collect()
    }
}

/// Sends events to a partition, one batch after the other. Once a batch fails, none behind it is sent. A batch that is too
/// large, or of which something is never taken, is halved until it is one record: that one is refused, and those behind it go on.
async fn send(kafka: &Kafka, events: &[Event], part: Part, open: Vec<usize>) -> (Part, Vec<(usize, Published)>) {
    let topic = kafka.inner.config.topics.name(part.topic);
    let mut batches = batches(events, open);
    let mut results = Vec::new();
    while let Some(batch) = batches.pop() {
        let records = || batch.iter().map(|index| record::of_event(&events[*index])).collect();
        let start = kafka.inner.runtime.elapsed();
        let result = match kafka.inner.link.append(topic, part.number, records).await {
            Ok(()) => Published::Done,
            Err(Failed::TooLarge | Failed::Invalid(_)) if batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                batches.extend([second.to_vec(), first.to_vec()]);
                continue;
            }
            Err(Failed::TooLarge) => Published::Refused(format!("larger than the topic {topic} takes")),
            Err(Failed::Invalid(why)) => Published::Refused(format!("never taken by the topic {topic}: {why}")),
            Err(failed) => Published::Later(failed.into()),
        };
        kafka.inner.refused.note_written(part.topic, &result, kafka.inner.runtime.elapsed());
        if let Published::Later(error) = &result {
            kafka.inner.slow.note(part, kafka.took_long(start).then(|| error.clone()));
        }
        let behind = matches!(result, Published::Later(_)).then(|| std::mem::take(&mut batches));
        let settled = batch.into_iter().chain(behind.into_iter().flatten().flatten());
        results.extend(settled.map(|index| (index, result.clone())));
    }
    (part, results)
}

/// The first batch is the last of the list.
fn batches(events: &[Event], open: Vec<usize>) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for index in open {
        let size = size(&events[index]);
        match batches.last_mut() {
            Some(batch) if bytes + size <= BATCH_BYTES => batch.push(index),
            _ => {
                batches.push(vec![index]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    batches.reverse();
    batches
}

/// About what the record takes.
fn size(event: &Event) -> usize {
    const FRAME: usize = 600;
    event.message().map_or(0, |message| message.content.len() + message.reply.products.as_json().len()) + FRAME
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::event::EventBody;
    use chatcore::id::UserId;
    use chatcore::message::Message;
    use chatcore::owner::Owner;
    use chatcore::stamp::from_micros;
    use uuid::Uuid;

    fn event(session: u128, seq: u64, asked: bool) -> Event {
        let (session, at) = (SessionId::from(Uuid::from_u128(session)), from_micros(0));
        let body = match asked {
            true => {
                let turn = Uuid::from_u128(1).into();
                EventBody::ChatRequested(Box::new(Message::question(turn, seq, "x".repeat(400_000), at)))
            }
            false => EventBody::SessionDeleted,
        };
        let owner = Owner::User(UserId::parse("ann").expect("a user id"));
        Event { session, owner, seq, at, request_id: None, body }
    }

    #[test]
    fn an_event_waits_for_those_of_its_session_in_other_topics_alone() {
        let counts = Counts::of_each(1);
        let events = [
            event(1, 1, true),
            event(1, 2, true),
            event(2, 1, true),
            event(1, 3, false),
            event(1, 4, true),
            event(2, 2, true),
        ];
        let rounds: Vec<Vec<Vec<usize>>> =
            rounds(&events, &counts).into_iter().map(|round| round.into_values().collect()).collect();
        assert_eq!(rounds, [vec![vec![0, 1, 2, 5]], vec![vec![3]], vec![vec![4]]]);
    }

    #[test]
    fn a_batch_has_so_many_bytes() {
        let large: Vec<Event> = (1..=3).map(|seq| event(1, seq, true)).collect();
        assert_eq!(batches(&large, vec![0, 1, 2]), [[2], [1], [0]], "the first is the last of the list");
        let small: Vec<Event> = (0..100).map(|seq| event(1, seq, false)).collect();
        let batches = batches(&small[..], (0..100).collect());
        assert_eq!(batches, [(54..100).collect::<Vec<_>>(), (0..54).collect()]);
    }
}

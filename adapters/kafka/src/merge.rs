//! The order between the topics of a session: the partitions of one number are merged by the time of their records.
//!
//! As long as something may still come from one of them, the others wait for it, for a second at most: a question is then
//! handed out before its answer also where a member reads old records. What bounds this is named in the README.

use crate::lanes::{Lanes, Tenure};
use crate::record::Fetched;
use crate::topic::{Part, Topic};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long a partition of which nothing comes is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes what may go on out of the queues, in order; and tells for which partitions the rest waits. Without a time nobody loses
/// patience: the brokers are asked before.
pub(crate) fn next(
    lanes: &mut Lanes,
    caught_up: &BTreeSet<Part>,
    now: Option<Duration>,
) -> (Vec<Arc<Fetched>>, Vec<Part>) {
    let Lanes { parts, waiting, .. } = lanes;
    // One of which something came is waited for anew.
    waiting.retain(|part, _| parts.get(part).is_some_and(|tenure| tenure.queue.is_empty()));
    let is_over = |since: &Duration| now.is_some_and(|now| now.saturating_sub(*since) >= PATIENCE);
    let given_up: BTreeSet<Part> = waiting.iter().filter(|(_, since)| is_over(since)).map(|(part, _)| *part).collect();
    let numbers: BTreeSet<i32> = parts.keys().map(|part| part.number).collect();
    let (mut records, mut awaited) = (Vec::new(), Vec::new());
    for number in numbers {
        let all = Part { number, topic: Topic::Requests }..=Part { number, topic: Topic::Sessions };
        let siblings = parts.range_mut(all);
        let mut queues: Vec<_> = siblings.map(|(part, tenure)| queue(*part, tenure, caught_up, &given_up)).collect();
        merge(&mut queues, &mut records);
        let holds = queues.iter().any(|queue| !queue.records.is_empty());
        for &Queue { part, paused, .. } in queues.iter().filter(|queue| holds && queue.is_awaited()) {
            awaited.push(part);
            let Some(now) = now else { continue };
            let since = waiting.entry(part).or_insert(now);
            if paused {
                *since = now;
            }
        }
    }
    waiting.retain(|part, _| awaited.contains(part));
    (records, awaited)
}

/// Which of these have nothing more to be read: they are read on where their log ends. That has to be asked after what waits for
/// them was read, for the client may have looked there before something was written that belongs before that.
pub(crate) fn caught_up(
    awaited: Vec<Part>,
    places: &BTreeMap<Part, Option<i64>>,
    ends: &BTreeMap<Part, i64>,
) -> BTreeSet<Part> {
    let reaches = |part: &Part| ends.get(part).is_some_and(|end| places.get(part).copied().flatten() >= Some(*end));
    awaited.into_iter().filter(reaches).collect()
}

/// What was fetched of a partition.
struct Queue<'a> {
    part: Part,
    /// Whether something may come that belongs before what others hold.
    open: bool,
    paused: bool,
    records: &'a mut VecDeque<Arc<Fetched>>,
}

impl Queue<'_> {
    fn is_awaited(&self) -> bool {
        self.open && self.records.is_empty()
    }
}

/// What was stopped from being fetched comes when there is room, and is waited for as long as that takes.
fn queue<'a>(part: Part, tenure: &'a mut Tenure, caught_up: &BTreeSet<Part>, given_up: &BTreeSet<Part>) -> Queue<'a> {
    let open = !tenure.leaving && !caught_up.contains(&part) && (tenure.paused || !given_up.contains(&part));
    Queue { part, open, paused: tenure.paused, records: &mut tenure.queue }
}

/// Moves the oldest first, until there is none or one is waited for.
fn merge(queues: &mut [Queue<'_>], records: &mut Vec<Arc<Fetched>>) {
    // Within a millisecond the number in the session decides.
    let age = |queue: &Queue<'_>| queue.records.front().map(|head| (head.at, head.seq()));
    while !queues.iter().any(Queue::is_awaited) {
        let filled = queues.iter_mut().filter(|queue| !queue.records.is_empty());
        let Some(oldest) = filled.min_by_key(|queue| age(queue)) else { return };
        records.extend(oldest.records.pop_front());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_caught_up_where_it_is_read_on_at_the_end_that_its_broker_tells() {
        let part = |number| Part { number, topic: Topic::Requests };
        let awaited = (0..5).map(part).collect();
        let places =
            [(0, Some(6)), (1, Some(5)), (2, None), (3, Some(6))].map(|(number, at)| (part(number), at)).into();
        let ends = [0, 1, 2, 4].map(|number| (part(number), 6)).into();
        assert_eq!(
            caught_up(awaited, &places, &ends),
            [part(0)].into(),
            "one is behind, and of the others it is not known"
        );
    }
}

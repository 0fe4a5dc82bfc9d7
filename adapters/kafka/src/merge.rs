//! The order between the topics of a session: the partitions of one number are merged by the time of their records.
//!
//! As long as something may still come from one of them, the others wait for it, for a second at most: a question is then
//! handed out before its answer also where a member reads old records. What bounds this is named in the README.

use crate::lanes::{Lanes, Tenure};
use crate::record::Fetched;
use crate::topic::{Part, Topic};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long partitions wait for a sibling of which nothing comes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes what may go on out of the queues, in order.
pub(crate) fn next(lanes: &mut Lanes, caught_up: &BTreeSet<Part>, now: Duration) -> Vec<Arc<Fetched>> {
    let numbers: BTreeSet<i32> = lanes.parts.keys().map(|part| part.number).collect();
    lanes.waiting.retain(|number, _| numbers.contains(number));
    let mut records = Vec::new();
    for number in numbers {
        let since = lanes.waiting.get(&number).copied();
        let patient = since.is_none_or(|since| now.saturating_sub(since) < PATIENCE);
        let all = Part { number, topic: Topic::Requests }..=Part { number, topic: Topic::Sessions };
        let siblings = lanes.parts.range_mut(all);
        let open = |part: &Part, tenure: &Tenure| patient && !tenure.leaving && !caught_up.contains(part);
        let mut queues: Vec<_> = siblings.map(|(part, tenure)| (open(part, tenure), &mut tenure.queue)).collect();
        let before = records.len();
        let waits = merge(&mut queues, &mut records);
        if !waits {
            lanes.waiting.remove(&number);
        } else if records.len() > before {
            lanes.waiting.insert(number, now);
        } else {
            lanes.waiting.entry(number).or_insert(now);
        }
    }
    records
}

/// A queue, and whether something may come that belongs before what others hold.
type Queue<'a> = (bool, &'a mut VecDeque<Arc<Fetched>>);

/// Moves the oldest first. Answers whether something is left that waits.
fn merge(queues: &mut [Queue<'_>], records: &mut Vec<Arc<Fetched>>) -> bool {
    // Within a millisecond the number in the session decides.
    let age = |(_, queue): &Queue<'_>| queue.front().map(|head| (head.at, head.seq()));
    loop {
        let waits = queues.iter().any(|(open, queue)| *open && queue.is_empty());
        let filled = queues.iter_mut().filter(|(_, queue)| !queue.is_empty());
        let Some((_, oldest)) = filled.min_by_key(|queue| age(queue)) else { return false };
        if waits {
            return true;
        }
        records.extend(oldest.pop_front());
    }
}

//! Events that the receiver may fail on, which would hold up their sessions for ever: told from a receiver that is away.

use chatcore::event::EventId;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long, and how often at least, an event has to fail before it counts as the reason.
const LONG: Duration = Duration::from_secs(300);
const OFTEN: u32 = 10;
/// What was not tried for so long is another worker's.
const FORGOTTEN: Duration = Duration::from_secs(900);

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The receiver cannot be reached, or takes no more now, whatever it is sent.
    Busy,
    /// It, or what stands before it, gave no answer of its own: 502 and its like, or none in time.
    Silent,
    /// It failed: 500 and its like.
    Own,
}

/// What is known of the events that are tried.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How many events the receiver has taken.
    taken: u64,
    of: BTreeMap<EventId, Doubt>,
}

#[derive(Debug, Default)]
struct Doubt {
    /// Failures of the receiver's own, and nothing else.
    own: Tally,
    /// Failures between which it took other events.
    passed_over: Tally,
    /// How many it had taken at the last try, and when that was.
    taken: u64,
    tried: Duration,
}

#[derive(Debug, Default)]
struct Tally {
    since: Duration,
    times: u32,
}

impl Doubts {
    /// The receiver took this one.
    pub(super) fn taken(&self, event: EventId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.taken += 1;
        known.of.remove(&event);
    }

    /// Whether the receiver has failed on this event for so long, and so often, that the event is the reason.
    pub(super) fn is_hopeless(&self, event: EventId, failure: Failure, now: Duration) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { taken, of } = &mut *known;
        of.retain(|_, doubt| now < doubt.tried + FORGOTTEN);
        let doubt = of.entry(event).or_insert_with(|| Doubt { taken: *taken, ..Doubt::default() });
        match failure {
            Failure::Own => doubt.own.count(now),
            Failure::Silent | Failure::Busy => doubt.own = Tally::default(),
        }
        if failure != Failure::Busy && doubt.taken < *taken {
            doubt.passed_over.count(now);
        }
        (doubt.taken, doubt.tried) = (*taken, now);
        let is_hopeless = doubt.own.is_enough(now) || doubt.passed_over.is_enough(now);
        if is_hopeless {
            of.remove(&event);
        }
        is_hopeless
    }
}

impl Tally {
    fn count(&mut self, now: Duration) {
        if self.times == 0 {
            self.since = now;
        }
        self.times += 1;
    }

    fn is_enough(&self, now: Duration) -> bool {
        self.times >= OFTEN && now >= self.since + LONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::event::{Event, EventBody};
    use chatcore::id::{SessionId, UserId};
    use chatcore::owner::Owner;
    use chatcore::stamp::from_micros;
    use uuid::Uuid;

    fn event(seq: u64) -> EventId {
        let (session, owner) = (SessionId::from(Uuid::from_u128(1)), Owner::User(UserId::parse("u").unwrap()));
        let (at, body) = (from_micros(0), EventBody::SessionDeleted);
        Event { session, owner, seq, at, request_id: None, body }.id()
    }

    /// After how many tries, five seconds apart, it is hopeless; another event is taken before each try of which that is told.
    fn tries(failures: impl IntoIterator<Item = (Failure, bool)>) -> Option<usize> {
        let doubts = Doubts::default();
        let hopeless = |(number, (failure, taken)): (usize, (Failure, bool))| {
            if taken {
                doubts.taken(event(2));
            }
            doubts.is_hopeless(event(1), failure, Duration::from_secs(5 * number as u64))
        };
        failures.into_iter().enumerate().position(hopeless)
    }

    #[test]
    fn an_event_is_hopeless_where_it_alone_fails_or_nothing_but_the_receiver_does() {
        use Failure::{Busy, Own, Silent};
        let always = |failure, taken| tries([(failure, taken); 1000]);
        assert_eq!(always(Own, false), Some(60), "five minutes");
        assert_eq!(always(Silent, true), Some(61), "five minutes after the first time that another was taken");
        assert_eq!([always(Silent, false), always(Busy, false), always(Busy, true)], [None; 3]);
        let mixed = (0..1000).map(|number| (if number % 40 == 39 { Silent } else { Own }, false));
        assert_eq!(tries(mixed), None, "a receiver that goes away and comes back");
        let seldom = (0..1000).map(|number| (Silent, number % 12 == 0));
        assert_eq!(tries(seldom), Some(120), "ten times, once a minute");
        assert_eq!(
            tries((0..1000).map(|number| (Silent, number == 500))),
            None,
            "others may be the first to get through"
        );
    }

    #[test]
    fn what_is_tried_no_more_is_forgotten() {
        let doubts = Doubts::default();
        doubts.is_hopeless(event(1), Failure::Own, Duration::ZERO);
        doubts.is_hopeless(event(2), Failure::Own, FORGOTTEN);
        assert_eq!(doubts.0.lock().unwrap().of.keys().copied().collect::<Vec<_>>(), [event(2)]);
    }
}

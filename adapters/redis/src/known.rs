//! Places that readers have read up to: one that comes back to its place need not look again until it is told of more.

use chatcore::id::{Fence, MessageId};
use chatcore::owner::Owner;
use std::collections::VecDeque;
use std::time::Duration;

/// How many are remembered of a session, the latest: one for each of its readers, of whom there are few.
const MOST: usize = 16;

/// Where a reader of a session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Who reads.
    pub(crate) owner: Owner,
    /// In which attempt at which turn; `None` for a reader of messages.
    pub(crate) attempt: Option<(MessageId, Fence)>,
    /// After how many bytes, or messages.
    pub(crate) after: u64,
}

/// The places of a session's readers.
#[derive(Debug, Default)]
pub(crate) struct Known(VecDeque<(Place, Seen)>);

/// What is known of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How much had been heard before the look that ended there, or what was heard since that led there.
    pub(crate) heard: u64,
    /// Until when the server tells of more.
    pub(crate) until: Duration,
}

impl Known {
    /// There is nothing behind this place but what will be heard.
    pub(crate) fn note(&mut self, place: Place, seen: Seen) {
        self.0.retain(|(known, _)| *known != place);
        self.0.truncate(MOST - 1);
        self.0.push_front((place, seen));
    }

    /// What is known of a place.
    pub(crate) fn of(&self, place: &Place) -> Option<Seen> {
        self.0.iter().find(|(known, _)| known == place).map(|(_, seen)| *seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(after: u64) -> Place {
        Place { owner: "user:ann".parse().unwrap(), attempt: None, after }
    }

    #[test]
    fn a_place_is_known_as_long_as_few_others_come() {
        let mut known = Known::default();
        let [one, two] = [3, 4].map(|heard| Seen { heard, until: Duration::from_secs(7) });
        known.note(place(1), one);
        assert_eq!([1, 2].map(|after| known.of(&place(after))), [Some(one), None]);
        (2..=MOST as u64).for_each(|after| known.note(place(after), one));
        known.note(place(2), two);
        assert_eq!([1, 2].map(|after| known.of(&place(after))), [Some(one), Some(two)]);
        known.note(place(99), one);
        assert_eq!(known.of(&place(1)), None);
    }
}

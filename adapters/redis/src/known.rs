//! Places behind which a look found nothing: a reader that comes back to one need not look again until it is told of more.

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
pub(crate) struct Known(VecDeque<Seen>);

#[derive(Debug)]
struct Seen {
    place: Place,
    /// How much had been heard before the look.
    heard: u64,
    /// Until when the server tells of more.
    until: Duration,
}

impl Known {
    /// A look found nothing behind this place.
    pub(crate) fn note(&mut self, place: Place, heard: u64, until: Duration) {
        self.0.retain(|seen| seen.place != place);
        self.0.truncate(MOST - 1);
        self.0.push_front(Seen { place, heard, until });
    }

    /// Until when whatever comes behind this place will be told, if nothing was told since a look found nothing there.
    pub(crate) fn told_until(&self, place: &Place, heard: u64) -> Option<Duration> {
        self.0.iter().find(|seen| seen.place == *place && seen.heard == heard).map(|seen| seen.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(after: u64) -> Place {
        Place { owner: "user:ann".parse().unwrap(), attempt: None, after }
    }

    #[test]
    fn a_place_is_known_until_more_is_told_and_as_long_as_few_others_come() {
        let (mut known, until) = (Known::default(), Duration::from_secs(7));
        known.note(place(1), 3, until);
        assert_eq!(known.told_until(&place(1), 3), Some(until));
        assert_eq!((known.told_until(&place(1), 4), known.told_until(&place(2), 3)), (None, None));
        (2..=MOST as u64).for_each(|after| known.note(place(after), 3, until));
        assert!(known.told_until(&place(1), 3).is_some());
        known.note(place(99), 3, until);
        assert!(known.told_until(&place(1), 3).is_none());
    }
}

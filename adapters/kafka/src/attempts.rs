//! How often a record may have been delivered: kept beside the committed offset, since Kafka itself does not count.
//!
//! While a member has a partition, its commits say so (`open 0`). One that leaves says how far it had handed records out
//! (`120 1`: those below offset 120 once). Whoever finds `open` knows that the last holder died, and that any record there
//! was then may have been delivered.

/// What former holders handed out: records below `until`, up to `count` times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) until: i64,
    pub(crate) count: u32,
}

impl Before {
    /// Reads what stands beside a commit. After a death `end`, the end of the log, bounds what was handed out.
    pub(crate) fn read(text: &str, end: i64) -> Self {
        let Some((first, count)) = text.split_once(' ') else { return Self::default() };
        let count: u32 = count.parse().unwrap_or_default();
        match first {
            OPEN => Self { until: end, count: count.saturating_add(1) },
            until => Self { until: until.parse().unwrap_or_default(), count },
        }
    }

    /// Whether that text is of a holder who died.
    pub(crate) fn is_open(text: &str) -> bool {
        text.starts_with(OPEN)
    }

    /// How often a record was delivered before.
    pub(crate) fn of(self, offset: i64) -> u32 {
        if offset < self.until { self.count } else { 0 }
    }

    /// What a holder writes that has the partition, at this position.
    pub(crate) fn open(self, position: i64) -> String {
        format!("{OPEN} {}", self.of(position))
    }

    /// What a holder writes that leaves, having handed out records below `shown`.
    pub(crate) fn closed(self, position: i64, shown: i64) -> String {
        let next = match shown > position {
            true => Self { until: self.until.max(shown), count: self.of(position).saturating_add(1) },
            false => self,
        };
        if next.until > position && next.count > 0 { format!("{} {}", next.until, next.count) } else { String::new() }
    }
}

const OPEN: &str = "open";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_over_closes_and_deaths() {
        let first = Before::read("", 0);
        assert_eq!((first.of(7), first.open(7).as_str()), (0, "open 0"));
        let closed = first.closed(7, 9);
        assert_eq!(closed, "9 1", "7 and 8 were handed out, and not worked off");
        let second = Before::read(&closed, 100);
        assert_eq!((second.of(8), second.of(9)), (1, 0));
        assert_eq!(second.closed(7, 7), "9 1", "it handed out nothing");
        let third = Before::read(&second.open(7), 100);
        assert_eq!((third.of(99), third.of(100)), (2, 0), "the second died; any of those may have been handed out");
        assert_eq!(third.closed(100, 100), "", "all of it is worked off");
    }

    #[test]
    fn what_others_write_beside_a_commit_counts_nothing() {
        for text in ["", "checkpoint", "a b", "7"] {
            assert_eq!(Before::read(text, 50).of(0), 0, "{text}");
        }
    }
}

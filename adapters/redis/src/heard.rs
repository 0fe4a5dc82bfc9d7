//! What came on a channel: how much, and the latest of it.

use chatcore::error::BackendError;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many bytes are kept of what was heard. Who is further behind than that looks.
const MOST: usize = 16 << 10;

/// What is told where there is something to look for.
const LOOK: &str = "1";

/// What came on a channel.
#[derive(Default)]
pub(crate) struct Heard {
    /// Grows with each message, and whenever one may have been missed.
    count: u64,
    /// The latest messages that say more than that there is something to look for, without a gap up to the newest.
    latest: VecDeque<Arc<[u8]>>,
    /// The server has confirmed that it will tell.
    ready: bool,
    /// Why it cannot be listened to.
    refused: Option<BackendError>,
}

impl Heard {
    /// A message came. What only says that there is something to look for is not kept, nor what came before it.
    pub(crate) fn hear(&mut self, text: Arc<[u8]>) {
        self.count += 1;
        if text.len() <= LOOK.len() {
            self.latest.clear();
            return;
        }
        self.latest.push_back(text);
        while self.latest.iter().map(|text| text.len()).sum::<usize>() > MOST {
            self.latest.pop_front();
        }
    }

    /// From now on every message is heard; those before may have been missed.
    pub(crate) fn is_ready(&mut self) {
        if !self.ready {
            self.count += 1;
            self.latest.clear();
        }
        (self.ready, self.refused) = (true, None);
    }

    /// Nothing is heard any more, perhaps for this reason.
    pub(crate) fn is_lost(&mut self, why: Option<&BackendError>) {
        (self.ready, self.refused) = (false, why.cloned());
    }

    /// How much was heard, where every later message will be heard.
    pub(crate) fn count(&self) -> Option<u64> {
        self.ready.then_some(self.count)
    }

    /// The same; `None` while it is not known whether it is heard.
    pub(crate) fn now(&self) -> Option<Result<u64, BackendError>> {
        match &self.refused {
            Some(why) => Some(Err(why.clone())),
            None => self.count().map(Ok),
        }
    }

    /// What was heard since so much was, and how much that is now; `None` where some of it is not there any more.
    pub(crate) fn since(&self, heard: u64) -> Option<(u64, Vec<Arc<[u8]>>)> {
        let new = usize::try_from(self.count.checked_sub(heard)?).ok()?;
        let first = self.latest.len().checked_sub(new)?;
        Some((self.count, self.latest.range(first..).cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(heard: &Heard, count: u64) -> Option<(u64, usize)> {
        heard.since(count).map(|(now, texts)| (now, texts.len()))
    }

    #[test]
    fn what_was_heard_is_there_unless_some_of_it_may_have_been_missed_or_is_long_past() {
        let mut heard = Heard::default();
        heard.is_ready();
        (0..3).for_each(|_| heard.hear(b"a piece".as_slice().into()));
        assert_eq!(
            [0, 1, 3, 4, 5].map(|count| since(&heard, count)),
            [None, Some((4, 3)), Some((4, 1)), Some((4, 0)), None]
        );
        heard.is_lost(None);
        assert!(heard.now().is_none());
        heard.is_ready();
        assert_eq!([4, 5].map(|count| since(&heard, count)), [None, Some((5, 0))], "there was a gap");
        heard.hear(vec![b'x'; MOST].into());
        heard.hear(b"a piece".as_slice().into());
        assert_eq!([5, 6].map(|count| since(&heard, count)), [None, Some((7, 1))]);
        heard.hear(b"1".as_slice().into());
        assert_eq!(
            [6, 7, 8].map(|count| since(&heard, count)),
            [None, None, Some((8, 0))],
            "there is something to look for"
        );
        assert!(heard.latest.is_empty());
    }
}

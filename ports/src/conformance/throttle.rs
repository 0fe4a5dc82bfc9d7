//! The laws of `Throttle`.

use super::law::{Wait, laws, quick_enough, real_time};
use chatcore::policy::{Left, Quota};
use chatcore::port::{Held, Taken, Throttle, Ticket};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

laws! {
    $
    /// Makes one test of each law of [`Throttle`](chatcore::port::Throttle). Takes an async expression that gives a
    /// [`ThrottleHarness`](crate::conformance::ThrottleHarness), or an `Option` of one.
    throttle_laws, throttle, ThrottleHarness:
    never_more_than_the_limit_in_any_window,
    a_take_that_was_given_back_does_not_count,
    what_is_left_is_told_and_costs_nothing,
    a_held_take_counts_until_it_is_decided,
}

/// An empty throttle, as two processes have it open.
#[derive(Clone)]
pub struct ThrottleHarness {
    throttle: Arc<dyn Throttle>,
    elsewhere: Arc<dyn Throttle>,
    wait: Wait,
}

impl ThrottleHarness {
    /// A harness over two handles of one empty throttle, each standing for a process.
    pub fn new(throttle: Arc<dyn Throttle>, elsewhere: Arc<dyn Throttle>) -> Self {
        Self { throttle, elsewhere, wait: real_time() }
    }

    async fn take(&self, key: &str, quota: &Quota) -> Taken {
        self.throttle.take(key, quota).await.expect("take answers")
    }

    async fn granted(&self, key: &str, quota: &Quota) -> Left {
        self.ticket(key, quota).await.0
    }

    async fn ticket(&self, key: &str, quota: &Quota) -> (Left, Ticket) {
        match self.take(key, quota).await {
            Taken::Granted { left, ticket } => (left, ticket),
            Taken::Wait(wait) => panic!("{key} was to be granted, not to wait for {wait:?}"),
        }
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) {
        self.elsewhere.give_back(key, ticket).await.expect("give_back answers");
    }

    async fn waits(&self, key: &str, quota: &Quota) -> Duration {
        match self.take(key, quota).await {
            Taken::Wait(wait) => wait,
            Taken::Granted { left, .. } => panic!("{key} was to wait, and has {left:?}"),
        }
    }

    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Held {
        self.throttle.hold(key, quota, time).await.expect("hold answers")
    }

    async fn held(&self, key: &str, quota: &Quota, time: Duration) -> Ticket {
        match self.hold(key, quota, time).await {
            Held::Granted(ticket) => ticket,
            Held::Wait { time, .. } => panic!("{key} was to be held, not to wait for {time:?}"),
        }
    }

    async fn confirm(&self, key: &str, ticket: &Ticket) -> bool {
        self.elsewhere.confirm(key, ticket).await.expect("confirm answers")
    }

    async fn left(&self, key: &str, quota: &Quota) -> Left {
        self.elsewhere.remaining(key, quota).await.expect("remaining answers")
    }

    /// Waits until a window of this length is over for certain.
    async fn pass(&self, time: Duration) {
        (self.wait)(time + Duration::from_millis(30)).await;
    }
}

impl fmt::Debug for ThrottleHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleHarness").field("throttle", &self.throttle).finish_non_exhaustive()
    }
}

const LONG: Duration = Duration::from_secs(600);

/// Fifty parallel callers at two processes; a refused take costs nothing; the window slides; a limit of nothing.
pub async fn never_more_than_the_limit_in_any_window(harness: &ThrottleHarness) {
    parallel_callers(harness).await;
    nothing_at_all(harness).await;
    quick_enough(|window| slides(harness, window), "of 2 in 6.4 s a third was granted within the window of the second")
        .await;
}

async fn parallel_callers(harness: &ThrottleHarness) {
    let quota = Quota { limit: 7, window: LONG };
    let take = |number: usize| {
        let throttle = if number.is_multiple_of(2) { harness.throttle.clone() } else { harness.elsewhere.clone() };
        tokio::spawn(async move { throttle.take("login:ann", &quota).await.expect("take answers") })
    };
    let running: Vec<_> = (0..50).map(take).collect();
    let taken: Vec<Taken> = join_all(running).await.into_iter().map(|taken| taken.expect("no panic")).collect();
    let granted = taken.iter().filter_map(|taken| match taken {
        Taken::Granted { left, .. } => Some(left.remaining),
        Taken::Wait(wait) => {
            assert!(!wait.is_zero() && *wait <= LONG, "within the window: {wait:?}");
            None
        }
    });
    let granted: Vec<u32> = granted.collect();
    assert_eq!(granted.len(), 7, "of 50 parallel takes with a limit of 7");
    assert_eq!(granted.into_iter().collect::<BTreeSet<_>>(), (0..7).collect(), "each was told what is left");
    assert_eq!(harness.granted("login:bob", &quota).await.remaining, 6, "each key counts for itself");
}

/// With a limit of 0 everybody waits for a whole window, whatever counts, and nothing is left.
async fn nothing_at_all(harness: &ThrottleHarness) {
    let quota = Quota { limit: 0, window: LONG };
    for key in ["login:ann", "login:nobody"] {
        assert_eq!(harness.waits(key, &quota).await, LONG, "{key}");
        assert_eq!(harness.left(key, &quota).await.remaining, 0, "{key}");
    }
}

/// Two in a window: the third is granted when the first no longer counts, and the fourth not before the second does
/// not. Answers whether the machine was quick enough to see that.
async fn slides(harness: &ThrottleHarness, window: Duration) -> bool {
    let (key, quota) = (format!("{window:?}"), Quota { limit: 2, window });
    assert_eq!(harness.granted(&key, &quota).await.remaining, 1, "the first of two");
    (harness.wait)(window / 2).await;
    harness.granted(&key, &quota).await;
    for round in ["third", "fourth"] {
        let Taken::Wait(wait) = harness.take(&key, &quota).await else { return false };
        assert!(wait <= window, "the {round} in a window of {window:?} is to wait {wait:?}");
        harness.take(&key, &quota).await;
        harness.pass(wait).await;
        harness.granted(&key, &quota).await;
    }
    true
}

/// It is taken back once, and nothing else with it.
pub async fn a_take_that_was_given_back_does_not_count(harness: &ThrottleHarness) {
    let quota = Quota { limit: 2, window: LONG };
    for _ in 0..5 {
        let (_, ticket) = harness.ticket("k", &quota).await;
        harness.give_back("k", &ticket).await;
    }
    let (_, first) = harness.ticket("k", &quota).await;
    let (left, second) = harness.ticket("k", &quota).await;
    assert_eq!(left.remaining, 0, "five were given back, and two were taken");
    harness.waits("k", &quota).await;
    harness.give_back("other", &first).await;
    harness.waits("k", &quota).await;
    harness.give_back("k", &second).await;
    harness.give_back("k", &second).await;
    assert_eq!(harness.granted("k", &quota).await.remaining, 0, "one was given back, though twice");
    harness.waits("k", &quota).await;
    quick_enough(|gap| others_count_on(harness, gap), "of two takes the later went when the earlier was given back")
        .await;
}

/// The earlier of two is given back: from then on the later is the oldest that counts. Answers whether the machine was quick
/// enough to see that.
async fn others_count_on(harness: &ThrottleHarness, gap: Duration) -> bool {
    let (key, quota) = (format!("{gap:?}"), Quota { limit: 3, window: LONG });
    let (_, earlier) = harness.ticket(&key, &quota).await;
    (harness.wait)(gap).await;
    harness.granted(&key, &quota).await;
    let before = harness.left(&key, &quota).await;
    let lowered = harness.left(&key, &Quota { limit: 1, ..quota }).await;
    assert!(
        lowered.reset <= before.reset,
        "the oldest of two, though one is over a lowered limit: {lowered:?}, {before:?}"
    );
    harness.give_back(&key, &earlier).await;
    let after = harness.left(&key, &quota).await;
    assert_eq!((before.remaining, after.remaining), (1, 2), "one of two was given back");
    after.reset > before.reset
}

/// As another process took it, until it is given back; looking at it often changes nothing.
pub async fn what_is_left_is_told_and_costs_nothing(harness: &ThrottleHarness) {
    let quota = Quota { limit: 3, window: LONG };
    let nothing_taken = harness.left("k", &quota).await;
    assert_eq!(nothing_taken, Left { remaining: 3, reset: Duration::ZERO }, "of a key that nobody took");
    let mut last = None;
    for taken in [1, 2, 3] {
        last = Some(harness.ticket("k", &quota).await.1);
        let left = harness.left("k", &quota).await;
        assert_eq!(left.remaining, 3 - taken, "after {taken} of 3");
        assert!(!left.reset.is_zero() && left.reset <= LONG, "the first counts within the window: {left:?}");
    }
    harness.waits("k", &quota).await;
    assert_eq!(harness.left("k", &quota).await.remaining, 0, "a refused take costs nothing");
    harness.give_back("k", &last.expect("three were taken")).await;
    for _ in 0..5 {
        assert_eq!(harness.left("k", &quota).await.remaining, 1, "one was given back");
    }
    assert_eq!(harness.left("other", &quota).await.remaining, 3, "each key counts for itself");
    for limit in [1, 0] {
        let left = harness.left("k", &Quota { limit, ..quota }).await;
        assert!(
            left.remaining == 0 && !left.reset.is_zero(),
            "two count, and the limit was lowered to {limit}: {left:?}"
        );
    }
}

/// Given back it is gone, confirmed it counts for the window, and left alone it goes with its time; who is refused knows which of these may yet
/// come.
pub async fn a_held_take_counts_until_it_is_decided(harness: &ThrottleHarness) {
    let quota = Quota { limit: 2, window: LONG };
    let refused = |told: Held, undecided: bool| match told {
        Held::Wait { time, undecided: told } => {
            assert!(!time.is_zero() && time <= LONG, "within the window: {time:?}");
            assert_eq!(told, undecided, "whether any is held");
        }
        Held::Granted(_) => panic!("two count, and a third was granted"),
    };
    let first = harness.held("k", &quota, LONG).await;
    let second = harness.held("k", &quota, LONG).await;
    refused(harness.hold("k", &quota, LONG).await, true);
    harness.give_back("k", &first).await;
    assert!(!harness.confirm("k", &first).await, "it was given back");
    let third = harness.held("k", &quota, LONG).await;
    for ticket in [&second, &third] {
        refused(harness.hold("k", &quota, LONG).await, true);
        assert!(!harness.confirm("other", ticket).await, "of another key");
        assert!(harness.confirm("k", ticket).await, "it is held");
        assert!(!harness.confirm("k", ticket).await, "it is confirmed");
    }
    refused(harness.hold("k", &quota, LONG).await, false);
    harness.held("other", &quota, LONG).await;
    let nothing = Quota { limit: 0, ..quota };
    assert_eq!(harness.hold("none", &nothing, LONG).await, Held::Wait { time: LONG, undecided: false });
    quick_enough(
        |time| goes_with_its_time(harness, time),
        "what was held for 6.4 s was held no longer before they were over",
    )
    .await;
}

/// One that is confirmed counts on; the one beside it, which nobody decided, goes. Answers whether the machine was quick enough to see that
/// it does not go before.
async fn goes_with_its_time(harness: &ThrottleHarness, time: Duration) -> bool {
    let (key, quota) = (format!("{time:?}"), Quota { limit: 2, window: LONG });
    let (confirmed, left_alone) = (harness.held(&key, &quota, time).await, harness.held(&key, &quota, time).await);
    if !harness.confirm(&key, &confirmed).await {
        return false;
    }
    (harness.wait)(time * 3 / 4).await;
    if let Held::Granted(_) = harness.hold(&key, &quota, time).await {
        return false;
    }
    harness.pass(time / 4).await;
    let another = harness.held(&key, &quota, time).await;
    assert!(!harness.confirm(&key, &left_alone).await, "its time is over");
    let Held::Wait { undecided, .. } = harness.hold(&key, &quota, time).await else { return false };
    assert!(undecided, "the other one is held");
    harness.give_back(&key, &another).await;
    harness.give_back(&key, &confirmed).await;
    harness.held(&key, &quota, time).await;
    harness.held(&key, &quota, time).await;
    true
}

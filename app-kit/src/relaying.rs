//! The relay of a program, and its loops: readies the bus, and moves events to it from the outbox while the program runs.

use chatcore::port::{EventBus, Outbox, Runtime};
use chatcore::relay::Relay;
use futures_util::FutureExt;
use futures_util::future::{Shared, pending, select};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How many events are moved at once.
const BATCH: usize = 1000;
/// How long the first is waited for before the relay looks again.
const WAIT: Duration = Duration::from_secs(10);
/// How long a batch in hand is waited for at most when the relay ends.
const LAST_BATCH: Duration = Duration::from_secs(5);
/// How long after a failure that lasts the bus is made ready again.
const LASTING: Duration = Duration::from_secs(30);
/// How long it may take then to let other relays go on.
const LEAVE: Duration = Duration::from_millis(250);

/// The pauses after failures: each is twice the one before, up to the longest.
struct Pauses(Duration);

impl Pauses {
    const FIRST: Self = Self(Duration::from_millis(100));
    const LONGEST: Duration = Duration::from_secs(2);

    async fn next(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

/// What moves events from an outbox to a bus.
#[derive(Debug, Clone)]
pub struct Relaying {
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn EventBus>,
    runtime: Arc<dyn Runtime>,
}

impl Relaying {
    /// From this outbox to this bus.
    #[must_use]
    pub fn between(outbox: Arc<dyn Outbox>, bus: Arc<dyn EventBus>, runtime: Arc<dyn Runtime>) -> Self {
        Self { outbox, bus, runtime }
    }

    /// Begins to move events. Called inside a tokio runtime.
    #[must_use]
    pub fn start(self) -> Running {
        let (end, ended) = oneshot::channel();
        let runtime = self.runtime.clone();
        Running { task: tokio::spawn(self.run(ended.map(Result::unwrap_or_default))), end, runtime }
    }

    /// Moves events until `stop` is done, and tells how long a batch in hand may take from then on; it may be dropped at any point.
    /// What is left for later comes again.
    async fn run(self, stop: impl Future<Output = Duration>) {
        let stop = stop.shared();
        let late = stop.clone().then(tokio::time::sleep);
        select(pin!(self.moves(&stop)), pin!(late)).await;
        match tokio::time::timeout(LEAVE, self.outbox.leave()).await {
            Ok(Ok(())) => {}
            failed => tracing::warn!(?failed, "events may wait some seconds for another relay"),
        }
    }

    async fn moves<S: Future<Output = Duration>>(&self, stop: &Shared<S>) {
        loop {
            let relay = Relay::new(self.outbox.clone(), self.bus.clone(), self.runtime.clone(), BATCH, WAIT);
            let readies = ready(&*self.bus).then(|()| pending::<()>());
            let both = async { select(pin!(run(relay, stop)), pin!(readies)).map(drop).await };
            if AssertUnwindSafe(both).catch_unwind().await.is_ok() {
                return;
            }
            tracing::error!("the relay panicked, and begins anew");
            tokio::time::sleep(Pauses::LONGEST).await;
        }
    }
}

/// A relay at work.
#[derive(Debug)]
pub struct Running {
    task: JoinHandle<()>,
    end: oneshot::Sender<Duration>,
    runtime: Arc<dyn Runtime>,
}

impl Running {
    /// Ends it when what it has in hand is moved, and lets the relays of other processes go on at once. Comes back by then, as the
    /// relay's runtime counts, or within 5 s, and a quarter of a second more: what is not moved then comes again, perhaps for a
    /// second time.
    pub async fn end(self, by: Duration) {
        _ = self.end.send(by.saturating_sub(self.runtime.elapsed()).min(LAST_BATCH));
        _ = self.task.await;
    }
}

/// Has the bus make what it needs before there is an event, as soon as it can be reached.
async fn ready(bus: &dyn EventBus) {
    let mut pauses = Pauses::FIRST;
    while let Err(error) = bus.publish(&[]).await {
        tracing::debug!(%error, source = %error.source, "the bus cannot be made ready");
        // What lasts until somebody mends it is not tried as often as what comes back by itself.
        if error.may_pass() { pauses.next().await } else { tokio::time::sleep(LASTING).await }
    }
}

async fn run<S: Future<Output = Duration>>(mut relay: Relay, stop: &Shared<S>) {
    let mut pauses = Pauses::FIRST;
    while stop.clone().now_or_never().is_none() {
        match relay.step_unless(stop.clone().map(drop)).await {
            Ok(_) => pauses = Pauses::FIRST,
            Err(error) => {
                tracing::warn!(%error, source = %error.source, "events wait: the outbox or the bus failed");
                select(pin!(pauses.next()), stop.clone()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use chatcore::error::BackendError;
    use chatcore::event::{Event, EventBody};
    use chatcore::port::{Backlog, Claimed, Entry, EntryId, Mark, Published, Settled, Subscription};
    use chatcore::stamp::from_micros;
    use chatcore_ports::tokio::TokioRuntime;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::timeout;

    /// It falls over when it is asked for the first time, then has an event, and then has nothing.
    #[derive(Debug, Default)]
    struct Fragile {
        claims: AtomicUsize,
        done: Mutex<Vec<&'static str>>,
        /// How long it takes to publish an event.
        takes: Duration,
    }

    impl Fragile {
        fn did(&self, what: &'static str) {
            self.done.lock().unwrap().push(what);
        }
    }

    #[async_trait]
    impl Outbox for Fragile {
        async fn claim_behind(&self, _: &Mark, _: usize, _: Duration) -> Result<Claimed, BackendError> {
            let claim = self.claims.fetch_add(1, Ordering::SeqCst);
            assert_ne!(claim, 0, "it falls over");
            if claim > 1 {
                pending().await
            }
            let (session, owner) = (TokioRuntime::current().new_id().into(), "user:ann".parse().unwrap());
            let (at, body) = (from_micros(0), EventBody::SessionDeleted);
            let event = Event { session, owner, seq: 1, at, request_id: None, body };
            Ok(Claimed { entries: vec![Entry { id: EntryId("1".into()), event }], end: Mark::default() })
        }

        async fn settle(&self, _: &[(EntryId, Settled)]) -> Result<(), BackendError> {
            self.did("settled");
            Ok(())
        }

        async fn backlog(&self) -> Result<Backlog, BackendError> {
            Ok(Backlog::default())
        }

        async fn leave(&self) -> Result<(), BackendError> {
            self.did("left");
            Ok(())
        }
    }

    #[async_trait]
    impl EventBus for Fragile {
        async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
            if !events.is_empty() {
                self.did("published");
                tokio::time::sleep(self.takes).await;
            }
            Ok(vec![Published::Done; events.len()])
        }

        async fn subscribe(&self, _: &str) -> Result<Arc<dyn Subscription>, BackendError> {
            pending().await
        }
    }

    fn start(fragile: &Arc<Fragile>) -> Running {
        Relaying::between(fragile.clone(), fragile.clone(), Arc::new(TokioRuntime::current())).start()
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_panics_begins_anew() {
        let fragile = Arc::new(Fragile::default());
        let _running = start(&fragile);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(fragile.claims.load(Ordering::SeqCst), 3);
        assert_eq!(*fragile.done.lock().unwrap(), ["published", "settled"]);
    }

    /// At once where nothing is in hand, and at last where what is in hand does not come to its end.
    #[tokio::test(start_paused = true)]
    async fn a_relay_that_ends_moves_what_it_has_in_hand_and_leaves() {
        let settled = ["published", "settled", "left"].as_slice();
        for (takes, after, bound, done) in [
            (0, 5000, 0, settled),
            (4000, 5700, 400, settled),
            (4000, 4000, 1000, &["published", "left"]),
            (0, 500, 1000, &["left"]),
        ] {
            let fragile = Arc::new(Fragile { takes: Duration::from_millis(takes), ..Fragile::default() });
            let running = start(&fragile);
            tokio::time::sleep(Duration::from_millis(after)).await;
            let by = running.runtime.elapsed() + Duration::from_secs(1);
            let ends = running.end(by);
            timeout(Duration::from_millis(bound + 10), ends).await.expect("it ends soon");
            assert_eq!(*fragile.done.lock().unwrap(), done, "{takes} ms, ended after {after} ms");
        }
    }
}

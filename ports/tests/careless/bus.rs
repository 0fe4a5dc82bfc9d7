//! Buses.

use async_trait::async_trait;
use chatcore_ports::chatcore::error::BackendError;
use chatcore_ports::chatcore::event::{Event, EventBody, Malformed};
use chatcore_ports::chatcore::id::{SessionId, UserId};
use chatcore_ports::chatcore::owner::Owner;
use chatcore_ports::chatcore::port::{
    Acked, DeadLetter, DeadLetterId, DeadLetters, DeadLettersPage, Delivery, DeliveryId, EventBus, Published, Replay,
    Subscription,
};
use chatcore_ports::conformance::{BusHarness, OpenBus, broken, dead_letters, event_bus};
use chatcore_ports::memory::MemoryBus;
use chatcore_ports::tokio::TokioRuntime;
use futures_util::FutureExt;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use time::OffsetDateTime;

/// What a bus does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    Nothing,
    FailedIsOvertaken,
    NewGroupStartsAtNewest,
    AckedWhenTaken,
    AckIsAlwaysDone,
    CloseKeepsWhatItHolds,
    ClosedGoesOn,
    ParkedIsDropped,
    LagForgetsWhatIsInHand,
    MalformedIsSkipped,
    ReplayDoesNothing,
}

/// An in-memory bus with a bug. Unlike that of the kit it can fail, and can hold what is no event.
#[derive(Debug, Clone)]
struct Careless {
    bus: MemoryBus,
    bug: Bug,
    failing: Arc<Mutex<BTreeSet<SessionId>>>,
    groups: Arc<Mutex<BTreeSet<String>>>,
}

/// What stands for a record that is no event: no event has the place 0.
fn junk(session: SessionId) -> Event {
    let owner = Owner::User(UserId::parse("nobody").unwrap());
    let (at, body) = (OffsetDateTime::UNIX_EPOCH, EventBody::SessionDeleted);
    Event { session, owner, seq: 0, at, request_id: None, body }
}

#[async_trait]
impl EventBus for Careless {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        let mut failed = BTreeSet::new();
        let mut results = Vec::new();
        for event in events {
            let fails = self.failing.lock().unwrap().remove(&event.session);
            if fails && self.bug != Bug::FailedIsOvertaken {
                failed.insert(event.session);
            }
            if fails || failed.contains(&event.session) {
                results.push(Published::Later(BackendError::later("careless", "made to fail")));
            } else {
                results.extend(self.bus.publish(std::slice::from_ref(event)).await?);
            }
        }
        Ok(results)
    }

    async fn subscribe(&self, group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        let inner = self.bus.subscribe(group).await?;
        if self.groups.lock().unwrap().insert(group.to_owned()) && self.bug == Bug::NewGroupStartsAtNewest {
            while let Some(Ok(Some(delivery))) = inner.next().now_or_never() {
                inner.ack(&delivery.id).await?;
            }
        }
        Ok(Arc::new(Member { inner, bug: self.bug, in_hand: Mutex::default() }))
    }
}

#[async_trait]
impl DeadLetters for Careless {
    async fn list(&self, page: &DeadLettersPage) -> Result<Vec<DeadLetter>, BackendError> {
        self.bus.list(page).await
    }

    async fn replay(&self, id: &DeadLetterId) -> Result<Replay, BackendError> {
        if self.bug == Bug::ReplayDoesNothing { Ok(Replay::Queued) } else { self.bus.replay(id).await }
    }
}

#[derive(Debug)]
struct Member {
    inner: Arc<dyn Subscription>,
    bug: Bug,
    in_hand: Mutex<u64>,
}

#[async_trait]
impl Subscription for Member {
    async fn next(&self) -> Result<Option<Delivery>, BackendError> {
        loop {
            let Some(mut delivery) = self.inner.next().await? else {
                return match self.bug {
                    Bug::ClosedGoesOn => std::future::pending().await,
                    _ => Ok(None),
                };
            };
            let malformed = delivery.event.as_ref().is_ok_and(|event| event.seq == 0);
            if malformed {
                delivery.event = Err(Malformed::Other("junk".into()));
            }
            if self.bug == Bug::AckedWhenTaken || (malformed && self.bug == Bug::MalformedIsSkipped) {
                self.inner.ack(&delivery.id).await?;
            }
            if !(malformed && self.bug == Bug::MalformedIsSkipped) {
                *self.in_hand.lock().unwrap() += 1;
                return Ok(Some(delivery));
            }
        }
    }

    async fn ack(&self, id: &DeliveryId) -> Result<Acked, BackendError> {
        *self.in_hand.lock().unwrap() = 0;
        let acked = self.inner.ack(id).await?;
        Ok(if matches!(self.bug, Bug::AckIsAlwaysDone | Bug::AckedWhenTaken) { Acked::Done } else { acked })
    }

    async fn park(&self, id: &DeliveryId, reason: &str, tries: u32) -> Result<Acked, BackendError> {
        *self.in_hand.lock().unwrap() = 0;
        if self.bug == Bug::ParkedIsDropped {
            self.inner.ack(id).await
        } else {
            self.inner.park(id, reason, tries).await
        }
    }

    async fn lag(&self) -> Result<u64, BackendError> {
        let forgotten = if self.bug == Bug::LagForgetsWhatIsInHand { *self.in_hand.lock().unwrap() } else { 0 };
        Ok(self.inner.lag().await?.saturating_sub(forgotten))
    }

    async fn close(&self) -> Result<(), BackendError> {
        if self.bug == Bug::CloseKeepsWhatItHolds { Ok(()) } else { self.inner.close().await }
    }
}

fn laws_broken_by(bug: Bug) -> Vec<&'static str> {
    let make = || async move {
        BusHarness::new(move |come_back| async move {
            let bus = MemoryBus::new(Arc::new(TokioRuntime::current())).come_back_after(come_back);
            let careless = Careless { bus: bus.clone(), bug, failing: Arc::default(), groups: Arc::default() };
            let failing = careless.failing.clone();
            OpenBus::of(careless)
                .failing(move |session| {
                    failing.lock().unwrap().insert(session);
                    std::future::ready(())
                })
                .injecting(move |session, _| {
                    let bus = bus.clone();
                    async move { drop(bus.publish(&[junk(session)]).await) }
                })
        })
    };
    let broken = match bug {
        Bug::ReplayDoesNothing => broken(dead_letters::LAWS, make),
        _ => broken(event_bus::LAWS, make),
    };
    broken.iter().map(|broken| broken.law).collect()
}

const BUGS: [(Bug, &str); 12] = [
    (Bug::FailedIsOvertaken, "once_an_event_of_a_session_fails_no_later_one_of_that_session_is_published"),
    (Bug::NewGroupStartsAtNewest, "a_new_group_starts_at_the_oldest_event"),
    (Bug::NewGroupStartsAtNewest, "an_event_is_delivered_at_least_once"),
    (Bug::AckedWhenTaken, "an_unacked_delivery_comes_back"),
    (Bug::AckedWhenTaken, "at_most_one_delivery_of_a_session_is_outstanding"),
    (Bug::AckIsAlwaysDone, "an_ack_after_a_revocation_says_revoked"),
    (Bug::CloseKeepsWhatItHolds, "an_unacked_delivery_comes_back"),
    (Bug::ClosedGoesOn, "a_closed_subscription_ends"),
    (Bug::ParkedIsDropped, "a_parked_record_is_in_the_dead_letters_with_its_reason"),
    (Bug::LagForgetsWhatIsInHand, "lag_counts_what_is_not_worked_off"),
    (Bug::MalformedIsSkipped, "a_malformed_record_is_delivered_as_such"),
    (Bug::ReplayDoesNothing, "a_replayed_letter_is_delivered_again"),
];

/// All at once: most of the time they wait for what never comes.
#[test]
fn a_careless_bus_breaks_the_law_named_after_its_bug() {
    std::thread::scope(|scope| {
        let running = BUGS.map(|(bug, law)| (bug, law, scope.spawn(move || laws_broken_by(bug))));
        for (bug, law, broken) in running {
            let broken = broken.join().unwrap();
            assert!(broken.contains(&law), "{bug:?} was to break {law}, and broke {broken:?}");
        }
    });
}

#[test]
fn a_bus_that_can_fail_and_hold_junk_keeps_every_law() {
    assert!(laws_broken_by(Bug::Nothing).is_empty());
}

//! A group's members, in verbs: each insists on the answer that its name promises.

use super::OpenBus;
use crate::conformance::chat::{answer, random, request_id, user_id};
use chatcore::event::{Event, EventBody};
use chatcore::id::{MessageId, SessionId};
use chatcore::message::{Message, Status};
use chatcore::owner::Owner;
use chatcore::port::{Acked, Delivery, EventBus, Published, Subscription};
use chatcore::stamp::from_micros;
use futures_util::FutureExt;
use futures_util::future::{Either, select, select_all};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Longer than a bus takes to deliver, also while its group is being rearranged.
const PATIENCE: Duration = Duration::from_secs(20);

pub(in super::super) fn new_session() -> SessionId {
    SessionId::from(random())
}

/// Event number `seq` of a session: questions and answers in turn.
pub(in super::super) fn event(session: SessionId, seq: u64) -> Event {
    let (turn, at) =
        (MessageId::from(random()), from_micros(1_767_225_600_123_456 + i64::try_from(seq).expect("small")));
    let body = match seq % 2 {
        1 => EventBody::ChatRequested(Box::new(Message::question(turn, seq, format!("câu hỏi {seq} 🙂"), at))),
        _ => {
            let answer = answer(Status::Completed, &format!("trả lời {seq}"));
            EventBody::ChatResponded(Box::new(Message::answer(turn, seq, seq - 1, answer, at)))
        }
    };
    let request_id = Some(request_id(&seq.to_string()));
    Event { session, owner: Owner::User(user_id("ann")), seq, at, request_id, body }
}

/// The first events of a session.
pub(in super::super) fn events(session: SessionId, count: u64) -> Vec<Event> {
    (1..=count).map(|seq| event(session, seq)).collect()
}

/// Publishes events, all of which the bus takes.
pub(in super::super) async fn publish(bus: &Arc<dyn EventBus>, events: &[Event]) {
    let published = bus.publish(events).await.expect("publish answers");
    let done = published.iter().filter(|published| matches!(published, Published::Done)).count();
    assert_eq!((published.len(), done), (events.len(), events.len()), "one result for each: {published:?}");
}

/// A member of a group.
#[derive(Debug, Clone)]
pub(in super::super) struct Member(pub(super) Arc<dyn Subscription>);

impl Member {
    pub(in super::super) async fn join(bus: &Arc<dyn EventBus>, group: &str) -> Self {
        Self(bus.subscribe(group).await.expect("subscribe answers"))
    }

    /// Two members of one group, at a process each.
    pub(super) async fn two(open: &OpenBus, group: &str) -> [Self; 2] {
        [Self::join(&open.bus, group).await, Self::join(&open.elsewhere, group).await]
    }

    pub(in super::super) async fn next(&self) -> Delivery {
        self.may_end().await.expect("the subscription is open")
    }

    /// The next delivery, or the end.
    pub(super) async fn may_end(&self) -> Option<Delivery> {
        timeout(PATIENCE, self.0.next()).await.expect("next comes back within 20 s").expect("next answers")
    }

    /// The event of the next delivery, which is worked off.
    pub(in super::super) async fn take(&self) -> Event {
        let delivery = self.next().await;
        assert_eq!(self.ack(&delivery).await, Acked::Done, "{delivery:?}");
        delivery.event.expect("an event")
    }

    pub(in super::super) async fn ack(&self, delivery: &Delivery) -> Acked {
        self.0.ack(&delivery.id).await.expect("ack answers")
    }

    pub(in super::super) async fn park(&self, delivery: &Delivery, reason: &str) -> Acked {
        self.0.park(&delivery.id, reason, 1).await.expect("park answers")
    }

    pub(super) async fn lag(&self) -> u64 {
        self.0.lag().await.expect("lag answers")
    }

    pub(super) async fn close(&self) {
        self.0.close().await.expect("close answers");
    }
}

/// The next delivery to any of these members, and which of them has it. The calls of the others are dropped.
pub(super) async fn next_of(members: &[Member]) -> (usize, Delivery) {
    let nexts = members.iter().map(|member| member.next().boxed());
    let (delivery, index, _) = select_all(nexts).await;
    (index, delivery)
}

/// None of these members is given anything for this long.
pub(in super::super) async fn nothing_for(members: &[Member], wait: impl Future<Output = ()>, why: &str) {
    match select(pin!(next_of(members)), pin!(wait)).await {
        Either::Left(((_, delivery), _)) => panic!("{why}: {delivery:?}"),
        Either::Right(_) => {}
    }
}

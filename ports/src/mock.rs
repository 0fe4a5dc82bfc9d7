//! Mocks of every port, made by mockall: `MockSessionStore`, `MockOutbox` and so on. They are for tests that say which
//! calls come, in which order; where only the answers matter, [`memory`](crate::memory) is simpler.

use async_trait::async_trait;
use chatcore::error::{AccessError, BackendError};
use chatcore::event::Event;
use chatcore::id::{DeviceId, RequestId, SessionId, UserId};
use chatcore::message::{Answer, Message, MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::port::{
    Acked, AiChunk, AiError, AiGateway, Backlog, Claimed, Claims, Credentials, DeadLetter, DeadLetterId, DeadLetters,
    DeadLettersPage, Delivery, DeliveryId, EntryId, EventBus, Health, Held, Mark, Outbox, Probe, Prompt, Published,
    Replay, Runtime, SessionStore, Settled, Subscription, Taken, Throttle, Ticket, TokenError, TokenIssuer, User,
    UserDirectory,
};
use chatcore::session::{Adopted, Session, SessionsPage};
use chatcore::turn::{Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Stopping, Swept, Turn, TurnId};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use mockall::mock;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

mock! {
    /// A mock of the port [`SessionStore`].
    #[derive(Debug)]
    pub SessionStore {}

    #[async_trait]
    impl SessionStore for SessionStore {
        async fn begin_turn(&self, new: &NewTurn) -> Result<Began, BackendError>;
        async fn extend_turn(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Result<Extended, BackendError>;
        async fn finish_turn(&self, turn: &Turn, answer: &Answer) -> Result<Finished, BackendError>;
        async fn left(&self, owner: &Owner, quota: &Quota) -> Result<Left, BackendError>;
        async fn request_stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError>;
        async fn follow(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Result<Followed, AccessError>;
        async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError>;
        async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError>;
        async fn messages(
            &self,
            owner: &Owner,
            session: &SessionId,
            page: &MessagesPage,
        ) -> Result<Vec<Message>, AccessError>;
        async fn newer(
            &self,
            owner: &Owner,
            session: &SessionId,
            page: &NewerPage,
            wait: Duration,
        ) -> Result<Vec<Message>, AccessError>;
        async fn delete(&self, owner: &Owner, session: &SessionId, request_id: Option<RequestId>) -> Result<(), AccessError>;
        async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<Adopted, BackendError>;
        async fn close_orphans(&self, grace: Duration, max: usize) -> Result<Swept, BackendError>;
    }
}

mock! {
    /// A mock of the port [`Outbox`].
    #[derive(Debug)]
    pub Outbox {}

    #[async_trait]
    impl Outbox for Outbox {
        async fn claim_behind(&self, mark: &Mark, max: usize, wait: Duration) -> Result<Claimed, BackendError>;
        async fn settle(&self, entries: &[(EntryId, Settled)]) -> Result<(), BackendError>;
        async fn backlog(&self) -> Result<Backlog, BackendError>;
    }
}

mock! {
    /// A mock of the port [`EventBus`].
    #[derive(Debug)]
    pub EventBus {}

    #[async_trait]
    impl EventBus for EventBus {
        async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError>;
        async fn subscribe(&self, group: &str) -> Result<Arc<dyn Subscription>, BackendError>;
    }
}

mock! {
    /// A mock of the port [`Subscription`].
    #[derive(Debug)]
    pub Subscription {}

    #[async_trait]
    impl Subscription for Subscription {
        async fn next(&self) -> Result<Option<Delivery>, BackendError>;
        async fn ack(&self, id: &DeliveryId) -> Result<Acked, BackendError>;
        async fn park(&self, id: &DeliveryId, reason: &str, tries: u32) -> Result<Acked, BackendError>;
        async fn lag(&self) -> Result<u64, BackendError>;
        async fn close(&self) -> Result<(), BackendError>;
    }
}

mock! {
    /// A mock of the port [`DeadLetters`].
    #[derive(Debug)]
    pub DeadLetters {}

    #[async_trait]
    impl DeadLetters for DeadLetters {
        async fn list(&self, page: &DeadLettersPage) -> Result<Vec<DeadLetter>, BackendError>;
        async fn replay(&self, id: &DeadLetterId) -> Result<Replay, BackendError>;
    }
}

mock! {
    /// A mock of the port [`AiGateway`].
    #[derive(Debug)]
    pub AiGateway {}

    impl AiGateway for AiGateway {
        fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>>;
    }
}

mock! {
    /// A mock of the port [`TokenIssuer`].
    #[derive(Debug)]
    pub TokenIssuer {}

    impl TokenIssuer for TokenIssuer {
        fn issue(&self, claims: &Claims) -> Result<String, BackendError>;
        fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, TokenError>;
    }
}

mock! {
    /// A mock of the port [`UserDirectory`].
    #[derive(Debug)]
    pub UserDirectory {}

    #[async_trait]
    impl UserDirectory for UserDirectory {
        async fn authenticate(&self, credentials: &Credentials) -> Result<Option<User>, BackendError>;
    }
}

mock! {
    /// A mock of the port [`Throttle`].
    #[derive(Debug)]
    pub Throttle {}

    #[async_trait]
    impl Throttle for Throttle {
        async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError>;
        async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError>;
        async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError>;
        async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError>;
        async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError>;
    }
}

mock! {
    /// A mock of the port [`Runtime`].
    #[derive(Debug)]
    pub Runtime {}

    impl Runtime for Runtime {
        fn now(&self) -> OffsetDateTime;
        fn elapsed(&self) -> Duration;
        fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
        fn spawn(&self, task: BoxFuture<'static, ()>);
        fn new_id(&self) -> Uuid;
    }
}

mock! {
    /// A mock of the port [`Probe`].
    #[derive(Debug)]
    pub Probe {}

    #[async_trait]
    impl Probe for Probe {
        fn name(&self) -> &'static str;
        async fn check(&self) -> Result<Health, BackendError>;
    }
}

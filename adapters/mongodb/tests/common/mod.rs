//! What the tests share: the stand-in, events, and a look at what is stored.
#![allow(dead_code, reason = "no test binary uses all of it")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test says why it is skipped")]

pub(crate) mod scripted;
pub(crate) mod standin;

use chatcore::consume::{EventHandler, Unhandled};
use chatcore::event::{Event, EventBody};
use chatcore::id::{MessageId, SessionId, UserId};
use chatcore::message::{AiReply, Answer, Message, Products, Status};
use chatcore::owner::Owner;
use chatcore::port::{Place, Runtime};
use chatcore::stamp::from_micros;
use chatcore_mongodb::{MongoDb, MongoDbConfig};
use chatcore_ports::tokio::TokioRuntime;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use standin::StandIn;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use uuid::Uuid;

/// The stand-in of this test binary.
pub(crate) fn standin() -> Option<&'static StandIn> {
    static STANDIN: OnceLock<Option<StandIn>> = OnceLock::new();
    STANDIN.get_or_init(StandIn::start).as_ref()
}

/// Settings with a database of their own.
pub(crate) fn config(uri: &str) -> MongoDbConfig {
    let mut config = MongoDbConfig::new(uri);
    config.database = format!("test-{}", new_id().simple());
    config
}

/// Opens it as a worker of its own would.
pub(crate) async fn open(config: &MongoDbConfig) -> MongoDb {
    MongoDb::open(config.clone(), Arc::new(TokioRuntime::current())).await.expect("good settings")
}

pub(crate) async fn database(config: &MongoDbConfig) -> Database {
    Client::with_uri_str(&config.uri).await.unwrap().database(&config.database)
}

/// All documents of a collection, in the order of their names.
pub(crate) async fn stored(config: &MongoDbConfig, collection: &str) -> Vec<Document> {
    let documents = database(config).await.collection::<Document>(collection);
    let mut found = documents.find(doc! {}).sort(doc! {"_id": 1}).await.unwrap();
    let mut all = Vec::new();
    while found.advance().await.unwrap() {
        all.push(found.deserialize_current().unwrap());
    }
    all
}

pub(crate) fn new_id() -> Uuid {
    TokioRuntime::current().new_id()
}

pub(crate) fn new_session() -> SessionId {
    SessionId::from(new_id())
}

/// When all of it happened, in microseconds.
pub(crate) const AT: i64 = 1_700_000_000_123_456;

pub(crate) fn event(session: SessionId, seq: u64, body: EventBody) -> Event {
    let owner = Owner::User(UserId::parse("ann").unwrap());
    Event { session, owner, seq, at: from_micros(AT), request_id: None, body }
}

pub(crate) fn question(session: SessionId, seq: u64, text: &str) -> Event {
    let question = Message::question(MessageId::from(Uuid::from_u128(8)), seq, text.to_owned(), from_micros(AT));
    event(session, seq, EventBody::ChatRequested(Box::new(question)))
}

pub(crate) fn answer(session: SessionId, seq: u64, products: &str) -> Event {
    let products = Products::from_json(products).unwrap();
    let reply = AiReply { products, intent: Some("product_search".into()), confidence: Some(0.5) };
    let answer = Answer { status: Status::Completed, content: "có".into(), reply };
    let answer = Message::answer(MessageId::from(Uuid::from_u128(8)), seq, seq - 1, answer, from_micros(AT));
    event(session, seq, EventBody::ChatResponded(Box::new(answer)))
}

pub(crate) fn deletion(session: SessionId, seq: u64) -> Event {
    event(session, seq, EventBody::SessionDeleted)
}

/// As the consumer does it: again for as long as MongoDB is away.
pub(crate) async fn handle(handler: &MongoDb, event: &Event) -> Result<(), String> {
    let place = Place { topic: "chat-requests".into(), partition: 0, offset: event.seq };
    loop {
        match handler.handle(event, &place).await {
            Err(Unhandled::Away { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
            done => return done.map_err(|unhandled| unhandled.to_string()),
        }
    }
}

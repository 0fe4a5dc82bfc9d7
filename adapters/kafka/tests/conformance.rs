//! The suite, against a real broker: each law has topics and groups of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore_kafka::GroupProtocol;
use chatcore_ports::conformance::{BusHarness, OpenBus};
use common::{Broker, broker, damage, new_session, open, open_line, question};
use krafka::producer::{Producer, Record, murmur2};
use std::sync::{Arc, Once};
use std::time::Duration;

async fn bus(protocol: GroupProtocol) -> Option<BusHarness> {
    let broker = broker().await?;
    Some(BusHarness::new(move |come_back| open_bus(broker, protocol, come_back)))
}

/// The line to the broker, by which what the suite makes fail goes.
static LINE: Once = Once::new();

/// A member is noticed as dead after the time of its session, which a broker bounds.
async fn open_bus(broker: &'static Broker, protocol: GroupProtocol, come_back: Duration) -> OpenBus {
    let mut config = common::config(broker);
    config.group_protocol = protocol;
    config.session_timeout = come_back.max(Duration::from_millis(500));
    let elsewhere = Arc::new(open(config.clone()));
    LINE.call_once(|| open_line(broker));
    config.bootstrap_servers = vec![format!("127.0.0.1:{}", broker.line())];
    let bus = Arc::new(open(config.clone()));
    bus.create_topics().await.unwrap();
    let (topic, producer) = (config.topics.requests, Arc::new(producer(broker).await));
    let inject = move |session: chatcore::id::SessionId, raw: Vec<u8>| {
        let (topic, producer) = (topic.clone(), producer.clone());
        async move {
            let record = Record::new(topic, raw).key(session.to_string());
            _ = producer.send(record).await.unwrap();
        }
    };
    let too_large = question(new_session(), 2, &"x".repeat(2 << 20));
    let partitions = config.partitions.cast_unsigned();
    OpenBus::new(bus.clone(), elsewhere, bus)
        .failing(async |session| damage(session))
        .partitioned(move |session| (murmur2(session.to_string().as_bytes()) & 0x7fff_ffff) % partitions)
        .injecting(inject)
        .refusing(too_large)
}

/// Another client, with a partitioner of its own.
async fn producer(broker: &Broker) -> Producer {
    let kafka = krafka::Kafka::builder(format!("127.0.0.1:{}", broker.port)).connect().await.unwrap();
    kafka.producer().build().await.unwrap()
}

mod classic {
    chatcore_ports::event_bus_laws!(super::bus(chatcore_kafka::GroupProtocol::Classic));
}

mod consumer {
    chatcore_ports::event_bus_laws!(super::bus(chatcore_kafka::GroupProtocol::Consumer));
}

mod letters {
    chatcore_ports::dead_letters_laws!(super::bus(chatcore_kafka::GroupProtocol::Classic));
}

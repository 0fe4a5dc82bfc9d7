//! The client that reads as a member of a group (krafka). This module alone knows it.

mod fault;
mod offsets;
mod unreadable;

use crate::config::{GroupProtocol, KafkaConfig, Mechanism, Sasl};
use crate::lanes::Commit;
use crate::member::Member;
use crate::record::Fetched;
use crate::topic::{Part, Topic};
use bytes::{Bytes, BytesMut};
use chatcore::error::BackendError;
use fault::failed;
use futures_util::future::try_join;
use krafka::admin::{AdminClient, DescribeConsumerGroupsOptions, DescribeTopicsOptions};
use krafka::auth::{AuthConfig, TlsConfig};
use krafka::consumer::{
    AutoOffsetReset, Consumer, ConsumerRebalanceListener, ConsumerRecord, GroupProtocol as Protocol, OffsetAndMetadata,
    PartitionAssignmentStrategy, TopicPartition,
};
use krafka::{CloseOptions, Kafka};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// The broker answers a fetch after this time at the latest, and a poll ends.
pub(crate) const POLL: Duration = Duration::from_millis(100);
/// After this time without a word of a partition it is looked whether something waits there.
const QUIET: Duration = Duration::from_secs(2);
/// As much is handed out by one poll.
pub(crate) const POLL_RECORDS: u16 = 2000;
/// So many bytes of a partition are fetched at once, as they are compressed: what says the same again and again is hundreds of times as
/// large once it is read. A broker gives a batch that is larger by itself.
const FETCH_BYTES: i32 = 64 << 10;
/// How many requests the member's client has under way on a connection. Its group may let a member wait long for its place: for the
/// end of a dead one's session, or for records in hand. A heartbeat that was sent behind that would time out, and the client
/// close the connection and lose its place just as it is given one. So it waits here, where no time runs.
const AT_ONCE: usize = 1;
/// And how many who asks beside it, on connections of its own.
const BESIDE: usize = 10;
/// So old may be what the client knows of the topics.
const KNOWN: Duration = Duration::from_secs(5);
/// So much longer than it may take to give records back, and no less than this, the group waits for a member.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(300);

/// How a group is called whose members have what they are to have.
const STABLE: &str = "Stable";

/// A place in a group, and what can be asked about the group.
pub(crate) struct Group {
    id: String,
    config: Arc<KafkaConfig>,
    kafka: Kafka,
    consumer: Consumer,
    admin: AdminClient,
    listener: Arc<Listener>,
    /// Which topics these are: one that is deleted and made again has its name and another id.
    ids: Mutex<BTreeMap<Topic, [u8; 16]>>,
    answered: Mutex<BTreeSet<Part>>,
}

/// Tells the member what it is given and what is taken from it. The client waits for it.
#[derive(Default)]
struct Listener {
    config: OnceLock<Arc<KafkaConfig>>,
    member: OnceLock<Weak<Member>>,
}

impl Group {
    /// Connects, and asks for a place. The place is given by the first polls.
    pub(crate) async fn join(config: Arc<KafkaConfig>, group: &str) -> Result<Self, BackendError> {
        let (id, timeout) = (format!("{}{group}", config.group_prefix), config.call_timeout);
        let connect = async |requests| {
            let kafka =
                Kafka::builder(config.bootstrap_servers.join(",")).client_id("chatcore").metadata_max_age(KNOWN);
            let kafka = kafka.connect_timeout(timeout).request_timeout(timeout).security(security(&config));
            kafka.max_in_flight_requests(requests).connect().await.map_err(failed)
        };
        let (reads, kafka) = try_join(connect(AT_ONCE), connect(BESIDE)).await?;
        let listener = Arc::new(Listener { config: config.clone().into(), ..Listener::default() });
        let heartbeat = (config.session_timeout / 6).min(Duration::from_millis(500));
        let consumer = reads
            .consumer(id.clone())
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .enable_auto_commit(false)
            .fetch_max_wait(POLL)
            .heartbeat_interval(heartbeat)
            .lag_staleness_threshold(QUIET)
            // A buffer that paused partitions fill would keep the others from being fetched.
            .max_buffered_records(0)
            .max_partition_fetch_bytes(FETCH_BYTES)
            .max_poll_interval(MAX_POLL_INTERVAL)
            .max_poll_records(i32::from(POLL_RECORDS))
            .metrics_push(false)
            // Partitions of one number go to one member, and with them all topics of a session.
            .partition_assignment_strategy(PartitionAssignmentStrategy::Range)
            .rebalance_listener(listener.clone())
            .session_timeout(config.session_timeout);
        let consumer = match config.group_protocol {
            GroupProtocol::Classic => consumer,
            GroupProtocol::Consumer => consumer.group_protocol(Protocol::Consumer).group_remote_assignor("range"),
        };
        let consumer = consumer.build().await.map_err(failed)?;
        consumer.subscribe(Topic::ALL.map(|topic| config.topics.name(topic))).await.map_err(failed)?;
        let (ids, answered) = Default::default();
        let group = Self { id, config, consumer, admin: kafka.admin(), kafka, listener, ids, answered };
        _ = group.made_anew().await?;
        Ok(group)
    }

    /// From now on this member is told of changes.
    pub(crate) fn tell(&self, member: &Arc<Member>) {
        _ = self.listener.member.set(Arc::downgrade(member));
    }

    /// The next records; none after so long without. Changes of the group happen within it. A dropped call loses nothing.
    pub(crate) async fn poll(&self, wait: Duration) -> Result<Vec<Fetched>, BackendError> {
        match self.consumer.poll(wait).await {
            Ok(records) => Ok(records.into_iter().filter_map(|record| fetched(&self.config, record)).collect()),
            Err(error) => self.pass(error).await,
        }
    }

    /// Counts the places that the group has given; `None` before the first.
    pub(crate) async fn generation(&self) -> Option<i32> {
        self.consumer.group_metadata().await.map(|metadata| metadata.generation_id())
    }

    /// Where each partition is read on: all before has been handed out.
    pub(crate) async fn places(&self) -> BTreeMap<Part, Option<i64>> {
        let lags = self.consumer.lag().await;
        let named: Vec<_> = lags.iter().filter_map(|(named, lag)| Some((part_of(&self.config, named)?, lag))).collect();
        let answered = named.iter().filter(|(_, lag)| lag.high_watermark.is_some()).map(|(part, _)| *part);
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).extend(answered);
        named.into_iter().map(|(part, lag)| (part, lag.position)).collect()
    }

    /// Whether each topic is another than it was when this was asked last; without those that cannot be told of.
    pub(crate) async fn made_anew(&self) -> Result<BTreeMap<Topic, bool>, BackendError> {
        let names = Topic::ALL.map(|topic| self.config.topics.name(topic));
        let options = DescribeTopicsOptions::default().timeout(self.config.call_timeout);
        let described = self.admin.describe_topics(names, options).await.map_err(failed)?;
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let anew = |topic: Topic| {
            let told = described.get(self.config.topics.name(topic))?.as_ref().ok()?;
            let before = ids.insert(topic, told.topic_id);
            Some((topic, before.is_some_and(|before| before != told.topic_id)))
        };
        Ok(Topic::ALL.into_iter().filter_map(anew).collect())
    }

    /// Reads a partition again from where its log starts.
    pub(crate) async fn begin_anew(&self, part: Part) {
        _ = self.consumer.seek_to_beginning(self.config.topics.name(part.topic), part.number).await;
    }

    /// Whether each partition was ever answered. Without the right to read a topic none is, and the client says so to its log
    /// alone. What the client knows of a partition does not tell: it forgets that by a change of the group, and a broker
    /// that it asks on in the same session does not answer again before there is something new.
    pub(crate) async fn is_answered(&self) -> bool {
        let places = self.places().await;
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        places.keys().all(|part| answered.contains(part))
    }

    /// Stops fetching from a partition, or goes on.
    pub(crate) async fn pause(&self, part: Part, pause: bool) {
        let topic = self.config.topics.name(part.topic);
        match pause {
            true => self.consumer.pause(topic, &[part.number]).await,
            false => self.consumer.resume(topic, &[part.number]).await,
        }
    }

    /// Where the member goes on reading.
    pub(crate) async fn position(&self, part: Part) -> Option<i64> {
        self.consumer.position(self.config.topics.name(part.topic), part.number).await
    }

    pub(crate) async fn commit(&self, commits: &[Commit]) -> Result<(), BackendError> {
        let offsets = commits.iter().map(|commit| {
            (self.named(&commit.part), OffsetAndMetadata::with_metadata(commit.position, commit.beside.clone()))
        });
        self.consumer.commit_offsets(offsets).await.map_err(failed)
    }

    /// How many partitions each topic has that can be told of. The client takes note, and shares out as many where it leads.
    pub(crate) async fn partitions(&self) -> BTreeMap<Topic, usize> {
        let mut partitions = BTreeMap::new();
        for topic in Topic::ALL {
            let name = self.config.topics.name(topic);
            let told = self.consumer.fetch_metadata(Some(name)).await.map(|told| told.topics).unwrap_or_default();
            let there = told.into_iter().find(|there| there.name == name);
            partitions.extend(there.map(|there| (topic, there.partitions.len())));
        }
        partitions
    }

    pub(crate) fn is_classic(&self) -> bool {
        self.config.group_protocol == GroupProtocol::Classic
    }

    /// Which partitions have a member; `None` where that cannot be told, as while the group is being rearranged.
    pub(crate) async fn shared(&self) -> Result<Option<BTreeSet<Part>>, BackendError> {
        let options = DescribeConsumerGroupsOptions::default().timeout(self.config.call_timeout);
        let mut groups = self.admin.describe_consumer_groups([&self.id], options).await.map_err(failed)?;
        let Some(group) = groups.remove(&self.id).transpose().map_err(failed)? else { return Ok(None) };
        let mut shared = BTreeSet::new();
        for of_topic in group.members.iter().flat_map(|member| member.assignment.iter().flatten()) {
            let topic = self.config.topics.topic(&of_topic.topic_name);
            let parts = of_topic.partitions.iter().filter_map(|number| Some(Part { number: *number, topic: topic? }));
            shared.extend(parts);
        }
        let told = group.state == STABLE && group.members.iter().all(|member| member.assignment.is_some());
        Ok(told.then_some(shared))
    }

    /// Has the client ask for its place anew by its next poll. The group rearranges itself where its leader does that.
    pub(crate) async fn rejoin(&self) -> Result<(), BackendError> {
        let topics = Topic::ALL.map(|topic| self.config.topics.name(topic));
        // It asks when what it is subscribed to changes: a topic that is named twice is enough of a change.
        self.consumer.subscribe(topics.iter().chain(&topics[..1])).await.map_err(failed)?;
        self.consumer.subscribe(topics).await.map_err(failed)
    }

    /// Gives up the place.
    pub(crate) async fn leave(&self) -> Result<(), BackendError> {
        let options = CloseOptions::new().timeout(self.config.call_timeout);
        self.consumer.close_with(options).await.map_err(failed)
    }

    /// What a topic is called.
    pub(crate) fn name(&self, topic: Topic) -> &str {
        self.config.topics.name(topic)
    }

    fn named(&self, part: &Part) -> TopicPartition {
        TopicPartition::new(self.name(part.topic), part.number)
    }
}

impl Listener {
    fn told(&self, named: &[TopicPartition]) -> Option<(Arc<Member>, Vec<Part>)> {
        let (config, member) = (self.config.get()?, self.member.get()?.upgrade()?);
        Some((member, named.iter().filter_map(|part| part_of(config, part)).collect()))
    }
}

impl ConsumerRebalanceListener for Listener {
    async fn on_partitions_assigned(&self, named: &[TopicPartition]) {
        if let Some((member, parts)) = self.told(named) {
            member.assigned(&parts).await;
        }
    }

    async fn on_partitions_revoked(&self, named: &[TopicPartition]) {
        if let Some((member, parts)) = self.told(named) {
            member.revoked(&parts).await;
        }
    }

    async fn on_partitions_lost(&self, named: &[TopicPartition]) {
        if let Some((member, parts)) = self.told(named) {
            member.lost(&parts);
        }
    }
}

fn part_of(config: &KafkaConfig, named: &TopicPartition) -> Option<Part> {
    Some(Part { number: named.partition, topic: config.topics.topic(&named.topic)? })
}

fn fetched(config: &KafkaConfig, record: ConsumerRecord) -> Option<Fetched> {
    let part = Part { number: record.partition, topic: config.topics.topic(&record.topic)? };
    let ConsumerRecord { offset, timestamp: at, key, value, headers, .. } = record;
    // The client gives slices of all that a broker answered: a record that waits would keep megabytes.
    let given = || [&key, &value].into_iter().chain(headers.iter().map(|(_, value)| value)).flatten();
    let mut copy = BytesMut::with_capacity(given().map(Bytes::len).sum());
    given().for_each(|bytes| copy.extend_from_slice(bytes));
    let mut copy = copy.freeze();
    let mut own = |bytes: Option<Bytes>| bytes.map(|bytes| copy.split_to(bytes.len()));
    let (key, value) = (own(key), own(value));
    let headers = headers.into_iter().map(|(name, value)| (name, own(value))).collect();
    Some(Fetched { part, offset, life: 0, at, key, value, headers, unreadable: None }.dated())
}

fn security(config: &KafkaConfig) -> AuthConfig {
    let sasl = |Sasl { mechanism, username, password }: &Sasl| match mechanism {
        Mechanism::Plain => AuthConfig::sasl_plain(username, password),
        Mechanism::ScramSha256 => AuthConfig::sasl_scram_sha256(username, password),
        Mechanism::ScramSha512 => AuthConfig::sasl_scram_sha512(username, password),
    };
    let auth = config.security.sasl.as_ref().map_or_else(AuthConfig::plaintext, sasl);
    match &config.security.tls {
        Some(tls) => auth.with_tls(match &tls.ca_file {
            Some(path) => TlsConfig::new().with_ca_cert(path.to_string_lossy()),
            None => TlsConfig::new(),
        }),
        None => auth,
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_waits_keeps_nothing_of_those_that_were_fetched_with_it() {
        let fetch = Bytes::from(vec![b'x'; 1 << 20]);
        let slice = |at: usize| Some(fetch.slice(at..at + 10));
        let config = KafkaConfig::new(Vec::new());
        let mut record = ConsumerRecord::new(&*config.topics.requests, 0, 7, slice(0), slice(10));
        record.headers.push(("name".to_owned(), slice(20)));
        let waits = fetched(&config, record).unwrap();
        assert_eq!((&waits.key, &waits.value, &waits.headers[0].1), (&slice(0), &slice(10), &slice(20)));
        assert!(fetch.is_unique(), "{waits:?}");
    }
}

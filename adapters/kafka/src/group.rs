//! The client that reads as a member of a group (krafka). This file alone knows it.

use crate::config::{GroupProtocol, KafkaConfig, Mechanism, Sasl};
use crate::error::NAME;
use crate::lanes::Commit;
use crate::member::Member;
use crate::record::Fetched;
use crate::topic::{Part, Topic};
use chatcore::error::BackendError;
use krafka::admin::{
    AdminClient, DescribeConsumerGroupsOptions, DescribeTopicsOptions, ListConsumerGroupOffsetsOptions,
    ListOffsetsOptions, ListedOffset, OffsetSpec,
};
use krafka::auth::{AuthConfig, TlsConfig};
use krafka::consumer::{
    AutoOffsetReset, Consumer, ConsumerRebalanceListener, ConsumerRecord, GroupProtocol as Protocol, OffsetAndMetadata,
    PartitionAssignmentStrategy, PartitionLag, TopicPartition,
};
use krafka::error::{ErrorCode, KrafkaError};
use krafka::{CloseOptions, Kafka};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// The broker answers a fetch after this time at the latest, and a poll ends.
const POLL: Duration = Duration::from_millis(100);
/// After this time without a word of a partition it is looked whether something waits there.
const QUIET: Duration = Duration::from_secs(2);
/// As much is handed out by one poll.
const POLL_RECORDS: i32 = 500;
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
        let kafka = Kafka::builder(config.bootstrap_servers.join(",")).client_id("chatcore").metadata_max_age(KNOWN);
        let kafka = kafka.connect_timeout(timeout).request_timeout(timeout).security(security(&config));
        let kafka = kafka.connect().await.map_err(failed)?;
        let listener = Arc::new(Listener { config: config.clone().into(), ..Listener::default() });
        let heartbeat = (config.session_timeout / 6).min(Duration::from_millis(500));
        let consumer = kafka
            .consumer(id.clone())
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .enable_auto_commit(false)
            .fetch_max_wait(POLL)
            .heartbeat_interval(heartbeat)
            .lag_staleness_threshold(QUIET)
            // A buffer that paused partitions fill would keep the others from being fetched.
            .max_buffered_records(0)
            .max_poll_interval(MAX_POLL_INTERVAL)
            .max_poll_records(POLL_RECORDS)
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
        let group = Self { id, config, consumer, admin: kafka.admin(), listener, ids, answered };
        _ = group.made_anew(&Topic::ALL.into()).await?;
        Ok(group)
    }

    /// From now on this member is told of changes.
    pub(crate) fn tell(&self, member: &Arc<Member>) {
        _ = self.listener.member.set(Arc::downgrade(member));
    }

    /// The next records; none after a while without. Changes of the group happen within it. A dropped call loses nothing.
    pub(crate) async fn poll(&self) -> Result<Vec<Fetched>, BackendError> {
        let records = self.consumer.poll(POLL).await.map_err(failed)?;
        Ok(records.into_iter().filter_map(|record| fetched(&self.config, record)).collect())
    }

    /// Where each partition is read on, and whether all that was there at the last fetch has been handed out.
    pub(crate) async fn places(&self) -> Vec<(Part, Option<i64>, bool)> {
        let lags = self.consumer.lag().await;
        let named: Vec<_> = lags.iter().filter_map(|(named, lag)| Some((part_of(&self.config, named)?, lag))).collect();
        let answered = named.iter().filter(|(_, lag)| lag.high_watermark.is_some()).map(|(part, _)| *part);
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).extend(answered);
        named.into_iter().map(|(part, lag)| (part, lag.position, lag.lag == Some(0))).collect()
    }

    /// Whether each of these topics is another than it was when this was asked last; without those that cannot be told of.
    pub(crate) async fn made_anew(&self, topics: &BTreeSet<Topic>) -> Result<BTreeMap<Topic, bool>, BackendError> {
        let names = topics.iter().map(|topic| self.config.topics.name(*topic));
        let options = DescribeTopicsOptions::default().timeout(self.config.call_timeout);
        let described = self.admin.describe_topics(names, options).await.map_err(failed)?;
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let anew = |topic: &Topic| {
            let told = described.get(self.config.topics.name(*topic))?.as_ref().ok()?;
            let before = ids.insert(*topic, told.topic_id);
            Some((*topic, before.is_some_and(|before| before != told.topic_id)))
        };
        Ok(topics.iter().filter_map(anew).collect())
    }

    /// Reads a partition again from where its log starts.
    pub(crate) async fn begin_anew(&self, part: Part) {
        _ = self.consumer.seek_to_beginning(self.config.topics.name(part.topic), part.number).await;
    }

    /// Whether each partition was ever answered. Without the right to read a topic none is, and the client says so to its log
    /// alone. What the client knows of a partition does not tell: it forgets that by a change of the group, and a broker
    /// that it asks on in the same session does not answer again before there is something new.
    pub(crate) async fn is_answered(&self) -> bool {
        let parts: Vec<Part> = self.places().await.into_iter().map(|(part, ..)| part).collect();
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().all(|part| answered.contains(part))
    }

    /// Partitions that hold something to read of which nothing has come for a while, and where they are read on. Who leads them has
    /// just told so.
    pub(crate) async fn overdue(&self) -> Result<BTreeMap<Part, i64>, BackendError> {
        let paused = self.consumer.paused_partitions().await;
        let place = |(named, lag): (TopicPartition, PartitionLag)| {
            let waits = lag.stale && !paused.contains(&(named.topic.clone(), named.partition));
            Some((part_of(&self.config, &named)?, lag.position.filter(|_| waits)?))
        };
        let places: BTreeMap<Part, i64> = self.consumer.lag().await.into_iter().filter_map(place).collect();
        if places.is_empty() {
            return Ok(places);
        }
        let specs = places.keys().map(|part| (self.named(part), OffsetSpec::Latest));
        // Brokers that do not answer must not keep those from it that do.
        let options = ListOffsetsOptions::default().timeout(self.config.call_timeout / 2);
        let ends = self.admin.list_offsets(specs, options).await.map_err(failed)?;
        let more = |(named, end): (TopicPartition, Result<ListedOffset, KrafkaError>)| {
            let (part, end) = part_of(&self.config, &named).zip(end.ok())?;
            places.get(&part).filter(|place| end.offset > **place).map(|place| (part, *place))
        };
        Ok(ends.into_iter().filter_map(more).collect())
    }

    /// Makes the client ask for these partitions at once: after failures it would wait for up to 30 s. Only between two polls.
    pub(crate) async fn nudge(&self, parts: &BTreeSet<Part>) {
        for part in parts {
            let (topic, number) = (self.config.topics.name(part.topic), part.number);
            let position = self.consumer.position(topic, number).await;
            // One of which it holds something does not wait.
            let waits = position.is_some() && position == self.consumer.fetch_position(topic, number).await;
            if let Some(position) = position.filter(|_| waits) {
                _ = self.consumer.seek(topic, number, position).await;
            }
        }
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

    /// What the group has committed, and what stands beside it.
    pub(crate) async fn committed(&self, parts: &[Part]) -> Result<BTreeMap<Part, (i64, String)>, BackendError> {
        let named = parts.iter().map(|part| self.named(part)).collect();
        let options = ListConsumerGroupOffsetsOptions::default().timeout(self.config.call_timeout).partitions(named);
        let offsets = self.admin.list_consumer_group_offsets(self.id.clone(), options).await.map_err(failed)?;
        let mut committed = BTreeMap::new();
        for (part, offset) in offsets {
            let offset = offset.map_err(failed)?;
            let known = part_of(&self.config, &part).zip(offset.offset.filter(|offset| *offset >= 0));
            committed.extend(known.map(|(part, at)| (part, (at, offset.metadata.unwrap_or_default()))));
        }
        Ok(committed)
    }

    /// Where the logs end.
    pub(crate) async fn ends(&self, parts: &[Part]) -> Result<BTreeMap<Part, i64>, BackendError> {
        self.offsets(parts, OffsetSpec::Latest).await
    }

    /// Where the logs start.
    pub(crate) async fn starts(&self, parts: &[Part]) -> Result<BTreeMap<Part, i64>, BackendError> {
        self.offsets(parts, OffsetSpec::Earliest).await
    }

    async fn offsets(&self, parts: &[Part], of: OffsetSpec) -> Result<BTreeMap<Part, i64>, BackendError> {
        let specs = parts.iter().map(|part| (self.named(part), of));
        let options = ListOffsetsOptions::default().timeout(self.config.call_timeout);
        let mut offsets = BTreeMap::new();
        for (part, listed) in self.admin.list_offsets(specs, options).await.map_err(failed)? {
            let offset = listed.map_err(failed)?.offset;
            offsets.extend(part_of(&self.config, &part).map(|part| (part, offset)));
        }
        Ok(offsets)
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

    fn named(&self, part: &Part) -> TopicPartition {
        TopicPartition::new(self.config.topics.name(part.topic), part.number)
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
    Some(Fetched { part, offset, life: 0, at, key, value, headers }.dated())
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

fn failed(error: KrafkaError) -> BackendError {
    match lasts(&error) {
        true => BackendError::never(NAME, error),
        false => BackendError::later(NAME, error),
    }
}

/// Whether somebody has to give a right, or mend a setting or what lies in a topic. The client calls more than that not
/// retriable, also what the next rebalance mends.
fn lasts(error: &KrafkaError) -> bool {
    match error {
        KrafkaError::Config { .. } => true,
        // No version that both know; or a batch that cannot be read, at which its partition stands.
        KrafkaError::Protocol { kind, .. } => !kind.is_retriable(),
        KrafkaError::Broker { code, .. } => matches!(
            code,
            ErrorCode::TopicAuthorizationFailed
                | ErrorCode::GroupAuthorizationFailed
                | ErrorCode::ClusterAuthorizationFailed
                | ErrorCode::SaslAuthenticationFailed
                | ErrorCode::UnsupportedVersion
                | ErrorCode::UnsupportedAssignor
                | ErrorCode::InconsistentGroupProtocol
                | ErrorCode::InvalidGroupId
                | ErrorCode::InvalidSessionTimeout
        ),
        other => other.is_fatal(),
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
    use krafka::error::ProtocolErrorKind;

    #[test]
    fn what_somebody_has_to_mend_is_told_from_what_passes() {
        let broker = |code| KrafkaError::broker(code, "");
        let no_version = KrafkaError::protocol_kind(ProtocolErrorKind::UnknownApiVersion, "");
        let damaged = KrafkaError::protocol_kind(ProtocolErrorKind::CrcMismatch, "");
        let no_right = [ErrorCode::GroupAuthorizationFailed, ErrorCode::TopicAuthorizationFailed].map(broker);
        for error in [no_version, damaged, broker(ErrorCode::UnsupportedVersion)].into_iter().chain(no_right) {
            assert!(!failed(error.clone()).may_pass(), "{error}");
        }
        let rebalance = [ErrorCode::RebalanceInProgress, ErrorCode::IllegalGeneration, ErrorCode::UnknownMemberId];
        let away = [KrafkaError::timeout("poll"), KrafkaError::unknown_topic("deleted")];
        for error in rebalance.map(broker).into_iter().chain(away) {
            assert!(failed(error.clone()).may_pass(), "{error}");
        }
    }
}

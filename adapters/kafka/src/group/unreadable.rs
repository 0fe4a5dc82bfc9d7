//! Batches of records that the client cannot read: it would stand before one for ever. What comes of it is one record that stands for
//! the whole batch and goes the way of all that cannot be read, and the client goes on behind it.
//!
//! The client names the place, and not where the batch ends: so the batch is asked for once more, as its bytes. The parts of
//! the client that this takes are the ones that its own tools use.

use super::Group;
use super::fault::failed;
use crate::record::{Fetched, NO_TIME};
use crate::topic::Part;
use bytes::{Bytes, BytesMut};
use chatcore::error::BackendError;
use krafka::__private::protocol::{
    ApiKey, FetchPartitionRequest, FetchRequest, FetchResponse, FetchTopicRequest, RecordBatch, VersionedDecode,
    VersionedEncode,
};
use krafka::__private::{kafka_metadata, kafka_pool};
use krafka::error::KrafkaError;

/// A fetch of these versions names its topic, as all brokers know it that the client does.
const VERSIONS: (i16, i16) = (4, 12);

/// A batch that cannot be read: its first and last offset, and why.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable {
    first: i64,
    last: i64,
    why: String,
}

impl Group {
    /// What stands for the batch at which the client stands, if that is what it says. Another fault is as it was.
    pub(super) async fn pass(&self, error: KrafkaError) -> Result<Vec<Fetched>, BackendError> {
        let Some((part, at)) = self.stands_before(&error).await else { return Err(failed(error)) };
        let batch = self.batch(part, at).await.map_err(failed)?;
        let Some(Unreadable { first, last, why }) = unreadable(&batch, at) else { return Err(failed(error)) };
        let topic = self.config.topics.name(part.topic);
        tracing::error!(topic, partition = part.number, first, last, why, "a batch cannot be read, and is passed over");
        self.consumer.seek(topic, part.number, last + 1).await.map_err(failed)?;
        let unreadable = Some(format!("the batch from offset {first} to {last} cannot be read: {why}"));
        let (key, value, headers) = Default::default();
        Ok(vec![Fetched { part, offset: last, life: 0, at: NO_TIME, key, value, headers, unreadable }])
    }

    /// The client tells the place in words alone.
    async fn stands_before(&self, error: &KrafkaError) -> Option<(Part, i64)> {
        let KrafkaError::Protocol { message, .. } = error else { return None };
        let names = |part: &Part, at: i64| {
            let topic = self.config.topics.name(part.topic);
            message.starts_with(&format!("undecodable record batch at {topic}-{} offset {at};", part.number))
        };
        let places = self.places().await;
        places.into_iter().find_map(|(part, at)| at.filter(|at| names(&part, *at)).map(|at| (part, at)))
    }

    /// The bytes of the batch that holds this offset, and perhaps of some behind it.
    async fn batch(&self, part: Part, at: i64) -> Result<Bytes, KrafkaError> {
        let (metadata, topic) = (kafka_metadata(&self.kafka), self.config.topics.name(part.topic));
        let leader = metadata.leader(topic, part.number).and_then(|leader| metadata.broker(leader));
        let leader = leader.ok_or_else(|| KrafkaError::unknown_topic(topic))?;
        let connection = kafka_pool(&self.kafka).get_connection_by_id(leader.id(), leader.address()).await?;
        let version = connection.negotiate_api_version(ApiKey::Fetch, VERSIONS.1, VERSIONS.0).unwrap_or(VERSIONS.0);
        let (mut of_part, mut of_topic) = (FetchPartitionRequest::default(), FetchTopicRequest::default());
        let mut request = FetchRequest::default();
        // A broker gives a whole batch, however large it is.
        (of_part.partition, of_part.fetch_offset, of_part.partition_max_bytes) = (part.number, at, 1);
        (of_topic.topic, of_topic.partitions) = (topic.to_owned(), vec![of_part]);
        (request.max_bytes, request.topics) = (1, vec![of_topic]);
        let encode = |buffer: &mut BytesMut| request.encode_versioned(version, buffer);
        let mut answer = connection.send_request(ApiKey::Fetch, version, encode).await?;
        let answer = FetchResponse::decode_versioned(version, &mut answer)?;
        let mut parts = answer.responses.into_iter().flat_map(|topic| topic.partitions);
        Ok(parts.next().and_then(|part| part.records).unwrap_or_default())
    }
}

/// `None` where it can be read after all, or is not there.
fn unreadable(bytes: &Bytes, at: i64) -> Option<Unreadable> {
    let why = RecordBatch::decode(&mut bytes.clone()).err()?.to_string();
    let first = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    // What was written before Kafka 0.11 has its last offset there.
    let is_batch = *bytes.get(16)? == 2;
    let more = if is_batch { i32::from_be_bytes(bytes.get(23..27)?.try_into().ok()?) } else { 0 };
    Some(Unreadable { first, last: first.saturating_add(more.into()).max(at), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use krafka::__private::protocol::RecordBatchBuilder;

    #[test]
    fn a_batch_that_cannot_be_read_tells_its_offsets() {
        let three = ["a", "b", "c"].into_iter();
        let batch = three.fold(RecordBatchBuilder::new(), |batch, value| batch.add_record(None::<Bytes>, Some(value)));
        let mut bytes = batch.build().encode().unwrap().to_vec();
        bytes[7] = 7;
        let of = |bytes: &[u8]| {
            let batch = unreadable(&Bytes::copy_from_slice(bytes), 8);
            batch.map(|batch| (batch.first, batch.last))
        };
        assert_eq!(of(&bytes), None, "it can be read after all");
        assert_eq!(of(&[]), None, "it is not there");
        assert_eq!(of(&bytes[..bytes.len() - 1]), Some((7, 9)), "its end is missing");
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(of(&bytes), Some((7, 9)), "it is damaged");
        bytes[16] = 1;
        assert_eq!(of(&bytes), Some((7, 8)), "one that is that old is passed over as far as the client stands");
    }
}

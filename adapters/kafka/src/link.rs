//! The client that writes and that reads dead letters (rskafka), made to keep a deadline and to forget what failed.
//!
//! It has no timeout of its own, so each call here runs against the clock, from connecting on. What a call uses is taken out
//! of its place and put back when it went well: one that failed, or was given up, leaves an empty place, and the next call
//! connects anew.

use crate::config::{Compression, KafkaConfig, Mechanism, Sasl};
use crate::deadline::within;
use crate::error::{Failed, OpenError};
use crate::record::{NO_TIME, time};
use crate::tls;
use chatcore::port::Runtime;
use futures_util::FutureExt;
use futures_util::future::select_ok;
use rskafka::BackoffConfig;
use rskafka::client::partition::{self, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use rskafka::record::{Record, RecordAndOffset};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as Turns;

/// How many bytes of dead letters are fetched at once, where more than one is wanted.
const FETCH: i32 = 1 << 20;

/// The client that writes. It connects when it is first used.
pub(crate) struct Link {
    servers: Vec<String>,
    tls: Option<Arc<rustls::ClientConfig>>,
    sasl: Option<SaslConfig>,
    compression: partition::Compression,
    timeout: Duration,
    runtime: Arc<dyn Runtime>,
    client: Turns<Option<Arc<Client>>>,
    places: Mutex<BTreeMap<(String, i32), Place>>,
}

/// A partition's client, where there is one. Who holds the lock is the only one that writes there.
type Place = Arc<Turns<Option<PartitionClient>>>;

impl Link {
    pub(crate) fn new(config: &KafkaConfig, runtime: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        Ok(Self {
            servers: config.bootstrap_servers.clone(),
            tls: config.security.tls.as_ref().map(tls::client_config).transpose()?,
            sasl: config.security.sasl.as_ref().map(sasl),
            compression: match config.compression {
                Compression::None => partition::Compression::NoCompression,
                Compression::Gzip => partition::Compression::Gzip,
            },
            timeout: config.call_timeout,
            runtime,
            client: Turns::default(),
            places: Mutex::default(),
        })
    }

    /// The topics and how many partitions each has.
    pub(crate) async fn topics(&self, timeout: Duration) -> Result<BTreeMap<String, i32>, Failed> {
        let work = async {
            let topics = self.client().await?.list_topics().await?;
            Ok(topics.into_iter().map(|topic| (topic.name, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX))))
        };
        Ok(self.within(timeout.min(self.timeout), work).await?.collect())
    }

    /// Why no connection comes about, where there is none. Calls try again until their time is over, and then know only that.
    pub(crate) async fn why(&self, timeout: Duration) -> Option<Failed> {
        if self.client.try_lock().is_ok_and(|client| client.is_some()) {
            return None;
        }
        let once = BackoffConfig { deadline: Some(Duration::ZERO), ..self.backoff() };
        let work = async { Ok(self.connect(once).await.err()) };
        within((&self.runtime, timeout), work).await.unwrap_or_else(|_: Failed| None).map(Failed::from)
    }

    /// Makes a topic, in half the time of a call: who asks for it may have others to go on with.
    pub(crate) async fn create(&self, topic: &str, partitions: i32, replication: i16) -> Result<(), Failed> {
        let timeout = self.timeout / 2;
        let patience = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let work = async {
            let controller = self.client().await?.controller_client()?;
            Ok(controller.create_topic(topic, partitions, replication, patience).await?)
        };
        self.within(timeout, work).await
    }

    /// Appends records to a partition, all or none, behind those that are being appended. Where it takes none of such a time,
    /// as when a clock is off, they go without one.
    pub(crate) async fn append(
        &self,
        topic: &str,
        number: i32,
        records: impl Fn() -> Vec<Record>,
    ) -> Result<(), Failed> {
        match self.produce(topic, number, records()).await {
            Err(Failed::Untimely) => {
                tracing::warn!(topic, "a broker takes no record of this time, so it gets none: a clock may be off");
                let timeless = records().into_iter().map(|record| Record { timestamp: time(NO_TIME), ..record });
                self.produce(topic, number, timeless.collect()).await
            }
            done => done,
        }
    }

    async fn produce(&self, topic: &str, number: i32, records: Vec<Record>) -> Result<(), Failed> {
        let work = async |client: &PartitionClient| client.produce(records, self.compression).await.map(drop);
        self.at((topic, number), work).await
    }

    /// The first offset of a partition's log, and the one behind its last.
    pub(crate) async fn ends(&self, topic: &str, number: i32) -> Result<(i64, i64), Failed> {
        let work = async |client: &PartitionClient| {
            Ok((client.get_offset(OffsetAt::Earliest).await?, client.get_offset(OffsetAt::Latest).await?))
        };
        self.at((topic, number), work).await
    }

    /// Some records from this offset on.
    pub(crate) async fn fetch(&self, topic: &str, number: i32, from: i64) -> Result<Vec<RecordAndOffset>, Failed> {
        self.fetch_bytes((topic, number), from, FETCH).await
    }

    /// The record at this offset, if it is there.
    pub(crate) async fn fetch_one(&self, topic: &str, number: i32, at: i64) -> Result<Option<Record>, Failed> {
        // A broker gives a whole batch, however large it is.
        let records = self.fetch_bytes((topic, number), at, 2).await?;
        Ok(records.into_iter().find(|record| record.offset == at).map(|record| record.record))
    }

    async fn fetch_bytes(&self, place: (&str, i32), from: i64, bytes: i32) -> Result<Vec<RecordAndOffset>, Failed> {
        let work = async |client: &PartitionClient| Ok(client.fetch_records(from, 1..bytes, 100).await?.0);
        self.at(place, work).await
    }

    /// Does something with a partition's client. One after the other, so that a partition has one batch in flight.
    async fn at<T>(
        &self,
        (topic, number): (&str, i32),
        work: impl AsyncFnOnce(&PartitionClient) -> rskafka::client::error::Result<T>,
    ) -> Result<T, Failed> {
        let place = self.place(topic, number);
        let work = async {
            let mut place = place.lock().await;
            let client = match place.take() {
                Some(client) => client,
                None => self.client().await?.partition_client(topic, number, UnknownTopicHandling::Error).await?,
            };
            let done = work(&client).await.map_err(Failed::from);
            if done.as_ref().err().is_none_or(Failed::spares_client) {
                *place = Some(client);
            }
            done
        };
        self.within(self.timeout, work).await
    }

    fn place(&self, topic: &str, number: i32) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry((topic.to_owned(), number)).or_default().clone()
    }

    async fn client(&self) -> Result<Arc<Client>, Failed> {
        let mut place = self.client.lock().await;
        if let Some(client) = &*place {
            return Ok(client.clone());
        }
        Ok(place.insert(Arc::new(self.connect(self.backoff()).await?)).clone())
    }

    /// Connects to whichever server answers first. The client by itself would try one after the other, and wait for a silent one
    /// until its time is over.
    async fn connect(&self, backoff: BackoffConfig) -> rskafka::client::error::Result<Client> {
        let try_at = |server: &String| self.builder(server).backoff_config(backoff.clone()).build().boxed();
        select_ok(self.servers.iter().map(try_at)).await.map(|(client, _)| client)
    }

    fn builder(&self, server: &str) -> ClientBuilder {
        let mut builder = ClientBuilder::new(vec![server.to_owned()]).client_id("chatcore");
        if let Some(tls) = &self.tls {
            builder = builder.tls_config(tls.clone());
        }
        if let Some(sasl) = &self.sasl {
            builder = builder.sasl_config(sasl.clone());
        }
        builder
    }

    /// Without a deadline it would retry for ever.
    fn backoff(&self) -> BackoffConfig {
        let (init_backoff, max_backoff) = (Duration::from_millis(50), Duration::from_millis(500));
        BackoffConfig { init_backoff, max_backoff, base: 2.0, deadline: Some(self.timeout) }
    }

    async fn within<T>(&self, timeout: Duration, work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let done = within((&self.runtime, timeout), work).await;
        if let Err(Failed::Other(error)) = &done {
            tracing::debug!(error = %error.source, "a call to Kafka failed");
            // The connection that all share may be what failed. Who holds the lock is making a new one.
            if let Ok(mut client) = self.client.try_lock() {
                *client = None;
            }
        }
        done
    }
}

fn sasl(sasl: &Sasl) -> SaslConfig {
    let credentials = Credentials::new(sasl.username.clone(), sasl.password.clone());
    match sasl.mechanism {
        Mechanism::Plain => SaslConfig::Plain(credentials),
        Mechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
        Mechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("servers", &self.servers).finish_non_exhaustive()
    }
}

//! Wake-ups: one connection of this process listens on all channels that somebody here waits on. It is made when the first
//! comes, and closed some time after the last has gone.

use crate::error::{NAME, failed};
use crate::nodes::Nodes;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use chatcore::watch::Watch;
use deadpool_redis::redis::aio::{PubSubSink, PubSubStream};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long the connection stays when nobody waits any more, and how often it is asked whether it lives.
const QUIET: Duration = Duration::from_secs(1);
/// How long the server may take to answer on it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long until the next connection, where the last one was lost.
const BREATH: Duration = Duration::from_millis(20);
/// How long until the next try, where none came about.
const PAUSE: Duration = Duration::from_millis(200);

/// Listens for all who wait.
pub(crate) struct Hub {
    nodes: Arc<Nodes>,
    runtime: Arc<dyn Runtime>,
    /// Where it listens: its first caller's may end before it does.
    home: Option<Handle>,
    desk: Arc<Desk>,
}

/// Who waits for what.
struct Desk {
    channels: Mutex<Channels>,
    /// Grows when somebody comes or goes.
    asked: Watch<u64>,
}

#[derive(Default)]
struct Channels {
    wanted: BTreeMap<String, Weak<Channel>>,
    listening: bool,
    closed: bool,
}

/// A channel that somebody waits on.
struct Channel {
    name: String,
    heard: Watch<Heard>,
    desk: Arc<Desk>,
}

/// What came on a channel.
#[derive(Default)]
struct Heard {
    /// Grows with each message, and whenever one may have been missed.
    count: u64,
    /// The server has confirmed that it will tell.
    ready: bool,
    /// Why it cannot be listened to.
    refused: Option<BackendError>,
}

/// Somebody's place at a channel; the channel is left when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Listening(Arc<Channel>);

impl Hub {
    pub(crate) fn new(nodes: Arc<Nodes>, runtime: Arc<dyn Runtime>) -> Self {
        let desk = Desk { channels: Mutex::default(), asked: Watch::new(0) };
        Self { nodes, runtime, home: Handle::try_current().ok(), desk: Arc::new(desk) }
    }

    /// Listens on a channel from now on. What is told before `ready` is over may be missed.
    pub(crate) fn listen(&self, channel: String) -> Listening {
        let mut channels = self.desk.lock();
        let known = channels.wanted.get(&channel).and_then(Weak::upgrade);
        let place = known.unwrap_or_else(|| {
            let place = Channel { name: channel.clone(), heard: Watch::default(), desk: self.desk.clone() };
            let place = Arc::new(place);
            channels.wanted.insert(channel, Arc::downgrade(&place));
            place
        });
        let start = !std::mem::replace(&mut channels.listening, true);
        drop(channels);
        self.desk.asked.update(|asked| *asked += 1);
        if start {
            let ear = Ear { nodes: self.nodes.clone(), runtime: self.runtime.clone(), desk: self.desk.clone() };
            match &self.home {
                Some(home) => drop(home.spawn(ear.run())),
                None => self.runtime.spawn(Box::pin(ear.run())),
            }
        }
        Listening(place)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.desk.lock().closed = true;
        self.desk.asked.update(|asked| *asked += 1);
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

impl Listening {
    /// Waits until every later message will be heard, and answers how many were.
    ///
    /// # Errors
    /// The channel cannot be listened to.
    pub(crate) async fn ready(&self) -> Result<u64, BackendError> {
        self.0.heard.wait(|heard| heard.now()).await
    }

    /// Waits until there is more than was heard before, or some of it may have been missed.
    ///
    /// # Errors
    /// The channel cannot be listened to.
    pub(crate) async fn more(&self, than: u64) -> Result<u64, BackendError> {
        self.0.heard.wait(|heard| heard.now().filter(|now| !matches!(now, Ok(count) if *count == than))).await
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listening({})", self.0.name)
    }
}

impl Heard {
    /// `None` while it is not known whether it is heard.
    fn now(&self) -> Option<Result<u64, BackendError>> {
        match &self.refused {
            Some(why) => Some(Err(why.clone())),
            None => self.ready.then_some(Ok(self.count)),
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let mut channels = self.desk.lock();
        // Another place of the same name may have been taken meanwhile.
        if channels.wanted.get(&self.name).is_some_and(|place| place.strong_count() == 0) {
            channels.wanted.remove(&self.name);
        }
        drop(channels);
        self.desk.asked.update(|asked| *asked += 1);
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, channel: &str, change: impl Fn(&mut Heard)) {
        // The place is dropped outside of the lock, since its drop takes it.
        let place = self.lock().wanted.get(channel).and_then(Weak::upgrade);
        if let Some(place) = place {
            place.heard.update(change);
        }
    }

    fn tell_all(&self, change: impl Fn(&mut Heard)) {
        let places: Vec<Arc<Channel>> = self.lock().wanted.values().filter_map(Weak::upgrade).collect();
        places.iter().for_each(|place| place.heard.update(&change));
    }

    fn wanted(&self) -> BTreeSet<String> {
        self.lock().wanted.keys().cloned().collect()
    }

    /// Ends the listening if nobody waits; whoever comes then begins it anew.
    fn may_end(&self) -> bool {
        let mut channels = self.lock();
        let end = channels.closed || channels.wanted.is_empty();
        channels.listening &= !end;
        end
    }

    fn is_idle(&self) -> bool {
        self.lock().wanted.is_empty()
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

/// The task that listens.
struct Ear {
    nodes: Arc<Nodes>,
    runtime: Arc<dyn Runtime>,
    desk: Arc<Desk>,
}

impl Ear {
    /// Connects again and again. What was told between two connections is lost, so all are woken to look. Only where no
    /// other connection comes about, those who wait are told why.
    async fn run(self) {
        while !self.desk.may_end() {
            let ended = match self.connect().await {
                Ok(line) => {
                    self.listen(line).await;
                    Ok(())
                }
                Err(why) => Err(why),
            };
            self.desk.tell_all(|heard| {
                heard.ready = false;
                heard.refused = ended.as_ref().err().cloned();
            });
            self.runtime.sleep(if ended.is_err() { PAUSE } else { BREATH }).await;
        }
    }

    /// A connection on which is told what is wanted now. Each node of a cluster is tried, before anybody is told that none is
    /// there.
    async fn connect(&self) -> Result<Line, BackendError> {
        let mut left = self.nodes.count();
        loop {
            match self.connect_once().await {
                Err(_) if left > 1 => left -= 1,
                ended => return ended,
            }
        }
    }

    async fn connect_once(&self) -> Result<Line, BackendError> {
        let listener = self.in_time(self.nodes.listener()).await?;
        let (sink, stream) = listener.split();
        let mut line = Line { sink, stream, on: BTreeSet::new() };
        self.in_time(line.adjust(&self.desk)).await?;
        Ok(line)
    }

    /// Listens on one connection, until it breaks or nobody waits any more.
    async fn listen(&self, mut line: Line) {
        loop {
            let asked = self.desk.asked.read(|asked| *asked);
            if self.desk.is_closed() || self.in_time(line.adjust(&self.desk)).await.is_err() {
                return;
            }
            match self.next(&mut line, asked).await {
                Next::Message(channel) => self.desk.tell(&channel, |heard| heard.count += 1),
                Next::Asked => {}
                Next::Quiet if self.desk.is_idle() => return,
                Next::Quiet if self.in_time(line.is_alive()).await.is_ok() => {}
                Next::Quiet | Next::Lost => return,
            }
        }
    }

    async fn next(&self, line: &mut Line, asked: u64) -> Next {
        let change = pin!(self.desk.asked.wait(|now| (*now != asked).then_some(())));
        let quiet = self.runtime.sleep(QUIET);
        match select(line.stream.next(), select(change, quiet)).await {
            Either::Left((Some(message), _)) => Next::Message(message.get_channel_name().to_owned()),
            Either::Left((None, _)) => Next::Lost,
            Either::Right((Either::Left(_), _)) => Next::Asked,
            Either::Right((Either::Right(_), _)) => Next::Quiet,
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
        match select(pin!(work), self.runtime.sleep(PATIENCE)).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(BackendError::later(NAME, "no answer on the connection that listens")),
        }
    }
}

enum Next {
    Message(String),
    Asked,
    Quiet,
    Lost,
}

/// A connection, and what it listens on.
struct Line {
    sink: PubSubSink,
    stream: PubSubStream,
    on: BTreeSet<String>,
}

impl Line {
    /// Listens on what is wanted, and on nothing else.
    async fn adjust(&mut self, desk: &Desk) -> Result<(), BackendError> {
        let wanted = desk.wanted();
        let (come, gone): (Vec<_>, Vec<_>) =
            (wanted.difference(&self.on).cloned().collect(), self.on.difference(&wanted).cloned().collect());
        if !gone.is_empty() {
            self.sink.unsubscribe(&gone).await.map_err(failed)?;
            self.on.retain(|channel| wanted.contains(channel));
        }
        if !come.is_empty() {
            self.sink.subscribe(&come).await.map_err(failed)?;
            self.on.extend(come);
        }
        // Also a channel that was left and wanted again between two looks has a new place to be told.
        for channel in &self.on {
            desk.tell(channel, |heard| {
                heard.count += u64::from(!heard.ready);
                heard.ready = true;
                heard.refused = None;
            });
        }
        Ok(())
    }

    async fn is_alive(&mut self) -> Result<(), BackendError> {
        self.sink.ping::<deadpool_redis::redis::Value>().await.map(drop).map_err(failed)
    }
}

//! Wake-ups: one connection of this process listens on all channels that somebody here waits on. It is made when the first
//! comes, and closed some time after the last has gone. A channel is listened to a while longer than somebody waits, since
//! whoever was told of something mostly waits for more.

use crate::error::{NAME, failed};
use crate::heard::Heard;
use crate::known::Known;
use crate::node::Node;
use crate::nodes::Nodes;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use chatcore::watch::Watch;
use deadpool_redis::redis::aio::{PubSubSink, PubSubStream};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a channel is listened to when nobody waits any more, and how often it is asked whether the connection lives.
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
    /// Where it listens: its first caller's may end before it does.
    home: Option<Handle>,
    desk: Arc<Desk>,
}

/// Who waits for what.
struct Desk {
    runtime: Arc<dyn Runtime>,
    channels: Mutex<Channels>,
    /// Grows when the connection has something to do.
    asked: Watch<u64>,
}

#[derive(Default)]
struct Channels {
    wanted: BTreeMap<String, Wanted>,
    /// Those of them that came since the connection last looked.
    new: Vec<String>,
    listening: bool,
    closed: bool,
}

struct Wanted {
    channel: Arc<Channel>,
    waiting: usize,
    /// When the last one left.
    left: Duration,
}

/// A channel that somebody waits on.
struct Channel {
    name: String,
    heard: Watch<Heard>,
    known: Mutex<Known>,
}

/// Somebody who waits on a channel.
pub(crate) struct Listening {
    channel: Arc<Channel>,
    desk: Arc<Desk>,
}

impl Hub {
    pub(crate) fn new(nodes: Arc<Nodes>, runtime: Arc<dyn Runtime>) -> Self {
        let desk = Desk { runtime, channels: Mutex::default(), asked: Watch::new(0) };
        Self { nodes, home: Handle::try_current().ok(), desk: Arc::new(desk) }
    }

    /// Listens on a channel from now on. What is told before `ready` is over may be missed.
    pub(crate) fn listen(&self, name: String) -> Listening {
        let mut channels = self.desk.lock();
        let (channel, new) = channels.join(name);
        let start = !std::mem::replace(&mut channels.listening, true);
        drop(channels);
        if new {
            self.desk.asked.update(|asked| *asked += 1);
        }
        if start {
            let ear = Ear { nodes: self.nodes.clone(), desk: self.desk.clone() };
            match &self.home {
                Some(home) => drop(home.spawn(ear.run())),
                None => self.desk.runtime.spawn(Box::pin(ear.run())),
            }
        }
        Listening { channel, desk: self.desk.clone() }
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
        self.channel.heard.wait(|heard| heard.now()).await
    }

    /// How much was heard, where every later message will be heard already.
    pub(crate) fn heard(&self) -> Option<u64> {
        self.channel.heard.read(Heard::count)
    }

    /// What was heard since so much was, and how much that is now; `None` where some of it is not there any more.
    pub(crate) fn since(&self, heard: u64) -> Option<(u64, Vec<Arc<[u8]>>)> {
        self.channel.heard.read(|now| now.since(heard))
    }

    /// Waits until there is more than was heard before, or some of it may have been missed.
    ///
    /// # Errors
    /// The channel cannot be listened to.
    pub(crate) async fn more(&self, than: u64) -> Result<u64, BackendError> {
        self.channel.heard.wait(|heard| heard.now().filter(|now| !matches!(now, Ok(count) if *count == than))).await
    }

    /// What is known of the places of the channel's readers.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.channel.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listening({})", self.channel.name)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let now = self.desk.runtime.elapsed();
        if let Some(wanted) = self.desk.lock().wanted.get_mut(&self.channel.name) {
            wanted.waiting -= 1;
            wanted.left = now;
        }
    }
}

impl Channels {
    /// One more who waits; the channel, and whether it is new.
    fn join(&mut self, name: String) -> (Arc<Channel>, bool) {
        if let Some(wanted) = self.wanted.get_mut(&name) {
            wanted.waiting += 1;
            return (wanted.channel.clone(), false);
        }
        let channel = Channel { name: name.clone(), heard: Watch::default(), known: Mutex::default() };
        let wanted = Wanted { channel: Arc::new(channel), waiting: 1, left: Duration::ZERO };
        let channel = wanted.channel.clone();
        self.new.push(name.clone());
        self.wanted.insert(name, wanted);
        (channel, true)
    }

    /// Gives up what nobody has waited on for some time.
    fn tidy(&mut self, now: Duration) -> Vec<String> {
        let mut gone = Vec::new();
        self.wanted.retain(|name, wanted| {
            let stays = wanted.waiting > 0 || now < wanted.left + QUIET;
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
        gone
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, name: &str, change: impl Fn(&mut Heard)) {
        let channel = self.lock().wanted.get(name).map(|wanted| wanted.channel.clone());
        if let Some(channel) = channel {
            channel.heard.update(change);
        }
    }

    fn tell_all(&self, change: impl Fn(&mut Heard)) {
        let channels: Vec<_> = self.lock().wanted.values().map(|wanted| wanted.channel.clone()).collect();
        channels.iter().for_each(|channel| channel.heard.update(&change));
    }

    /// All channels, none of which is new any more.
    fn all(&self) -> Vec<String> {
        let mut channels = self.lock();
        channels.new.clear();
        channels.wanted.keys().cloned().collect()
    }

    /// Those that nobody has waited on for some time, which are none any more, and those that are new.
    fn changed(&self) -> (Vec<String>, Vec<String>) {
        let mut channels = self.lock();
        let gone = channels.tidy(self.runtime.elapsed());
        (gone, std::mem::take(&mut channels.new))
    }

    /// Ends the listening if nobody waits; whoever comes then begins it anew.
    fn may_end(&self) -> bool {
        let mut channels = self.lock();
        channels.tidy(self.runtime.elapsed());
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
                heard.is_lost(ended.as_ref().err());
            });
            self.desk.runtime.sleep(if ended.is_err() { PAUSE } else { BREATH }).await;
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
        let (node, listener) = self.in_time(self.nodes.listener()).await?;
        let (sink, stream) = listener.split();
        let mut line = Line { node, sink, stream };
        self.in_time(line.listen(&self.desk, &self.desk.all())).await?;
        Ok(line)
    }

    /// Listens on one connection, until it breaks, its node leaves the cluster, or nobody waits any more.
    async fn listen(&self, mut line: Line) {
        let (mut asked, mut tidied) = (0, self.desk.runtime.elapsed());
        loop {
            let (now, asks) = (self.desk.runtime.elapsed(), self.desk.asked.read(|asked| *asked));
            if asks != asked || now >= tidied + QUIET {
                (asked, tidied) = (asks, now);
                if self.nodes.is_out(&line.node) {
                    return;
                }
                if self.desk.is_closed() || self.in_time(line.adjust(&self.desk)).await.is_err() {
                    return;
                }
            }
            match self.next(&mut line, asked).await {
                Next::Message(channel, text) => self.desk.tell(&channel, |heard| heard.hear(text.clone())),
                Next::Asked => {}
                Next::Quiet if self.desk.is_idle() => return,
                Next::Quiet if self.in_time(line.is_alive()).await.is_ok() => {}
                Next::Quiet | Next::Lost => return,
            }
        }
    }

    async fn next(&self, line: &mut Line, asked: u64) -> Next {
        let change = pin!(self.desk.asked.wait(|now| (*now != asked).then_some(())));
        let quiet = self.desk.runtime.sleep(QUIET);
        match select(line.stream.next(), select(change, quiet)).await {
            Either::Left((Some(message), _)) => {
                let text = message.get_payload_bytes().into();
                Next::Message(message.get_channel_name().to_owned(), text)
            }
            Either::Left((None, _)) => Next::Lost,
            Either::Right((Either::Left(_), _)) => Next::Asked,
            Either::Right((Either::Right(_), _)) => Next::Quiet,
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
        match select(pin!(work), self.desk.runtime.sleep(PATIENCE)).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(BackendError::later(NAME, "no answer on the connection that listens")),
        }
    }
}

enum Next {
    Message(String, Arc<[u8]>),
    Asked,
    Quiet,
    Lost,
}

/// A connection.
struct Line {
    node: Arc<Node>,
    sink: PubSubSink,
    stream: PubSubStream,
}

impl Line {
    /// Listens on what is wanted, and on nothing else.
    async fn adjust(&mut self, desk: &Desk) -> Result<(), BackendError> {
        let (gone, new) = desk.changed();
        if !gone.is_empty() {
            self.sink.unsubscribe(&gone).await.map_err(failed)?;
        }
        self.listen(desk, &new).await
    }

    async fn listen(&mut self, desk: &Desk, new: &[String]) -> Result<(), BackendError> {
        if !new.is_empty() {
            self.sink.subscribe(new).await.map_err(failed)?;
        }
        for channel in new {
            desk.tell(channel, Heard::is_ready);
        }
        Ok(())
    }

    async fn is_alive(&mut self) -> Result<(), BackendError> {
        self.sink.ping::<deadpool_redis::redis::Value>().await.map(drop).map_err(failed)
    }
}

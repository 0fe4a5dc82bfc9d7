//! Who is called: the one server, or the node of a cluster that has the slot. Nodes have their own connections and breakers, so
//! that one that is silent takes nothing from the others.

use crate::check::Check;
use crate::config::RedisConfig;
use crate::error::{NAME, OpenError, failed};
use crate::link::{Maker, beside};
use crate::node::{Common, Node};
use crate::value::{Read, items, number, text};
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use chatcore::watch::Watch;
use deadpool_redis::redis::aio::PubSub;
use deadpool_redis::redis::{ConnectionInfo, RedisError, Value, cmd};
use futures_util::FutureExt;
use futures_util::future::select_ok;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;
/// How long after the last time it is asked again who has which slot, at the soonest.
const PAUSE: Duration = Duration::from_millis(200);

/// The servers.
pub(crate) struct Nodes {
    common: Arc<Common>,
    /// The first that the configuration names: the only one, where there is no cluster.
    first: Arc<Node>,
    known: Mutex<Known>,
    learning: Watch<Learning>,
    /// Which node is the next where any will do.
    next: AtomicUsize,
}

/// What is known of a cluster.
#[derive(Default)]
struct Known {
    /// Those that the configuration names, and those that have slots.
    nodes: Vec<Arc<Node>>,
    /// First slots, last slots and who has them.
    ranges: Vec<(u16, u16, Arc<Node>)>,
    /// Slots that a node said are elsewhere now.
    moved: BTreeMap<u16, Arc<Node>>,
}

/// Whether it is being asked who has which slot.
#[derive(Default)]
struct Learning {
    running: bool,
    /// How often it was, and when that began last.
    times: u64,
    began: Option<Duration>,
    refused: Option<BackendError>,
}

impl Nodes {
    pub(crate) fn new(config: &RedisConfig, clock: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        let maker = Maker::new(config)?;
        let check = Check::new(config, maker.servers().len() > 1);
        let home = Handle::try_current().ok();
        let common = Arc::new(Common { maker, check, clock, call_timeout: config.call_timeout, home });
        let node = |server: &_| Arc::new(Node::new(common.clone(), Clone::clone(server)));
        let nodes: Vec<Arc<Node>> = common.maker.servers().iter().map(node).collect();
        let first = nodes[0].clone();
        let known = Mutex::new(Known { nodes, ..Known::default() });
        Ok(Self { common, first, known, learning: Watch::default(), next: AtomicUsize::new(0) })
    }

    pub(crate) fn check(&self) -> &Check {
        &self.common.check
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.common.check.is_cluster()
    }

    /// Who has the slot of this key. A cluster of which nothing is known yet is asked first; the caller bounds the wait.
    pub(crate) async fn of(self: &Arc<Self>, key: &[u8]) -> Result<Arc<Node>, BackendError> {
        if !self.is_cluster() {
            return Ok(self.first.clone());
        }
        let slot = slot(key);
        if let Some(node) = self.known(|known| known.has(slot)) {
            return Ok(node);
        }
        let times = self.learning.read(|learning| learning.times);
        self.learn();
        let told =
            |learning: &Learning| (learning.times != times || !learning.running).then(|| learning.refused.clone());
        if let Some(refused) = self.learning.wait(told).await {
            return Err(refused);
        }
        // Nodes that have just met do not know all: any of them says where it is, or that nobody has it.
        Ok(self.known(|known| known.has(slot)).unwrap_or_else(|| self.some()))
    }

    /// Why the node that has the slot of this key is not there, as far as that is known.
    pub(crate) fn away(&self, key: &[u8]) -> Option<BackendError> {
        self.known(|known| known.has(slot(key)))?.breaker.why()
    }

    /// Who is meant by a node that said that a slot is elsewhere, and whether it has it for good.
    pub(crate) fn redirected(self: &Arc<Self>, by: &Node, error: &RedisError) -> Option<(Arc<Node>, bool)> {
        let (address, slot) = error.redirect_node()?;
        let server = beside(&by.server, address)?;
        let node = self.known(|known| known.node(&self.common, server));
        self.common.check.found_a_cluster();
        let has_moved = error.code() == Some("MOVED");
        if has_moved {
            self.known(|known| known.moved.insert(slot, node.clone()));
            self.learn();
        }
        Some((node, has_moved))
    }

    /// Asks who has which slot, beside the calls, unless that is done or was done a moment ago. All nodes are asked: the first
    /// who answers is believed.
    pub(crate) fn learn(self: &Arc<Self>) {
        if !self.is_cluster() {
            return;
        }
        let now = self.common.clock.elapsed();
        let start = self.learning.update(|learning| {
            let may = !learning.running && learning.began.is_none_or(|began| now.saturating_sub(began) >= PAUSE);
            if may {
                (learning.running, learning.began) = (true, Some(now));
            }
            may
        });
        if !start {
            return;
        }
        self.beside(Task { nodes: self.clone(), refused: None }.run());
    }

    /// Does something that no caller waits for.
    pub(crate) fn beside(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Ok(home) = self.common.home.clone().map_or_else(|| self.common.runtime(), Ok) {
            drop(home.spawn(task));
        }
    }

    /// Over how many partitions the sessions are spread says a node that may have been away until now.
    async fn look_at_spread(&self) -> Read<()> {
        let check = &self.common.check;
        let Some(command) = check.of_spread() else { return Ok(()) };
        match self.known(|known| known.has(slot(check.meta().as_bytes()))) {
            Some(node) => check.spread_is(node.ask(&command).await?),
            None => Ok(()),
        }
    }

    async fn ask_all(&self) -> Read<()> {
        let nodes = self.known(|known| known.nodes.clone());
        let (owners, _) = select_ok(nodes.iter().map(|node| self.ask(node).boxed())).await?;
        self.known(|known| known.learned(&self.common, owners));
        Ok(())
    }

    /// What a node knows: first and last slots, and who has them.
    async fn ask(&self, node: &Arc<Node>) -> Read<Vec<(u16, u16, ConnectionInfo)>> {
        let told = node.ask(cmd("CLUSTER").arg("SLOTS")).await?;
        let range = |range: Value| {
            let mut range = items(range)?.into_iter();
            let mut next = || range.next().unwrap_or_default();
            let (first, last, mut master) = (number(next())?, number(next())?, items(next())?.into_iter());
            let (host, port) = (master.next().unwrap_or_default(), master.next().unwrap_or_default());
            // A node without a name of its own is where it was asked.
            let host = if host == Value::Nil { String::new() } else { text(host)?.replace('?', "") };
            let server = beside(&node.server, &format!("{host}:{}", number::<u16>(port)?));
            let server = server.ok_or_else(|| BackendError::later(NAME, "a node of the cluster has no address"))?;
            Ok((first, last, server))
        };
        let ranges: Vec<_> = items(told)?.into_iter().map(range).collect::<Read<_>>()?;
        // So answers a node that has left the cluster.
        let nobody = || BackendError::later(NAME, "a node knows of nobody who has a slot");
        if ranges.is_empty() { Err(nobody()) } else { Ok(ranges) }
    }

    /// A connection that only listens, and to which node. A message reaches every node of a cluster, so any of them will do.
    pub(crate) async fn listener(&self) -> Read<(Arc<Node>, PubSub)> {
        let node = self.some();
        let listener = self.common.maker.listener(&node.server).await.map_err(failed)?;
        Ok((node, listener))
    }

    /// Whether a node has no slot any more. It may have left the cluster, and hears no message then.
    pub(crate) fn is_out(&self, node: &Arc<Node>) -> bool {
        self.known(|known| known.is_out(node))
    }

    /// Another one each time, if there is one that answers its callers; one that has slots, as far as that is known.
    fn some(&self) -> Arc<Node> {
        let nodes: Vec<_> =
            self.known(|known| known.nodes.iter().filter(|node| !known.is_out(node)).cloned().collect());
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let mut turn = (0..nodes.len()).map(|ahead| &nodes[(start + ahead) % nodes.len()]);
        turn.find(|node| node.breaker.is_closed()).unwrap_or(&self.first).clone()
    }

    /// How many nodes are known.
    pub(crate) fn count(&self) -> usize {
        self.known(|known| known.nodes.len())
    }

    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Asks, and says that it has asked, even where its runtime ends before.
struct Task {
    nodes: Arc<Nodes>,
    refused: Option<BackendError>,
}

impl Task {
    /// Whoever waits for the slots does not wait for the spread, too: its node may be away.
    async fn run(mut self) {
        self.refused = self.nodes.ask_all().await.err();
        let nodes = self.nodes.clone();
        drop(self);
        if let Err(error) = nodes.look_at_spread().await {
            tracing::debug!(error = %error.source, "it is not known yet over how many partitions the sessions are spread");
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let refused = self.refused.take();
        self.nodes.learning.update(|learning| {
            (learning.running, learning.refused) = (false, refused);
            learning.times += 1;
        });
    }
}

impl Known {
    fn has(&self, slot: u16) -> Option<Arc<Node>> {
        let of_range = || self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        self.moved.get(&slot).or_else(|| of_range().map(|(_, _, node)| node)).cloned()
    }

    /// The node at this address, which may be a new one.
    fn node(&mut self, common: &Arc<Common>, server: ConnectionInfo) -> Arc<Node> {
        if let Some(node) = self.nodes.iter().find(|node| node.server.addr() == server.addr()) {
            return node.clone();
        }
        let node = Arc::new(Node::new(common.clone(), server));
        self.nodes.push(node.clone());
        node
    }

    /// Nodes that have nothing any more are forgotten, but for those that the configuration names.
    fn learned(&mut self, common: &Arc<Common>, owners: Vec<(u16, u16, ConnectionInfo)>) {
        let ranges = owners.into_iter().map(|(first, last, server)| (first, last, self.node(common, server)));
        self.ranges = ranges.collect::<Vec<_>>();
        self.moved.clear();
        let named = common.maker.servers();
        let is_named = |node: &Node| named.iter().any(|server| server.addr() == node.server.addr());
        let mut nodes = std::mem::take(&mut self.nodes);
        nodes.retain(|node| is_named(node) || self.has_some(node));
        self.nodes = nodes;
    }

    /// Where nothing is known of slots, no node is out.
    fn is_out(&self, node: &Arc<Node>) -> bool {
        !self.ranges.is_empty() && !self.has_some(node)
    }

    /// Whether a node has slots.
    fn has_some(&self, node: &Arc<Node>) -> bool {
        self.ranges.iter().map(|(_, _, owner)| owner).chain(self.moved.values()).any(|owner| Arc::ptr_eq(owner, node))
    }
}

/// The slot of a key: that of what stands between its first braces, where anything does.
fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')? + 1;
        let length = key[open..].iter().position(|byte| *byte == b'}').filter(|length| *length > 0)?;
        Some(&key[open..open + length])
    };
    crc16::State::<crc16::XMODEM>::calculate(tag().unwrap_or(key)) % SLOTS
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known(|known| known.nodes.clone())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::slot;

    #[test]
    fn a_key_has_the_slot_that_redis_says() {
        // As CLUSTER KEYSLOT tells.
        for (key, expected) in [("123456789", 12_739), ("c:meta", 13_165), ("{p0}", 15_882), ("c:{p0}:ox", 15_882)] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        for key in ["a{}b", "{", "a}{b"] {
            assert_ne!(slot(key.as_bytes()), slot(b""), "{key}");
        }
    }
}

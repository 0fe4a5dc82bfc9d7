//! Calls, each with a deadline, on connections that callers share. One that failed is not used again, so no answer is ever
//! read by another caller than the one who asked.

use crate::config::RedisConfig;
use crate::error::{NAME, NoAnswer, OpenError, failed};
use crate::link::Link;
use crate::node::Node;
use crate::nodes::Nodes;
use crate::script::Call;
use crate::value::first;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use deadpool_redis::redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use futures_util::future::{Either, join_all, select};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How many nodes of a cluster a call goes to at most, each named by the one before.
const HOPS: usize = 4;

/// Calls the server, or the cluster.
pub(crate) struct Client {
    nodes: Arc<Nodes>,
    runtime: Arc<dyn Runtime>,
    call_timeout: Duration,
}

/// What an error says of the server.
enum Known {
    There,
    Away,
    Nothing,
}

impl Client {
    pub(crate) fn new(config: &RedisConfig, runtime: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        let (nodes, call_timeout) = (Arc::new(Nodes::new(config, runtime.clone())?), config.call_timeout);
        Ok(Self { nodes, runtime, call_timeout })
    }

    pub(crate) fn nodes(&self) -> &Arc<Nodes> {
        &self.nodes
    }

    /// Looks at what a first connection did not look at; an error that may pass is none.
    pub(crate) async fn check(&self) -> Result<(), BackendError> {
        let check = self.nodes.check();
        let Some(command) = check.of_spread() else { return Ok(()) };
        match self.command(&command).await {
            Ok(told) => check.spread_is(told),
            Err(error) if error.may_pass() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Runs a command.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value, BackendError> {
        Ok(first(self.guarded(key(command, 1), Asked::Command(command)).await?))
    }

    /// Runs a command that is not to be run again where its answer was lost.
    pub(crate) async fn command_once(&self, command: &Cmd) -> Result<Value, BackendError> {
        Ok(first(self.guarded(key(command, 1), Asked::Once(command)).await?))
    }

    /// Runs a script.
    pub(crate) async fn call(&self, call: &Call) -> Result<Value, BackendError> {
        Ok(first(self.call_then(call, &[]).await?))
    }

    /// Runs a script, and commands of the same slot right behind it, in one round trip.
    pub(crate) async fn call_then(&self, call: &Call, then: &[Cmd]) -> Result<Vec<Value>, BackendError> {
        self.guarded(key(call.by_hash(), 3), Asked::Script(call, then)).await
    }

    /// Runs scripts side by side, in any slots; one result for each, in order.
    pub(crate) async fn call_all(&self, calls: &[Call]) -> Vec<Result<Value, BackendError>> {
        join_all(calls.iter().map(|call| self.call(call))).await
    }

    /// Why the node of a cluster that a script would be run by is not there, as far as that is known.
    pub(crate) fn away(&self, call: &Call) -> Option<BackendError> {
        self.nodes.away(key(call.by_hash(), 3))
    }

    /// Bounds a call. Whoever was asked last when the time is over has not answered.
    async fn guarded(&self, key: &[u8], asked: Asked<'_>) -> Result<Vec<Value>, BackendError> {
        let check = self.nodes.check();
        if let Some(why @ OpenError::OtherPartitions { .. }) = check.unfit().filter(|_| self.nodes.is_cluster()) {
            return Err(BackendError::never(NAME, why));
        }
        if check.of_spread().is_some() {
            self.nodes.learn();
        }
        let mut last = None;
        let whole = async {
            let (mut node, mut asking) = (self.nodes.of(key).await?, false);
            for _ in 1..HOPS {
                last = Some(node.clone());
                match self.at(&node, asked, asking).await? {
                    Ok(answer) => return Ok(answer),
                    Err(error) => match self.nodes.redirected(&node, &error) {
                        Some((_, false)) if !asked.may_be_amid_a_move() => return Err(failed(error)),
                        Some((next, has_moved)) => (node, asking) = (next, !has_moved),
                        None => return Err(failed(error)),
                    },
                }
            }
            last = Some(node.clone());
            self.at(&node, asked, asking).await?.map_err(failed)
        };
        let ended = match select(pin!(whole), self.runtime.sleep(self.call_timeout)).await {
            Either::Left((ended, _)) => Some(ended),
            Either::Right(_) => None,
        };
        ended.unwrap_or_else(|| {
            let error = BackendError::later(NAME, NoAnswer(self.call_timeout));
            if let Some(node) = last {
                node.forget_all();
                node.breaker.failed(self.runtime.elapsed(), &error);
                self.nodes.learn();
            }
            Err(error)
        })
    }

    /// Asks a node, and draws the conclusions from how that went. A connection that is cut is replaced, once.
    async fn at(
        &self,
        node: &Arc<Node>,
        asked: Asked<'_>,
        asking: bool,
    ) -> Result<Result<Vec<Value>, RedisError>, BackendError> {
        if let Err(error) = node.breaker.admit(self.runtime.elapsed()) {
            self.nodes.learn();
            return Err(error);
        }
        let mut is_again = false;
        loop {
            let (number, link) = node.link().await.inspect_err(|_| self.nodes.learn())?;
            let error = match asked.send(link, asking).await {
                Ok(answer) => {
                    node.breaker.answered();
                    return Ok(Ok(answer));
                }
                Err(error) => error,
            };
            if is_lost(&error) {
                node.forget(number);
            }
            if is_lost(&error) || error.kind() == ErrorKind::Server(ServerErrorKind::ClusterDown) {
                self.nodes.learn();
            }
            // Most often it was cut while nobody used it, as when the server was started again.
            if !is_again && is_cut(&error) && asked.may_repeat() {
                is_again = true;
                continue;
            }
            match known(&error, is_again) {
                Known::Away => node.breaker.failed(self.runtime.elapsed(), &failed(error.clone())),
                Known::There => node.breaker.answered(),
                Known::Nothing => {}
            }
            return Ok(Err(error));
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// The first key of a command, which stands at this place.
fn key(command: &Cmd, place: usize) -> &[u8] {
    match command.args_iter().nth(place) {
        Some(Arg::Simple(key)) => key,
        _ => &[],
    }
}

/// What an error says of the server. Whether one is away with which the connection broke, the next connection will tell: that is
/// cut again, or does not come about.
fn known(error: &RedisError, is_again: bool) -> Known {
    match error.kind() {
        _ if error.is_timeout() || is_again && is_cut(error) => Known::Away,
        ErrorKind::Io | ErrorKind::Parse => Known::Nothing,
        _ => Known::There,
    }
}

/// What is sent in one round trip.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Command(&'a Cmd),
    Once(&'a Cmd),
    /// A script, and commands behind it.
    Script(&'a Call, &'a [Cmd]),
}

impl Asked<'_> {
    fn may_repeat(self) -> bool {
        match self {
            Self::Command(_) => true,
            Self::Once(_) => false,
            Self::Script(call, _) => call.may_repeat(),
        }
    }

    fn may_be_amid_a_move(self) -> bool {
        match self {
            Self::Command(_) | Self::Once(_) => true,
            Self::Script(call, _) => call.may_be_amid_a_move(),
        }
    }

    /// Sends it, perhaps to a node that only takes it where it is told that another one asked for that.
    async fn send(self, mut link: Link, asking: bool) -> RedisResult<Vec<Value>> {
        match self {
            Self::Command(command) | Self::Once(command) => send_with(command, &[], asking, &mut link).await,
            Self::Script(call, then) => match send_with(call.by_hash(), then, asking, &mut link).await {
                Err(error) if is_unknown(&error) => send_with(&call.by_text(), then, asking, &mut link).await,
                answered => answered,
            },
        }
    }
}

async fn send_with(first: &Cmd, then: &[Cmd], asking: bool, link: &mut Link) -> RedisResult<Vec<Value>> {
    if then.is_empty() && !asking {
        return Ok(vec![first.query_async(link).await?]);
    }
    let mut pipeline = Pipeline::with_capacity(2 * (then.len() + 1));
    pipeline.ignore_errors();
    for command in std::iter::once(first).chain(then) {
        if asking {
            pipeline.add_command(cmd("ASKING")).ignore();
        }
        pipeline.add_command(command.clone());
    }
    let answers: Vec<RedisResult<Value>> = pipeline.query_async(link).await?;
    answers.into_iter().collect()
}

/// The server does not know the script.
fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// The connection is no more.
fn is_cut(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse) && !error.is_timeout()
}

/// The connection cannot be used any more; or the server is another's replica now, and a new connection may find the one
/// that took its place.
fn is_lost(error: &RedisError) -> bool {
    use ServerErrorKind::{MasterDown, ReadOnly};
    is_cut(error) || matches!(error.kind(), ErrorKind::Server(ReadOnly | MasterDown))
}

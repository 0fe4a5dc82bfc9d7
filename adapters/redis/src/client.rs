//! Calls: on one connection that all callers of a tokio runtime share, each with a deadline. A connection that failed is not
//! used again, so no answer is ever read by another caller than the one who asked.

use crate::breaker::Breaker;
use crate::check::Check;
use crate::config::{MOST_PARTITIONS, RedisConfig};
use crate::error::{NAME, NoAnswer, OpenError, failed};
use crate::link::{Link, Maker};
use crate::script::Call;
use crate::value::first;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use deadpool_redis::redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use futures_util::future::{Either, join_all, select};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Handle, Id};

/// How many breakers there are: one for each partition, and one for what lies outside of all.
const PLACES: usize = MOST_PARTITIONS as usize + 1;
/// How many runtimes have a connection at once; the oldest connections are given up for new ones.
const MOST_RUNTIMES: usize = 256;
/// How long a cluster's connection may answer nobody before it is given up.
const SILENCE: Duration = Duration::from_secs(1);

/// Calls the server, or the cluster.
pub(crate) struct Client {
    maker: Arc<Maker>,
    check: Check,
    runtime: Arc<dyn Runtime>,
    call_timeout: Duration,
    /// One for each slot of a cluster, since a node that is away is not the others' fault; on one server the first serves all.
    breakers: [Breaker; PLACES],
    shared: Mutex<Shared>,
    making: tokio::sync::Mutex<()>,
}

/// The shared connections.
#[derive(Default)]
struct Shared {
    /// One for each runtime that calls: what its tasks wait for then happens on its own threads, and it ends with them.
    links: Vec<Made>,
    /// How many were ever made.
    number: u64,
    /// What became of the newest try to make one.
    tries: u64,
    refused: Option<BackendError>,
    /// When it answered last.
    answered: Duration,
}

/// A connection.
struct Made {
    runtime: Option<Id>,
    /// Which of all that there were.
    number: u64,
    link: Link,
}

/// What an error says of the server.
enum Known {
    There,
    Away,
    Nothing,
}

impl Client {
    pub(crate) fn new(config: &RedisConfig, runtime: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        Ok(Self {
            maker: Arc::new(Maker::new(config)?),
            check: Check::new(config),
            runtime,
            call_timeout: config.call_timeout,
            breakers: Default::default(),
            shared: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn maker(&self) -> &Arc<Maker> {
        &self.maker
    }

    /// What is wrong with the server, where it was reached and found unfit.
    pub(crate) fn unfit(&self) -> Option<OpenError> {
        self.check.unfit()
    }

    /// Runs a command.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value, BackendError> {
        Ok(first(self.guarded(self.place(command, 1), Asked::Command(command)).await?))
    }

    /// Runs a command that is not to be run again where its answer was lost.
    pub(crate) async fn command_once(&self, command: &Cmd) -> Result<Value, BackendError> {
        Ok(first(self.guarded(self.place(command, 1), Asked::Once(command)).await?))
    }

    /// Runs a script.
    pub(crate) async fn call(&self, call: &Call) -> Result<Value, BackendError> {
        Ok(first(self.call_then(call, &[]).await?))
    }

    /// Runs a script, and commands of the same slot right behind it, in one round trip.
    pub(crate) async fn call_then(&self, call: &Call, then: &[Cmd]) -> Result<Vec<Value>, BackendError> {
        self.guarded(self.place(call.by_hash(), 3), Asked::Script(call, then)).await
    }

    /// Runs scripts side by side, in any slots; one result for each, in order.
    pub(crate) async fn call_all(&self, calls: &[Call]) -> Vec<Result<Value, BackendError>> {
        join_all(calls.iter().map(|call| self.call(call))).await
    }

    /// Bounds a call, and draws the conclusions from how it went. A connection that is cut is replaced, once.
    async fn guarded(&self, place: usize, asked: Asked<'_>) -> Result<Vec<Value>, BackendError> {
        let breaker = &self.breakers[place];
        breaker.admit(self.runtime.elapsed())?;
        let mut used = None;
        let whole = async {
            loop {
                let (number, link) = self.link().await?;
                let is_first = used.replace(number).is_none();
                match asked.send(link).await {
                    // Most often it was cut while nobody used it, as when the server was started again.
                    Err(error) if is_first && is_cut(&error) && asked.may_repeat() => self.drop_link(used),
                    answered => return Ok(answered),
                }
            }
        };
        let ended = match select(pin!(whole), self.runtime.sleep(self.call_timeout)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Err(BackendError::later(NAME, NoAnswer(self.call_timeout))),
        };
        let now = self.runtime.elapsed();
        match ended {
            Ok(Ok(answer)) => {
                self.shared().answered = now;
                breaker.answered();
                Ok(answer)
            }
            Ok(Err(error)) => {
                let known = self.judge(used, &error);
                let error = failed(error);
                match known {
                    Known::Away => breaker.failed(now, &error),
                    Known::There => breaker.answered(),
                    Known::Nothing => {}
                }
                Err(error)
            }
            Err(error) => {
                self.give_up(used, now);
                breaker.failed(now, &error);
                Err(error)
            }
        }
    }

    /// What an error says of the server, and of the connection: one that was lost is not used again.
    fn judge(&self, used: Option<u64>, error: &RedisError) -> Known {
        if is_lost(error) {
            self.drop_link(used);
        }
        match error.kind() {
            _ if error.is_timeout() => Known::Away,
            ErrorKind::ClusterConnectionNotFound => Known::Away,
            // Whether the server is away, the next connection will tell.
            ErrorKind::Io | ErrorKind::Parse => Known::Nothing,
            _ => Known::There,
        }
    }

    /// The connection has not answered in time. On one server no other will: what was made before may be as dead, and each
    /// runtime would have to find out for itself. A cluster's connection may have other nodes that do.
    fn give_up(&self, used: Option<u64>, now: Duration) {
        if !self.maker.is_cluster() {
            self.shared().links.clear();
        } else if now.saturating_sub(self.shared().answered) > SILENCE {
            self.drop_link(used);
        }
    }

    /// Whose breaker a command asks: in a cluster that of the partition of its first key, which stands at this place.
    fn place(&self, command: &Cmd, first_key: usize) -> usize {
        if !self.maker.is_cluster() {
            return 0;
        }
        let key = match command.args_iter().nth(first_key) {
            Some(Arg::Simple(key)) => String::from_utf8_lossy(key),
            _ => return PLACES - 1,
        };
        let partition = key.split_once("{p").and_then(|(_, rest)| rest.split_once('}')?.0.parse().ok());
        partition.filter(|partition| *partition < PLACES).unwrap_or(PLACES - 1)
    }

    /// The connection of the caller's runtime. The first who finds none makes one, the others wait for it, and hear if it failed.
    async fn link(&self) -> Result<(u64, Link), BackendError> {
        let tries = match self.present() {
            Ok(link) => return Ok(link),
            Err(tries) => tries,
        };
        let _making = self.making.lock().await;
        match self.present() {
            Ok(link) => return Ok(link),
            Err(now) if now != tries => {
                if let Some(refused) = self.shared().refused.clone() {
                    return Err(refused);
                }
            }
            Err(_) => {}
        }
        let made = self.make().await;
        let mut shared = self.shared();
        shared.tries += 1;
        shared.refused = made.as_ref().err().cloned();
        let link = made?;
        shared.number += 1;
        let made = Made { runtime: runtime(), number: shared.number, link: link.clone() };
        let too_many = (shared.links.len() + 1).saturating_sub(MOST_RUNTIMES);
        shared.links.drain(..too_many);
        shared.links.push(made);
        Ok((shared.number, link))
    }

    fn present(&self) -> Result<(u64, Link), u64> {
        let (shared, here) = (self.shared(), runtime());
        let made = shared.links.iter().find(|made| made.runtime == here);
        made.map(|made| (made.number, made.link.clone())).ok_or(shared.tries)
    }

    async fn make(&self) -> Result<Link, BackendError> {
        let mut link = self.maker.link().await.map_err(|error| self.check.refused(error))?;
        if self.check.is_a_cluster_unawares(&self.maker, &mut link).await.map_err(failed)? {
            self.maker.found_a_cluster();
            link = self.maker.link().await.map_err(failed)?;
        }
        self.check.run(&mut link).await?;
        Ok(link)
    }

    fn drop_link(&self, number: Option<u64>) {
        self.shared().links.retain(|made| Some(made.number) != number);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("maker", &self.maker).field("breaker", &self.breakers[0]).finish_non_exhaustive()
    }
}

/// The runtime of the caller.
fn runtime() -> Option<Id> {
    Handle::try_current().ok().map(|handle| handle.id())
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

    async fn send(self, mut link: Link) -> RedisResult<Vec<Value>> {
        match self {
            Self::Command(command) | Self::Once(command) => Ok(vec![command.query_async(&mut link).await?]),
            Self::Script(call, then) => match send_with(call.by_hash(), then, &mut link).await {
                Err(error) if is_unknown(&error) => send_with(&call.by_text(), then, &mut link).await,
                answered => answered,
            },
        }
    }
}

async fn send_with(first: &Cmd, then: &[Cmd], link: &mut Link) -> RedisResult<Vec<Value>> {
    if then.is_empty() {
        return Ok(vec![first.query_async(link).await?]);
    }
    let mut pipeline = Pipeline::with_capacity(then.len() + 1);
    pipeline.ignore_errors().add_command(first.clone());
    for command in then {
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
/// that took its place. A cluster's connection looks for that itself.
fn is_lost(error: &RedisError) -> bool {
    use ServerErrorKind::{MasterDown, ReadOnly};
    is_cut(error) || matches!(error.kind(), ErrorKind::Server(ReadOnly | MasterDown))
}

//! Calls, each with a deadline, on connections that callers share. One that failed is not used again, so no answer is ever
//! read by another caller than the one who asked.

use crate::breaker::Breaker;
use crate::config::{MOST_PARTITIONS, RedisConfig};
use crate::error::{NAME, NoAnswer, OpenError, failed};
use crate::link::{Link, Maker};
use crate::links::Links;
use crate::script::Call;
use crate::value::first;
use chatcore::error::BackendError;
use chatcore::port::Runtime;
use deadpool_redis::redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use futures_util::future::{Either, join_all, select};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How many breakers there are: one for each partition, and one for what lies outside of all.
const PLACES: usize = MOST_PARTITIONS as usize + 1;
/// Calls the server, or the cluster.
pub(crate) struct Client {
    links: Arc<Links>,
    runtime: Arc<dyn Runtime>,
    call_timeout: Duration,
    /// One for each slot of a cluster, since a node that is away is not the others' fault; on one server the first serves all.
    breakers: [Breaker; PLACES],
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
            links: Arc::new(Links::new(config, runtime.clone())?),
            runtime,
            call_timeout: config.call_timeout,
            breakers: Default::default(),
        })
    }

    pub(crate) fn maker(&self) -> &Arc<Maker> {
        self.links.maker()
    }

    /// What is wrong with the server, where it was reached and found unfit.
    pub(crate) fn unfit(&self) -> Option<OpenError> {
        self.links.unfit()
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
                let (number, link) = self.links.get().await?;
                let is_first = used.replace(number).is_none();
                match asked.send(link).await {
                    // Most often it was cut while nobody used it, as when the server was started again.
                    Err(error) if is_first && is_cut(&error) && asked.may_repeat() => self.links.forget(number),
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
                self.links.no_answer();
                breaker.failed(now, &error);
                Err(error)
            }
        }
    }

    /// What an error says of the server, and of the connection: one that was lost is not used again.
    fn judge(&self, used: Option<u64>, error: &RedisError) -> Known {
        if let Some(used) = used.filter(|_| is_lost(error)) {
            self.links.forget(used);
        }
        match error.kind() {
            _ if error.is_timeout() => {
                self.links.no_answer();
                Known::Away
            }
            ErrorKind::ClusterConnectionNotFound => Known::Away,
            // Whether the server is away, the next connection will tell.
            ErrorKind::Io | ErrorKind::Parse => Known::Nothing,
            _ => Known::There,
        }
    }

    /// Whose breaker a command asks: in a cluster that of the partition of its first key, which stands at this place.
    fn place(&self, command: &Cmd, first_key: usize) -> usize {
        if !self.maker().is_cluster() {
            return 0;
        }
        let key = match command.args_iter().nth(first_key) {
            Some(Arg::Simple(key)) => String::from_utf8_lossy(key),
            _ => return PLACES - 1,
        };
        let partition = key.split_once("{p").and_then(|(_, rest)| rest.split_once('}')?.0.parse().ok());
        partition.filter(|partition| *partition < PLACES).unwrap_or(PLACES - 1)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("maker", self.maker())
            .field("breaker", &self.breakers[0])
            .finish_non_exhaustive()
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

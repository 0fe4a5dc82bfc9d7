//! The `Probe`: whether the server, or each node of the cluster that has sessions, answers and takes writes.

use crate::client::Client;
use crate::error::{NAME, unreadable};
use crate::{Inner, Redis};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::Probe;
use deadpool_redis::redis::{Cmd, Value};
use futures_util::future::join_all;
use std::error::Error;

#[async_trait]
impl Probe for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<(), BackendError> {
        let Inner { client, keys, .. } = &*self.inner;
        if !client.maker().is_cluster() {
            return touch(client, &keys.plain("probe")).await;
        }
        // Each partition may lie on another node.
        let names: Vec<String> = keys.partitions().map(|partition| keys.slot(partition) + "probe").collect();
        let checked = join_all(names.iter().map(|name| touch(client, name))).await;
        let (away, all) = (checked.iter().filter(|checked| checked.is_err()).count(), checked.len());
        let Some(first) = checked.into_iter().find_map(Result::err) else { return Ok(()) };
        let source: Box<dyn Error + Send + Sync> = format!("{away} of {all} partitions: {}", first.source).into();
        Err(BackendError { source: source.into(), ..first })
    }
}

/// A write, since a replica and a full server answer a PING as well.
async fn touch(client: &Client, name: &str) -> Result<(), BackendError> {
    let mut touch = Cmd::new();
    touch.arg("SET").arg(name).arg("1").arg("EX").arg(60);
    match client.command(&touch).await? {
        Value::Okay => Ok(()),
        other => Err(unreadable(format_args!("{other:?}"))),
    }
}

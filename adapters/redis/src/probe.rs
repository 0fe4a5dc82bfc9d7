//! The `Probe`: whether the server, or each node of the cluster that has sessions, answers and takes writes.

use crate::client::Client;
use crate::error::{NAME, unreadable};
use crate::{Inner, Redis};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Health, Probe};
use deadpool_redis::redis::{Cmd, Value};
use futures_util::future::join_all;

#[async_trait]
impl Probe for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<Health, BackendError> {
        let Inner { client, keys, .. } = &*self.inner;
        if !client.nodes().is_cluster() {
            let touched = touch(client, &keys.plain("probe")).await;
            // The first call of all may learn that there are more nodes.
            if !client.nodes().is_cluster() {
                return touched.map(|()| Health::Well);
            }
        }
        client.check().await?;
        // Each partition may lie on another node.
        let names: Vec<String> = keys.partitions().map(|partition| keys.slot(partition) + "probe").collect();
        let checked = join_all(names.iter().map(|name| touch(client, name))).await;
        let (away, all) = (checked.iter().filter(|checked| checked.is_err()).count(), checked.len());
        match checked.into_iter().find_map(Result::err) {
            None => Ok(Health::Well),
            Some(error) if away == all => Err(error),
            Some(error) => Ok(Health::Partly(format!("{away} of {all} partitions: {}", error.source))),
        }
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

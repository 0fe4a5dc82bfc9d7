//! The `Probe`: whether the server, or each node of the cluster that has sessions, answers, takes writes, and lets the
//! user do what is needed.

use crate::error::{NAME, unreadable};
use crate::keys::Partition;
use crate::script::Script;
use crate::{Inner, Redis};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Health, Probe};
use deadpool_redis::redis::Value;
use futures_util::future::join_all;

static PROBE: Script = Script::new(include_str!("lua/probe.lua"));

#[async_trait]
impl Probe for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<Health, BackendError> {
        let Inner { client, keys, .. } = &*self.inner;
        if !client.nodes().is_cluster() {
            let touched = self.touch(keys.plain("probe")).await;
            // The first call of all may learn that there are more nodes.
            if !client.nodes().is_cluster() {
                return touched.map(|()| Health::Well);
            }
        }
        client.check().await?;
        // Each partition may lie on another node.
        let names = keys.partitions().map(|partition| keys.slot(partition) + "probe");
        let checked = join_all(names.map(|name| self.touch(name))).await;
        let (away, all) = (checked.iter().filter(|checked| checked.is_err()).count(), checked.len());
        match checked.into_iter().find_map(Result::err) {
            None => Ok(Health::Well),
            Some(error) if away == all => Err(error),
            Some(error) => Ok(Health::Partly(format!("{away} of {all} partitions: {}", error.source))),
        }
    }
}

impl Redis {
    /// A write, since a replica and a full server answer a PING as well; and by a script, which sees what the user may do.
    async fn touch(&self, name: String) -> Result<(), BackendError> {
        let channels = [self.inner.keys.wake_channel(Partition(0)), self.followers()];
        match self.inner.client.call(&PROBE.on(&[name]).arg(&channels)).await? {
            Value::Okay => Ok(()),
            other => Err(unreadable(format_args!("{other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    /// What stands behind the name of a call in this folder's scripts.
    fn words_behind(call: &str, folder: &Path, words: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                words_behind(call, &path, words);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let word = |rest: &str| rest.split('\'').next().unwrap_or_default().to_owned();
            words.extend(text.split(call).skip(1).map(word));
        }
    }

    #[test]
    fn each_command_of_a_script_is_tried_and_nothing_is_told_with_an_error() {
        let (mut used, tried) = (BTreeSet::new(), include_str!("lua/probe.lua"));
        words_behind("redis.call('", Path::new("src/lua"), &mut used);
        assert!(used.len() > 30 && !used.contains("PUBLISH"), "{used:?}");
        words_behind("redis.pcall('", Path::new("src/lua"), &mut used);
        let tried: BTreeSet<&str> = tried.split(|letter: char| !letter.is_ascii_uppercase()).collect();
        let untried: Vec<_> = used.iter().filter(|used| !tried.contains(used.as_str())).collect();
        assert!(untried.is_empty(), "{untried:?}");
    }
}

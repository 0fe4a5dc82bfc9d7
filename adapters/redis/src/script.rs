//! Scripts, and calls of them. A call is sent by the script's hash; a server that has lost the script is sent its text.

use deadpool_redis::redis::{self, Arg, Cmd, ToRedisArgs, cmd};
use std::sync::OnceLock;

/// A Lua script.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    common: &'static str,
    whole: OnceLock<Whole>,
}

/// A script as it is sent.
#[derive(Debug)]
struct Whole {
    text: String,
    hash: String,
}

impl Script {
    /// A script whose file holds all of it, its header in the first line.
    pub(crate) const fn new(text: &'static str) -> Self {
        Self::with(text, "")
    }

    /// A script that begins, behind its header, with what it has in common with others.
    pub(crate) const fn with(text: &'static str, common: &'static str) -> Self {
        Self { text, common, whole: OnceLock::new() }
    }

    fn whole(&self) -> &Whole {
        self.whole.get_or_init(|| {
            let (header, body) = self.text.split_once('\n').unwrap_or((self.text, ""));
            let text = format!("{header}\n{}{body}", self.common);
            let hash = redis::Script::new(&text).get_hash().to_owned();
            Whole { text, hash }
        })
    }

    /// A call with these keys; its arguments are added to it.
    pub(crate) fn on<K: ToRedisArgs>(&'static self, keys: &[K]) -> Call {
        let mut by_hash = cmd("EVALSHA");
        by_hash.arg(&self.whole().hash).arg(keys.len()).arg(keys);
        Call { script: self, by_hash, once: false, at_rest: false }
    }
}

/// A script with its keys and arguments.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    script: &'static Script,
    by_hash: Cmd,
    once: bool,
    at_rest: bool,
}

impl Call {
    /// One more argument, or several.
    pub(crate) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.by_hash.arg(arg);
        self
    }

    /// The same, but not to be repeated where its answer was lost.
    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Whether it may be made again where its answer was lost.
    pub(crate) fn may_repeat(&self) -> bool {
        !self.once
    }

    /// The same, but only where the whole slot is: it looks at keys that it cannot name, and a node to which the slot is being
    /// moved takes those that have not come yet for keys that do not exist.
    pub(crate) fn at_rest(mut self) -> Self {
        self.at_rest = true;
        self
    }

    /// Whether it may be made where only a part of the slot is.
    pub(crate) fn may_be_amid_a_move(&self) -> bool {
        !self.at_rest
    }

    /// The call by hash.
    pub(crate) fn by_hash(&self) -> &Cmd {
        &self.by_hash
    }

    /// The call by text, which the server keeps from then on.
    pub(crate) fn by_text(&self) -> Cmd {
        let mut by_text = cmd("EVAL");
        by_text.arg(&self.script.whole().text);
        for arg in self.by_hash.args_iter().skip(2) {
            if let Arg::Simple(arg) = arg {
                by_text.arg(arg);
            }
        }
        by_text
    }
}

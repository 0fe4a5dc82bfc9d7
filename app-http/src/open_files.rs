//! How many files the process may have open, which is how many connections it can hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a connection takes: two handles, see [`crate::connection`], and the call of the AI that its client waits for.
const OF_A_CONNECTION: u64 = 3;
/// What stays for everything else: the store, the bus, logs.
const OTHERS: u64 = 256;

/// As many of the connections that are wanted as there may be. The system's soft limit, often 1,024, is raised as far as it
/// lets anybody raise it.
pub(crate) fn connections(wanted: usize) -> usize {
    let needed = (wanted as u64).saturating_mul(OF_A_CONNECTION).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut allowed = current.unwrap_or(u64::MAX);
    if allowed < needed {
        let raised = maximum.unwrap_or(needed).min(needed);
        if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
            allowed = raised;
        }
    }
    let room = room(allowed);
    if room < wanted {
        tracing::warn!(wanted, room, "HTTP_MAX_CONNECTIONS is more than the limit of open files allows (ulimit -n)");
    }
    room.min(wanted)
}

fn room(files: u64) -> usize {
    usize::try_from(files.saturating_sub(OTHERS) / OF_A_CONNECTION).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_as_many_as_wanted_or_as_fit() {
        assert_eq!((room(1024), room(100), room(u64::MAX)), (256, 1, ((u64::MAX - 256) / 3) as usize));
        assert_eq!(connections(10), 10);
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert!(connections(usize::MAX) <= room(hard));
    }
}

//! The pauses in which all runs well, and what may be expected of them.

use crate::world::World;
use std::sync::Mutex;
use std::time::Duration;

/// How soon a reader is told of what is stored, with some room for a busy machine: less than the time after which a server looks
/// into the store without having been told of anything.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// From when until when what is stored has to be told soon; the last may still go on.
#[derive(Debug, Default)]
pub(crate) struct Calms(Mutex<Vec<(String, Option<String>)>>);

impl World {
    /// From now on all runs well; answers the time.
    pub(crate) fn begin_calm(&self) -> String {
        let start = self.now();
        self.calms.0.lock().unwrap().push((start.clone(), None));
        start
    }

    pub(crate) fn end_calm(&self) {
        let last = self.ago(TOLD_WITHIN);
        if let Some((_, end)) = self.calms.0.lock().unwrap().last_mut() {
            *end = Some(last);
        }
    }

    /// Whether somebody who reads since `connected` is told too late now of what was stored then.
    pub(crate) fn is_late(&self, connected: &str, stored: &str) -> bool {
        let calms = self.calms.0.lock().unwrap();
        let mut calms = calms.iter().map(|(start, last)| (start.as_str(), last.as_deref()));
        let in_calm = calms.any(|(start, last)| start < stored && last.is_none_or(|last| stored < last));
        in_calm && connected < stored && *stored < *self.ago(TOLD_WITHIN)
    }
}

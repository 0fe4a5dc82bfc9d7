//! Places of which nobody gets more than so many at once, so that one owner or address leaves some for the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Places that are held, by who holds them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<BTreeMap<String, usize>>>);

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    who: String,
    places: Places,
}

impl Places {
    /// A place for somebody; `None` for who holds so many already.
    #[must_use]
    pub fn take(&self, who: String, most: usize) -> Option<Place> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&who).copied().unwrap_or_default();
        (count < most).then(|| {
            held.insert(who.clone(), count + 1);
            Place { who, places: self.clone() }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.who) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&self.who)),
        }
    }
}

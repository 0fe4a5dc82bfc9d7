//! What both stores call the same thing. Each makes ids and fences of its own, and times where its clock is its own: the first
//! time that two of them stand at the same place they are taken for the same, and from then on they have to be.

use crate::call::Call;
use crate::field::{Field, Fields};
use crate::reply::Reply;
use chatcore::id::{Fence, SessionId};
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

/// What the store under test calls what the model calls so.
#[derive(Debug, Default)]
pub(crate) struct Names {
    sessions: Pairs<SessionId>,
    /// By the model's session; `None` for what belongs to none.
    known: BTreeMap<Option<SessionId>, InSession>,
}

impl Names {
    /// The same call, in the words of the store under test. What it has no name for stays as it is.
    pub(crate) fn call(&self, call: &Call) -> Call {
        let mut theirs = call.clone();
        let mut scope = None;
        for field in theirs.fields() {
            match field {
                Field::Session(id) => {
                    scope = Some(*id);
                    *id = self.sessions.theirs(*id).unwrap_or(*id);
                }
                Field::Fence(fence) => {
                    let known = self.known.get(&scope).and_then(|known| known.fences.theirs(*fence));
                    *fence = known.unwrap_or(*fence);
                }
                Field::Time(_) | Field::Span(_) => {}
            }
        }
        theirs
    }

    /// Puts an answer of the store under test into the words of the model, as far as it answers the same. Where `ahead` says
    /// how far its clock may be ahead, its times are its own.
    pub(crate) fn reply(&mut self, call: &Call, (ours, theirs): (&mut Reply, &mut Reply), ahead: Option<Duration>) {
        self.sort(ours, theirs);
        let mut scope = call.session();
        for (our, their) in ours.fields().into_iter().zip(theirs.fields()) {
            match (our, their) {
                (Field::Session(our), Field::Session(their)) => {
                    scope = Some(*our);
                    *their = if self.sessions.bind(*our, *their) { *our } else { *their };
                }
                (our, their) => self.known.entry(scope).or_insert_with(InSession::new).take(our, their, ahead),
            }
        }
    }

    /// Events are in order within each session; how those of several sessions lie between each other is the store's affair.
    fn sort(&self, ours: &mut Reply, theirs: &mut Reply) {
        if let (Reply::Events(ours), Reply::Events(theirs)) = (ours, theirs) {
            ours.sort_by_key(|event| event.session);
            theirs.sort_by_key(|event| self.sessions.ours(event.session));
        }
    }
}

/// What both call the same thing in one session.
#[derive(Debug)]
struct InSession {
    fences: Pairs<Fence>,
    times: Pairs<OffsetDateTime>,
}

impl InSession {
    /// Zero is before every attempt, in every store.
    fn new() -> Self {
        let (mut fences, times) = (Pairs::default(), Pairs::default());
        fences.bind(Fence(0), Fence(0));
        Self { fences, times }
    }

    /// Takes the model's word where it means the same.
    fn take(&mut self, our: Field<'_>, their: Field<'_>, ahead: Option<Duration>) {
        match (our, their) {
            (Field::Fence(our), Field::Fence(their)) if self.fences.bind_in_order(*our, *their) => *their = *our,
            (Field::Time(our), Field::Time(their)) if ahead.is_some() && self.times.bind_in_order(*our, *their) => {
                *their = *our;
            }
            (Field::Span(our), Field::Span(their)) if ahead.is_some_and(|ahead| our.abs_diff(*their) <= ahead) => {
                *their = *our;
            }
            _ => {}
        }
    }
}

/// Names in both stores. No two of one are the same in the other.
#[derive(Debug)]
struct Pairs<T> {
    theirs: BTreeMap<T, T>,
    ours: BTreeMap<T, T>,
}

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self { theirs: BTreeMap::new(), ours: BTreeMap::new() }
    }
}

impl<T: Ord + Copy> Pairs<T> {
    fn theirs(&self, ours: T) -> Option<T> {
        self.theirs.get(&ours).copied()
    }

    fn ours(&self, theirs: T) -> Option<T> {
        self.ours.get(&theirs).copied()
    }

    /// Takes the two for the same, unless one of them is known for another.
    fn bind(&mut self, ours: T, theirs: T) -> bool {
        match (self.theirs(ours), self.ours(theirs)) {
            (None, None) => {
                self.theirs.insert(ours, theirs);
                self.ours.insert(theirs, ours);
                true
            }
            (known, _) => known == Some(theirs),
        }
    }

    /// The same, where what comes later in one store has to come later in the other.
    fn bind_in_order(&mut self, ours: T, theirs: T) -> bool {
        let before = self.theirs.range(..ours).next_back().is_none_or(|(_, before)| *before < theirs);
        let after =
            self.theirs.range(ours..).find(|(known, _)| **known > ours).is_none_or(|(_, after)| *after > theirs);
        before && after && self.bind(ours, theirs)
    }
}

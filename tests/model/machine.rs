//! The machine: does a sequence on both stores, and looks at all that is left at its end.

use crate::call::Call;
use crate::invariant;
use crate::known::Known;
use crate::op::{Op, Sequence, Who};
use crate::show::Seen;
use crate::subject::Subject;
use crate::who::owner;
use crate::world::{End, World};
use chatcore::message::MessagesPage;
use chatcore::policy::StoreLimits;
use chatcore::turn::{Cursor, Position};
use chatcore_ports::memory::MemoryStore;
use chatcore_ports::sim::Sim;
use std::sync::Arc;

/// Does a sequence on the model and on an empty store of its own.
///
/// # Errors
/// The two differ, or the sequence says nothing.
pub(crate) async fn run(
    (limits, ops): &Sequence,
    subject: impl FnOnce(&Sim, StoreLimits) -> Box<dyn Subject>,
) -> Result<Seen, End> {
    let (sim, limits) = (Sim::new(7), limits.store());
    let model = MemoryStore::with_limits(Arc::new(sim.runtime(0)), limits);
    let mut world = World::new(&sim, model.clone(), subject(&sim, limits)).await;
    let mut known = Known::new(model);
    for op in ops {
        match op {
            Op::Pass => world.pass().await,
            Op::Crash => world.crash().await,
            Op::CrashAmid(far) => world.crash_amid_the_next(*far),
            op => {
                if let Some(call) = known.call(op) {
                    let reply = world.call(&call).await?;
                    known.learn(&call, &reply);
                }
            }
        }
    }
    look(&mut world, &known).await?;
    Ok(world.show.seen)
}

/// Everything that there is: events, lists, sessions, histories, and each turn as one who has read nothing follows it.
async fn look(world: &mut World, known: &Known) -> Result<(), End> {
    world.show.hush();
    world.call(&Call::Claim).await?;
    for who in [Who::Ann, Who::Bob, Who::Guest] {
        world.call(&Call::Sessions(owner(who), 2)).await?;
    }
    for session in &known.sessions {
        let (owner, page) = (known.owner_of(session), MessagesPage { before: None, limit: 1000 });
        world.call(&Call::Session(owner.clone(), *session)).await?;
        world.call(&Call::Messages(owner, *session, page)).await?;
    }
    for turn in &known.turns {
        let cursor = Cursor { turn: *turn, from: Position::default() };
        world.call(&Call::Follow(known.owner_of(&turn.session), cursor)).await?;
    }
    invariant::check(known).map_err(|fault| End::Differs(world.show.fault(&fault)))
}

//! The invariants I1, I2 and I5, which the model itself has to hold.

use crate::known::Known;
use chatcore::message::{Message, Role, Status};
use chatcore_ports::memory::Dump;

/// Checks the model.
///
/// # Errors
/// What was violated.
pub(crate) fn check(known: &Known) -> Result<(), String> {
    for Dump { session, messages, fences, open, .. } in known.model.dump() {
        let Some(messages) = messages else { continue };
        ensure(!known.deleted.contains(&session), "I5: a deleted session came back")?;
        ensure(fences.is_sorted_by(|one, next| one < next), "I5: the fences of answers do not grow")?;
        ensure(
            messages.len().is_multiple_of(2) != open,
            "I1: a question has no answer and is not open, or has one and is",
        )?;
        messages.iter().enumerate().try_for_each(|(index, message)| in_place(index, message, &messages))?;
    }
    Ok(())
}

/// Question and answer in turn, no gap, and the answer names its question.
fn in_place(index: usize, message: &Message, all: &[Message]) -> Result<(), String> {
    ensure(message.seq == index as u64 + 1, "I2: seq has a gap")?;
    if index.is_multiple_of(2) {
        return ensure((message.role, message.status) == (Role::User, Status::Accepted), "I1: two answers in a row");
    }
    ensure(message.role == Role::Assistant && message.status != Status::Accepted, "I1: two questions in a row")?;
    let question = &all[index - 1];
    let named = (message.reply_to, message.turn) == (Some(question.seq), question.turn);
    ensure(named, "I2: an answer names another question")
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

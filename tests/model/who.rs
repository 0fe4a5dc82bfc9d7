//! Those who ask: two users and a guest.

use crate::op::Who;
use chatcore::id::{DeviceId, UserId};
use chatcore::owner::Owner;

/// An owner by name. Whose a session is, only the store knows.
pub(crate) fn owner(who: Who) -> Owner {
    match who {
        Who::Guest => Owner::Guest(phone()),
        Who::Bob => Owner::User(user("bob")),
        Who::Ann | Who::Theirs => Owner::User(user("ann")),
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a user id")
}

/// The guest's.
pub(crate) fn phone() -> DeviceId {
    DeviceId::parse("phone").expect("a device id")
}

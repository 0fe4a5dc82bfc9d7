//! Who a session belongs to.

use crate::error::Invalid;
use crate::id::{DeviceId, UserId};
use std::fmt;
use std::str::FromStr;

/// Who a session belongs to.
///
/// As text it is `user:` or `guest:` with the id behind, so that stores can keep it in one column:
///
/// ```
/// use chatcore::owner::Owner;
///
/// let owner: Owner = "guest:phone-17".parse()?;
/// assert_eq!(owner.device_id().map(|id| id.as_str()), Some("phone-17"));
/// assert_eq!(owner.to_string(), "guest:phone-17");
/// # Ok::<_, chatcore::error::Invalid>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Owner {
    /// Somebody with a token.
    User(UserId),
    /// A device without one.
    Guest(DeviceId),
}

impl Owner {
    /// The user's id; `None` for a guest.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        match self {
            Self::User(id) => Some(id),
            Self::Guest(_) => None,
        }
    }

    /// The guest's device; `None` for a user.
    #[must_use]
    pub fn device_id(&self) -> Option<&DeviceId> {
        match self {
            Self::User(_) => None,
            Self::Guest(id) => Some(id),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Guest(id) => write!(f, "guest:{id}"),
        }
    }
}

impl FromStr for Owner {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            Some(("user", id)) => UserId::parse(id).map(Self::User),
            Some(("guest", id)) => DeviceId::parse(id).map(Self::Guest),
            _ => Err(Invalid { what: "owner", rule: "user:<id> or guest:<id>" }),
        }
    }
}

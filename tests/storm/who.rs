//! Who asks.

use crate::field::SECRET;
use crate::stand_in::token;
use reqwest::RequestBuilder;

/// A user, or a guest on a device of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    User(usize),
    Guest(usize),
}

impl Who {
    /// `None` for a guest.
    pub(crate) fn user_id(self) -> Option<String> {
        matches!(self, Self::User(_)).then(|| self.name())
    }

    /// `None` for a user.
    pub(crate) fn device_id(self) -> Option<String> {
        matches!(self, Self::Guest(_)).then(|| self.name())
    }

    fn name(self) -> String {
        match self {
            Self::User(number) => format!("user-{number}"),
            Self::Guest(number) => format!("device-{number:04}"),
        }
    }

    /// The request says who asks.
    pub(crate) fn sign(self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::User(_) => request.bearer_auth(token(SECRET, &self.name())),
            Self::Guest(_) => request.header("x-device-id", self.name()),
        }
    }
}

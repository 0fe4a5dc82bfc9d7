//! Identities: newtypes, so that one cannot stand for another, parsed where they enter.

use crate::error::Invalid;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
        pub struct $name(Uuid);

        impl $name {
            /// The UUID itself.
            #[must_use]
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        /// Reads the form that `Display` writes, in any case, and no other form of a UUID.
        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                hyphenated(text).map(Self).ok_or(Invalid { what: $what, rule: "a UUID in its hyphenated form" })
            }
        }
    };
}

uuid_id! {
    /// Names a session. Unguessable: a random UUID.
    SessionId, "session id"
}
uuid_id! {
    /// Names a message. A question's id also names its turn; it is made by the core, ordered by time (UUID version 7).
    MessageId, "message id"
}
uuid_id! {
    /// Names one call of `ChatService` that wants a turn, so that a `begin_turn` whose reply was lost can be repeated.
    AttemptId, "attempt id"
}

impl MessageId {
    /// The id of the answer to this question: the same with its last bit turned, so that no store needs to keep it.
    ///
    /// ```
    /// use chatcore::id::MessageId;
    ///
    /// let question: MessageId = "0190b6a0-0000-7000-8000-000000000002".parse()?;
    /// assert_eq!(question.of_answer().to_string(), "0190b6a0-0000-7000-8000-000000000003");
    /// # Ok::<_, chatcore::error::Invalid>(())
    /// ```
    #[must_use]
    pub fn of_answer(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128() ^ 1))
    }
}

/// Of all forms of a UUID only the hyphenated one has this length.
fn hyphenated(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == Hyphenated::LENGTH)
}

/// Grows with each turn of a session; zero is before the first. Only the holder of the newest may write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Fence(pub u64);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $rule:literal, $good:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "String", into = "String"))]
        pub struct $name(String);

        impl $name {
            /// Takes a text that keeps the rule of this type.
            ///
            /// # Errors
            /// The rule, where the text breaks it.
            pub fn parse(text: impl Into<String>) -> Result<Self, Invalid> {
                let text = text.into();
                let good: fn(&str) -> bool = $good;
                if !text.is_empty() && text.len() <= $max && good(&text) {
                    Ok(Self(text))
                } else {
                    Err(Invalid { what: $what, rule: $rule })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// What a client sends again to mean the same message: 1 to 255 visible ASCII characters.
    #[derive(Debug)]
    Key, "idempotency key", 255, "1 to 255 visible ASCII characters", |text| text.bytes().all(|byte| byte.is_ascii_graphic())
}
text_id! {
    /// Ties log lines, upstream calls and events to one request: 1 to 128 visible ASCII characters.
    #[derive(Debug)]
    RequestId, "request id", 128, "1 to 128 visible ASCII characters", |text| text.bytes().all(|byte| byte.is_ascii_graphic())
}
text_id! {
    /// Somebody with a token. Opaque; an embedder may prefix a tenant. 1 to 128 bytes without control characters.
    #[derive(Debug)]
    UserId, "user id", 128, "1 to 128 bytes without control characters", |text| !text.contains(char::is_control)
}
text_id! {
    /// A device without a token: a guest. Opaque, 1 to 128 bytes without control characters. Who knows it is that guest, so `Debug`
    /// does not show it.
    DeviceId, "device id", 128, "1 to 128 bytes without control characters", |text| !text.contains(char::is_control)
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceId").finish_non_exhaustive()
    }
}

impl RequestId {
    /// The id of a request that came without one: a random id, which keeps the rule.
    #[must_use]
    pub fn made(id: Uuid) -> Self {
        Self(id.to_string())
    }
}

impl Key {
    /// The key of a message that came without one: a random id, which keeps the rule.
    pub(crate) fn made(id: Uuid) -> Self {
        Self(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceId, SessionId};

    #[test]
    fn debug_does_not_show_a_device() {
        let device = DeviceId::parse("phone-4711").unwrap();
        assert_eq!(format!("{:?}", crate::owner::Owner::Guest(device)), "Guest(DeviceId { .. })");
    }

    #[test]
    fn an_id_is_read_in_its_hyphenated_form_alone() {
        let id = "0190b6a0-abcd-7000-8000-000000000002";
        for good in [id.to_owned(), id.to_uppercase()] {
            assert_eq!(good.parse::<SessionId>().map(|id| id.to_string()).as_deref(), Ok(id), "{good}");
        }
        let simple = id.replace('-', "");
        for bad in
            [simple.clone(), format!("{{{id}}}"), format!("urn:uuid:{id}"), format!(" {id}"), format!("{simple}    ")]
        {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
    }
}

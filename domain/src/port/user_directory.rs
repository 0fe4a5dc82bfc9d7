//! Who has which password.

use crate::error::BackendError;
use crate::id::UserId;
use async_trait::async_trait;
use std::fmt;
use std::fmt::Debug;

/// A name and a password. `Debug` shows neither.
#[derive(Clone)]
pub struct Credentials {
    /// The name, as typed.
    pub name: String,
    /// The password, as typed.
    pub password: String,
}

impl Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// The name to log in with.
    pub name: String,
}

/// Who has which password.
///
/// # Laws
/// - **the right password gives the user**, and a wrong one or an unknown name gives `None`, in about the same time.
#[async_trait]
pub trait UserDirectory: Debug + Send + Sync + 'static {
    /// The user whose name and password these are.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<User>, BackendError>;
}

//! The in-memory `UserDirectory`: names and passwords, side by side.

use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::id::UserId;
use chatcore::port::{Credentials, User, UserDirectory};
use std::collections::BTreeMap;
use std::fmt;

/// Knows the users that it was made with. For tests and demos: it holds the passwords as they are. `Debug` shows no
/// password.
///
/// ```
/// use chatcore_ports::chatcore::id::UserId;
/// use chatcore_ports::memory::MemoryUsers;
///
/// let users = MemoryUsers::default().with(UserId::parse("user_1")?, "ann", "secret");
/// assert_eq!(format!("{users:?}"), r#"MemoryUsers(["ann"])"#);
/// # Ok::<_, chatcore_ports::chatcore::error::Invalid>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryUsers {
    /// Id and password by name.
    users: BTreeMap<String, (UserId, String)>,
}

impl MemoryUsers {
    /// The same directory with one more user, or with another password where the name is known.
    #[must_use]
    pub fn with(mut self, id: UserId, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.insert(name.into(), (id, password.into()));
        self
    }
}

#[async_trait]
impl UserDirectory for MemoryUsers {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<User>, BackendError> {
        let known = self.users.get(&credentials.name);
        // An unknown name is compared too, so that it takes the same time.
        let password = known.map_or("", |(_, password)| password.as_str());
        let right = same(password.as_bytes(), credentials.password.as_bytes());
        Ok(known.filter(|_| right).map(|(id, _)| User { id: id.clone(), name: credentials.name.clone() }))
    }
}

/// Looks at every byte that came, wherever the first difference is.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let differs = |(index, byte): (usize, &u8)| expected.get(index) != Some(byte);
    given.iter().enumerate().filter(|given| differs(*given)).count() == 0 && expected.len() == given.len()
}

impl fmt::Debug for MemoryUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryUsers").field(&self.users.keys().collect::<Vec<_>>()).finish()
    }
}

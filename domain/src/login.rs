//! Logging in: a name and a password to a token, guarded by a throttle.

mod lane;
mod tries;

use crate::error::BackendError;
use crate::id::UserId;
use crate::policy::Quota;
use crate::port::{Claims, Credentials, Runtime, Throttle, TokenError, TokenIssuer, User, UserDirectory};
use crate::task::{in_task, within};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tries::Tries;

/// The numbers that logins go by.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoginPolicy {
    /// How long a token is good for; whole seconds.
    pub token_ttl: Duration,
    /// How many wrong passwords a name may have; `None` for any number.
    pub per_name: Option<Quota>,
    /// How many wrong passwords may come from an address; `None` for any number.
    pub per_address: Option<Quota>,
}

impl Default for LoginPolicy {
    fn default() -> Self {
        let quota = |limit| Some(Quota { limit, window: Duration::from_secs(60) });
        Self { token_ttl: Duration::from_secs(24 * 60 * 60), per_name: quota(5), per_address: quota(20) }
    }
}

/// Somebody who has logged in. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// Who.
    pub user: User,
    /// Shows who it is, wherever a token is asked for.
    pub token: String,
    /// How long the token is good for.
    pub expires_in: Duration,
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedIn")
            .field("user", &self.user)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// Why somebody is not logged in.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// No such name, or not its password; which of the two is not told.
    #[error("incorrect username or password")]
    WrongCredentials,
    /// Too many wrong passwords, for this name or from this address.
    #[error("too many failed logins")]
    Throttled {
        /// When the next try may be made.
        retry_after: Duration,
    },
    /// The directory of users failed, or there is too much to do.
    #[error(transparent)]
    Users(BackendError),
    /// The throttle or the issuer failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Logging in, and reading the tokens that come of it. Cheap to clone.
///
/// # Laws
/// - **Only wrong passwords count** toward the quotas, over all processes. Who would be refused because of tries that are not
///   decided yet waits for them, in the order in which they came to this process, for 12 s at most. Those of a process that was
///   killed are in the way for 10 s.
/// - **No password is checked beyond the quota**, also by parallel callers of several processes: a try counts before its password is
///   looked at, and nobody is told that a password is wrong unless that goes on counting.
/// - **A login is a task**: a caller who goes away ends nothing, so that a right password is let go at once.
#[derive(Debug, Clone)]
pub struct LoginService {
    users: Arc<dyn UserDirectory>,
    tokens: Arc<dyn TokenIssuer>,
    tries: Tries,
    runtime: Arc<dyn Runtime>,
    policy: LoginPolicy,
}

/// A token is good from so long before it is made: another server's clock may be behind.
const CLOCKS_DIFFER: Duration = Duration::from_secs(10);

impl LoginService {
    /// Logins over four ports.
    pub fn new(
        users: Arc<dyn UserDirectory>,
        tokens: Arc<dyn TokenIssuer>,
        throttle: Arc<dyn Throttle>,
        runtime: Arc<dyn Runtime>,
        policy: LoginPolicy,
    ) -> Self {
        Self { users, tokens, tries: Tries::new(throttle, runtime.clone()), runtime, policy }
    }

    /// Logs somebody in who calls from this address.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn login(&self, credentials: &Credentials, address: &str) -> Result<LoggedIn, LoginError> {
        let (service, credentials, address) = (self.clone(), credentials.clone(), address.to_owned());
        let decided = in_task(&*self.runtime, async move { service.decide(&credentials, &address).await }).await;
        decided.unwrap_or_else(|| Err(BackendError::later("login", "the task ended").into()))
    }

    async fn decide(&self, credentials: &Credentials, address: &str) -> Result<LoggedIn, LoginError> {
        // An address that may not try is no burden to a name.
        let keys = [
            (format!("login:address:{address}"), self.policy.per_address),
            (format!("login:name:{}", credentials.name), self.policy.per_name),
        ];
        let keys: Vec<_> = keys.into_iter().filter_map(|(key, quota)| Some((key, quota?))).collect();
        let held = self.tries.hold(&keys).await?;
        let time = held.until.saturating_sub(self.runtime.elapsed());
        let looked = within(&*self.runtime, time, self.users.authenticate(credentials)).await;
        let looked = looked.filter(|_| self.runtime.elapsed() <= held.until);
        match looked.unwrap_or_else(|| Err(BackendError::later("login", "a password took too long to check"))) {
            Ok(Some(user)) => {
                self.tries.let_go(held).await;
                self.issue(user)
            }
            Ok(None) => match self.tries.confirm(held).await? {
                true => Err(LoginError::WrongCredentials),
                false => Err(LoginError::Users(BackendError::later("login", "a try was decided too late"))),
            },
            Err(error) => {
                self.tries.let_go(held).await;
                Err(LoginError::Users(error))
            }
        }
    }

    /// Whose token this is, and how long it is good from now on.
    ///
    /// # Errors
    /// It is not valid now.
    pub fn verify(&self, token: &str) -> Result<(UserId, Duration), TokenError> {
        let now = self.runtime.now();
        let Claims { subject, expires_at, .. } = self.tokens.verify(token, now)?;
        Ok((subject, (expires_at - now).try_into().unwrap_or_default()))
    }

    fn issue(&self, user: User) -> Result<LoggedIn, LoginError> {
        let now = whole_seconds(self.runtime.now());
        let expires_in = Duration::from_secs(self.policy.token_ttl.as_secs());
        let issued_at = (now - CLOCKS_DIFFER).max(OffsetDateTime::UNIX_EPOCH);
        let claims = Claims { subject: user.id.clone(), issued_at, expires_at: now + expires_in };
        Ok(LoggedIn { user, token: self.tokens.issue(&claims)?, expires_in })
    }
}

fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    at - Duration::from_nanos(u64::from(at.nanosecond()))
}

//! Logging in: a name and a password to a token, guarded by a throttle.

use crate::error::BackendError;
use crate::id::UserId;
use crate::policy::Quota;
use crate::port::{
    Claims, Credentials, Runtime, Taken, Throttle, Ticket, TokenError, TokenIssuer, User, UserDirectory,
};
use crate::task::in_task;
use crate::watch::Watch;
use futures_util::lock::Mutex as Turns;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use time::OffsetDateTime;

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
    /// The directory of users failed, or has too much to do.
    #[error(transparent)]
    Users(BackendError),
    /// The throttle or the issuer failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Logging in, and reading the tokens that come of it. Cheap to clone.
///
/// # Laws
/// - **Only wrong passwords count** toward the quotas. Who would be refused because of tries that are not decided yet waits for
///   them. Those of other processes are not known here, and count until they are decided.
/// - **No password is checked beyond the quota**, also by parallel callers: a try is counted before its password is looked
///   at, and given back when it was right.
/// - **A login is a task**: a caller who goes away ends nothing, so that a right password never stays counted.
#[derive(Debug, Clone)]
pub struct LoginService {
    users: Arc<dyn UserDirectory>,
    tokens: Arc<dyn TokenIssuer>,
    throttle: Arc<dyn Throttle>,
    runtime: Arc<dyn Runtime>,
    policy: LoginPolicy,
    lanes: Arc<Lanes>,
}

/// A token is good from so long before it is made: another server's clock may be behind.
const CLOCKS_DIFFER: Duration = Duration::from_secs(10);
/// As many tries of this process wait under one key at most.
const MOST_WAITING: usize = 1000;

/// The keys under which somebody tries.
type Lanes = Mutex<BTreeMap<String, Weak<Lane>>>;

/// Tries of this process under one key. They ask the throttle one after the other: so who is refused knows of all others.
#[derive(Debug)]
struct Lane {
    key: String,
    turn: Turns<()>,
    open: Watch<Open>,
    lanes: Arc<Lanes>,
}

#[derive(Debug, Clone, Default)]
struct Open {
    /// How many tries are counted, and not decided.
    undecided: usize,
    /// How many have been decided.
    decided: u64,
    /// How often the throttle has failed, and how the last time.
    failures: u64,
    failure: Option<BackendError>,
}

/// A try that is counted.
struct Try {
    ticket: Ticket,
    lane: Arc<Lane>,
}

impl LoginService {
    /// Logins over four ports.
    pub fn new(
        users: Arc<dyn UserDirectory>,
        tokens: Arc<dyn TokenIssuer>,
        throttle: Arc<dyn Throttle>,
        runtime: Arc<dyn Runtime>,
        policy: LoginPolicy,
    ) -> Self {
        Self { users, tokens, throttle, runtime, policy, lanes: Arc::default() }
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
        let keys = [
            (format!("login:name:{}", credentials.name), self.policy.per_name),
            (format!("login:address:{address}"), self.policy.per_address),
        ];
        let mut tries = Vec::new();
        for (key, quota) in keys {
            match self.take(key, quota).await {
                Ok(taken) => tries.extend(taken),
                Err(error) => {
                    self.give_back(tries).await;
                    return Err(error);
                }
            }
        }
        match self.users.authenticate(credentials).await {
            Ok(None) => Err(LoginError::WrongCredentials),
            Ok(Some(user)) => {
                self.give_back(tries).await;
                self.issue(user)
            }
            Err(error) => {
                self.give_back(tries).await;
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

    /// Counts a try. Where tries stand in the way that may yet turn out right, it waits for them.
    async fn take(&self, key: String, quota: Option<Quota>) -> Result<Option<Try>, LoginError> {
        let Some(quota) = quota else { return Ok(None) };
        let lane = self.lane(key)?;
        let known = lane.open.read(|open| open.failures);
        let _turn = lane.turn.lock().await;
        loop {
            let Open { undecided, decided, failures, failure } = lane.open.read(Open::clone);
            // While it failed for another they stood behind it, and are told the same: not each waits for its own failure.
            if let Some(error) = failure.filter(|_| failures != known) {
                return Err(error.into());
            }
            let taken = self.throttle.take(&lane.key, &quota).await.inspect_err(|error| {
                lane.open.update(|open| (open.failures, open.failure) = (failures + 1, Some(error.clone())));
            });
            match taken? {
                Taken::Granted { ticket, .. } => {
                    lane.open.update(|open| open.undecided += 1);
                    return Ok(Some(Try { ticket, lane: lane.clone() }));
                }
                Taken::Wait(retry_after) if undecided == 0 => return Err(LoginError::Throttled { retry_after }),
                Taken::Wait(_) => lane.open.wait(|open| (open.decided > decided).then_some(())).await,
            }
        }
    }

    fn lane(&self, key: String) -> Result<Arc<Lane>, LoginError> {
        let lane = {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
                let (turn, open, of) = (Turns::default(), Watch::default(), self.lanes.clone());
                let lane = Arc::new(Lane { key: key.clone(), turn, open, lanes: of });
                lanes.insert(key, Arc::downgrade(&lane));
                lane
            })
        };
        match Arc::strong_count(&lane) {
            ..=MOST_WAITING => Ok(lane),
            _ => Err(LoginError::Users(BackendError::later("login", "too many tries wait under one key"))),
        }
    }

    /// A throttle that fails here makes the quota a little stricter for a while, and nothing worse.
    async fn give_back(&self, tries: Vec<Try>) {
        for one in &tries {
            if let Err(error) = self.throttle.give_back(&one.lane.key, &one.ticket).await {
                tracing::warn!(%error, source = %error.source, "a login could not be given back to the throttle");
            }
        }
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        self.lane.open.update(|open| {
            open.undecided -= 1;
            open.decided += 1;
        });
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // Another may stand there by now.
        if lanes.get(&self.key).is_some_and(|lane| lane.strong_count() == 0) {
            lanes.remove(&self.key);
        }
    }
}

fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    at - Duration::from_nanos(u64::from(at.nanosecond()))
}

//! Puts the adapters behind the ports, as the settings say. No other module names an adapter's crate.

use crate::secret_file;
use crate::settings::{Ai, AiKind, Logins, Settings};
use app_kit::settings::StoreKind;
use chatcore::ChatService;
use chatcore::login::{LoginPolicy, LoginService};
use chatcore::policy::{ChatPolicy, Quota};
use chatcore::port::{AiGateway, Probe, Runtime, SessionStore, Throttle, TokenIssuer, UserDirectory};
use chatcore::sweep::Sweeper;
use chatcore_ai_demo::DemoAi;
use chatcore_ai_http::{HttpAi, HttpAiConfig};
use chatcore_auth::{JwtConfig, JwtIssuer, UsersFile};
use chatcore_ports::memory::{MemoryStore, MemoryThrottle, MemoryUsers};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_sqlite::{Sqlite, SqliteConfig};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

pub use chatcore_auth::hash_password;

/// How long after its lease a turn is left to its key.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);
/// How many turns the sweeper closes at once.
pub const SWEEP_BATCH: usize = 100;

/// The use cases over their adapters.
#[derive(Debug)]
pub struct Parts {
    /// The chat.
    pub chat: ChatService,
    /// Logins and tokens.
    pub login: LoginService,
    /// What closes turns whose server died.
    pub sweeper: Sweeper,
    /// What health reports tell of.
    pub dependencies: Vec<Dependency>,
    /// Time and ids.
    pub runtime: Arc<dyn Runtime>,
}

/// Something that the program depends on.
#[derive(Debug)]
pub struct Dependency {
    /// Looks at it.
    pub probe: Arc<dyn Probe>,
    /// Whether nothing works without it.
    pub required: bool,
}

/// Puts everything together. Called inside a tokio runtime, where turns run from then on.
///
/// # Errors
/// An adapter cannot be made; the error says what to mend.
pub fn compose(settings: &Settings) -> Result<Parts, Box<dyn Error + Send + Sync>> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    let (store, throttle, store_probe) = store(settings, &runtime)?;
    let (ai, ai_probe) = ai(&settings.ai, &runtime)?;
    let (users, tokens) = (users(&settings.logins)?, tokens(settings)?);
    let required = Dependency { probe: store_probe, required: true };
    let dependencies = ai_probe.into_iter().map(|probe| Dependency { probe, required: false });
    Ok(Parts {
        chat: ChatService::new(store.clone(), ai, runtime.clone(), chat_policy(settings)),
        login: LoginService::new(users, tokens, throttle, runtime.clone(), login_policy(&settings.logins)),
        sweeper: Sweeper::new(store, ORPHAN_GRACE, SWEEP_BATCH),
        dependencies: std::iter::once(required).chain(dependencies).collect(),
        runtime,
    })
}

type Store = (Arc<dyn SessionStore>, Arc<dyn Throttle>, Arc<dyn Probe>);

fn store(settings: &Settings, runtime: &Arc<dyn Runtime>) -> Result<Store, Box<dyn Error + Send + Sync>> {
    let limits = settings.store.limits;
    match settings.store.kind {
        StoreKind::Memory => {
            let store = Arc::new(MemoryStore::with_limits(runtime.clone(), limits));
            Ok((store.clone(), Arc::new(MemoryThrottle::new(runtime.clone())), store))
        }
        StoreKind::Sqlite => {
            let path = settings.store.file();
            let store =
                Arc::new(Sqlite::open(SqliteConfig { path, limits, ..SqliteConfig::default() }, runtime.clone())?);
            Ok((store.clone(), store.clone(), store))
        }
    }
}

type Gateway = (Arc<dyn AiGateway>, Option<Arc<dyn Probe>>);

fn ai(settings: &Ai, runtime: &Arc<dyn Runtime>) -> Result<Gateway, Box<dyn Error + Send + Sync>> {
    match (settings.kind, &settings.url) {
        (AiKind::Native, Some(url)) => {
            let mut config = HttpAiConfig::new(url)?;
            config.api_key = settings.key.as_ref().map(|key| chatcore_ai_http::Secret::new(key.expose()));
            config.send_context = settings.send_context;
            config.timeout = settings.timeout;
            let ai = Arc::new(HttpAi::new(config, runtime.clone())?);
            Ok((ai.clone(), Some(ai)))
        }
        // The settings give the native kind an address.
        _ => Ok((Arc::new(DemoAi::new(settings.demo_delay, runtime.clone())), None)),
    }
}

fn users(settings: &Logins) -> Result<Arc<dyn UserDirectory>, Box<dyn Error + Send + Sync>> {
    Ok(match &settings.users {
        Some(path) => Arc::new(UsersFile::open(path)?),
        None if settings.demo_user => Arc::new(UsersFile::demo()),
        None => Arc::new(MemoryUsers::default()),
    })
}

fn tokens(settings: &Settings) -> Result<Arc<dyn TokenIssuer>, Box<dyn Error + Send + Sync>> {
    let Logins { secret, issuer, audience, .. } = &settings.logins;
    let secret = match (secret, settings.store.kind) {
        (Some(secret), _) => secret.expose().as_bytes().to_vec(),
        (None, StoreKind::Memory) => secret_file::random()?,
        (None, StoreKind::Sqlite) => secret_file::made_once(&settings.store.data_dir)?,
    };
    Ok(Arc::new(JwtIssuer::new(JwtConfig { secret, issuer: issuer.clone(), audience: audience.clone() })))
}

fn chat_policy(settings: &Settings) -> ChatPolicy {
    let mut policy = ChatPolicy::default();
    policy.lease = settings.chat.lease;
    policy.ai_timeout = settings.ai.timeout;
    policy.max_message = settings.chat.max_message;
    policy.max_answer = settings.chat.max_answer;
    policy.max_running = settings.chat.max_running;
    policy.session_ttl = settings.chat.session_ttl;
    policy.quota = settings.chat.quota;
    policy.fallback.clone_from(&settings.ai.fallback);
    policy
}

fn login_policy(settings: &Logins) -> LoginPolicy {
    let mut policy = LoginPolicy::default();
    policy.token_ttl = settings.ttl;
    policy.per_name = settings.quota;
    policy.per_address = settings.quota.map(|quota| Quota { limit: quota.limit.saturating_mul(4), ..quota });
    policy
}

//! Puts the adapters behind the ports, as the settings say. No other module names an adapter's crate.

use crate::measured::{AiNumbers, MeasuredAi, MeasuredStore, MeasuredThrottle, Sampled};
use crate::secret_file;
use crate::settings::{self, AiKind, Chat, Logins, Sections, Settings};
use app_kit::probing::Watched;
use app_kit::relaying::Relaying;
use app_kit::settings::{Faults, StoreKind};
use app_kit::{compose, traces};
use chatcore::ChatService;
use chatcore::guests::GuestGate;
use chatcore::login::{LoginPolicy, LoginService};
use chatcore::policy::{ChatPolicy, Quota};
use chatcore::port::{AiGateway, Outbox, Probe, Runtime, SessionStore, Throttle, TokenIssuer, UserDirectory};
use chatcore::sweep::Sweeper;
use chatcore_ai_demo::DemoAi;
use chatcore_ai_http::{HttpAi, HttpAiConfig, OpenAi, Wire};
use chatcore_auth::{JwtConfig, JwtIssuer, UsersFile};
use chatcore_ports::memory::{MemoryStore, MemoryThrottle, MemoryUsers};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::Redis;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use chatcore_auth::hash_password;

/// How long a request waits for a store that fails, so that it is refused within a second.
const PATIENCE: Duration = Duration::from_millis(800);
/// How many turns the sweeper closes at once.
const SWEEP_BATCH: usize = 100;

/// A part, or what to mend where it cannot be made.
type Opened<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The use cases over their adapters.
#[derive(Debug)]
pub struct Parts {
    /// The chat.
    pub chat: ChatService,
    /// Logins and tokens.
    pub login: LoginService,
    /// What guests may do; `None` where there are none.
    pub guests: Option<GuestGate>,
    /// What closes turns whose server died.
    pub sweeper: Sweeper,
    /// What moves events to Kafka, where this program does that.
    pub relay: Option<Relaying>,
    /// What health reports tell of.
    pub dependencies: Arc<[Dependency]>,
    /// What numbers are read from now and then.
    pub sampled: Sampled,
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

/// The store alone, for a look at it, what waits in it for Kafka, and what tells how long it has waited.
pub(crate) async fn store_alone(settings: &Settings) -> Opened<(Dependency, Arc<dyn Outbox>, Arc<dyn Runtime>)> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::local());
    let Store { probe, outbox, .. } = Store::open(settings, &runtime).await?;
    Ok((Dependency { probe, required: true }, outbox, runtime))
}

/// Kafka alone, where it is used. It may be away.
pub(crate) fn bus_alone(settings: &Settings) -> Option<Opened<Dependency>> {
    let kafka = compose::kafka(settings.store.kafka.as_ref()?, Arc::new(TokioRuntime::local()));
    let alone = |kafka| Dependency { probe: Arc::new(compose::KafkaAlone(kafka)), required: false };
    Some(kafka.map(alone).map_err(Into::into))
}

/// The AI alone. It may be away.
pub(crate) fn ai_alone(settings: &Settings) -> Opened<Dependency> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::local());
    Ok(Dependency { probe: ai(&settings.ai, &settings.chat, &runtime)?.probe, required: false })
}

/// What shows without a network of settings that cannot be right, and which ones they are. Called inside a tokio runtime.
pub(crate) fn check(read: Sections<'_>) -> Vec<String> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::local());
    let store = read.store.map(|store| compose::check(store, true, runtime.clone()));
    let ai = read.ai.zip(read.chat).and_then(|(ai, chat)| usable_ai(ai, chat, &runtime).err());
    let users = read.logins.and_then(|logins| usable_users(logins).err());
    store.unwrap_or_default().into_iter().chain(ai).chain(users).collect()
}

fn usable_ai(settings: &settings::Ai, chat: &Chat, runtime: &Arc<dyn Runtime>) -> Result<Ai, String> {
    ai(settings, chat, runtime).map_err(|error| compose::fault("ai", error))
}

fn usable_users(settings: &Logins) -> Result<Arc<dyn UserDirectory>, String> {
    users(settings).map_err(|error| format!("{error}; see USERS_FILE"))
}

/// Puts everything together. Called inside a tokio runtime, where all runs but what a
/// request starts: that stays on the request's thread.
///
/// # Errors
/// An adapter cannot be made; the error says what to mend.
pub async fn compose(settings: &Settings) -> Opened<Parts> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::local());
    // Whatever can be wrong without a network is told at once, before anything is made.
    let mut faults = compose::check(&settings.store, true, runtime.clone());
    let ai = usable_ai(&settings.ai, &settings.chat, &runtime).map_err(|fault| faults.push(fault));
    let users = usable_users(&settings.logins).map_err(|fault| faults.push(fault));
    let (true, Ok(Ai { gateway, probe: ai_probe, numbers }), Ok(users)) = (faults.is_empty(), ai, users) else {
        return Err(Faults { of_parts: faults, ..Faults::default() }.into());
    };
    let store = Store::open(settings, &runtime).await?;
    let tokens = tokens(&settings.logins, store.secrets.secret(&settings.logins).await?);
    let dependency = |probe: Arc<dyn Probe>, required| Dependency {
        probe: Arc::new(Watched::new(probe, runtime.clone())),
        required,
    };
    let mut dependencies = vec![dependency(store.probe.clone(), true)];
    let mut relay = None;
    if let Some(bus) = &settings.store.kafka {
        // Without it the chat goes on: events wait in the outbox.
        let kafka = Arc::new(compose::kafka(bus, runtime.clone())?);
        dependencies.push(dependency(kafka.clone(), false));
        relay = bus.relay.then(|| Relaying::between(store.outbox.clone(), kafka, runtime.clone()));
    }
    dependencies.push(dependency(ai_probe, false));
    let sessions: Arc<dyn SessionStore> = Arc::new(MeasuredStore::new(store.sessions, runtime.clone()));
    let throttle: Arc<dyn Throttle> = Arc::new(MeasuredThrottle::new(store.throttle, runtime.clone()));
    let ai = Arc::new(MeasuredAi::new(gateway, runtime.clone()));
    Ok(Parts {
        chat: ChatService::new(sessions.clone(), ai, runtime.clone(), chat_policy(settings)),
        guests: settings
            .chat
            .guests
            .then(|| GuestGate::new(throttle.clone(), runtime.clone(), settings.chat.guest_quota)),
        login: LoginService::new(users, tokens, throttle, runtime.clone(), login_policy(&settings.logins)),
        sweeper: Sweeper::new(sessions, runtime.clone(), settings.chat.lease, SWEEP_BATCH),
        relay,
        dependencies: dependencies.into(),
        sampled: Sampled { outbox: store.outbox, ai: numbers, runtime: runtime.clone() },
        runtime,
    })
}

/// The store that was chosen, as the ports that are needed of it.
struct Store {
    sessions: Arc<dyn SessionStore>,
    outbox: Arc<dyn Outbox>,
    throttle: Arc<dyn Throttle>,
    probe: Arc<dyn Probe>,
    secrets: Secrets,
}

impl Store {
    async fn open(settings: &Settings, runtime: &Arc<dyn Runtime>) -> Opened<Self> {
        let (limits, runtime) = (settings.store.limits, runtime.clone());
        Ok(match (settings.store.kind, &settings.store.redis) {
            (StoreKind::Redis, Some(redis)) => {
                let redis = compose::redis(redis, limits, settings.server.debug, runtime).await?;
                Self::of(redis.clone(), redis.clone(), Secrets::InRedis(redis))
            }
            (StoreKind::Memory, _) => {
                let store = MemoryStore::with_limits(runtime.clone(), limits);
                Self::of(store, MemoryThrottle::new(runtime), Secrets::Nowhere)
            }
            // The settings give the kind `redis` an address.
            (StoreKind::Sqlite | StoreKind::Redis, _) => {
                let sqlite = compose::sqlite(&settings.store, runtime)?;
                Self::of(sqlite.clone(), sqlite, Secrets::Under(settings.store.data_dir.clone()))
            }
        })
    }

    fn of(store: impl SessionStore + Outbox + Probe, throttle: impl Throttle, secrets: Secrets) -> Self {
        let store = Arc::new(store);
        Self { sessions: store.clone(), outbox: store.clone(), throttle: Arc::new(throttle), probe: store, secrets }
    }
}

/// Where a made-up secret is kept: beside the sessions.
enum Secrets {
    Nowhere,
    Under(PathBuf),
    InRedis(Redis),
}

impl Secrets {
    /// What tokens are signed with: what was given, else what was made once.
    async fn secret(&self, settings: &Logins) -> Opened<Vec<u8>> {
        if let Some(secret) = &settings.secret {
            return Ok(secret.expose().as_bytes().to_vec());
        }
        Ok(match self {
            Self::Nowhere => secret_file::random()?,
            Self::Under(directory) => secret_file::made_once(directory)
                .map_err(|error| format!("{error}; see DATA_DIR, or give JWT_SECRET_KEY"))?,
            Self::InRedis(store) => {
                let kept = store.made_once("jwt-secret", &secret_file::random()?).await;
                kept.map_err(|error| {
                    format!(
                        "cannot keep a made-up secret in Redis ({}); set JWT_SECRET_KEY, or start Redis first",
                        error.source
                    )
                })?
            }
        })
    }
}

/// The AI that was chosen.
struct Ai {
    gateway: Arc<dyn AiGateway>,
    probe: Arc<dyn Probe>,
    /// What it tells of itself.
    numbers: Arc<dyn Fn() -> AiNumbers + Send + Sync>,
}

fn ai(settings: &settings::Ai, chat: &Chat, runtime: &Arc<dyn Runtime>) -> Opened<Ai> {
    let (Some(wire), Some(url)) = (wire(settings), &settings.url) else {
        let ai = Arc::new(DemoAi::new(settings.demo_delay, runtime.clone()));
        return Ok(Ai { gateway: ai.clone(), probe: ai, numbers: Arc::new(AiNumbers::default) });
    };
    let mut config = HttpAiConfig::new(url.expose())?;
    config.wire = wire;
    config.api_key = settings.key.as_ref().map(|key| chatcore_ai_http::Secret::new(key.expose()));
    config.send_context = settings.send_context;
    config.stream = settings.stream;
    config.timeout = settings.timeout;
    // In JSON a byte takes six at most.
    config.max_body = config.max_body.max(chat.max_answer.saturating_mul(6));
    // A turn that was taken waits for no place.
    config.bulkhead.running = chat.max_running;
    config.headers = traces::headers;
    let ai = Arc::new(HttpAi::new(config, runtime.clone())?);
    let asked = ai.clone();
    let numbers = move || {
        let tokens = asked.tokens();
        AiNumbers { refuses: asked.refuses(), prompt_tokens: tokens.prompt, completion_tokens: tokens.completion }
    };
    Ok(Ai { gateway: ai.clone(), probe: ai, numbers: Arc::new(numbers) })
}

/// How a service is spoken to; `None` for what is no service. The settings give each kind what it needs.
fn wire(settings: &settings::Ai) -> Option<Wire> {
    match settings.kind {
        AiKind::Demo => None,
        AiKind::Native => Some(Wire::Native),
        AiKind::OpenAi => {
            let mut openai = OpenAi::new(settings.model.as_ref()?);
            openai.system_prompt.clone_from(&settings.system_prompt);
            Some(Wire::OpenAi(openai))
        }
    }
}

/// Who may log in.
///
/// # Errors
/// The file of users cannot be read, or has faults; the error tells all of them.
pub(crate) fn users(settings: &Logins) -> Opened<Arc<dyn UserDirectory>> {
    Ok(match &settings.users {
        Some(path) => {
            let users = UsersFile::open(path)?;
            if users.is_empty() {
                tracing::warn!("nobody can log in: USERS_FILE names no user");
            }
            Arc::new(users)
        }
        None if settings.demo_user => Arc::new(UsersFile::demo()),
        None => Arc::new(MemoryUsers::default()),
    })
}

fn tokens(settings: &Logins, secret: Vec<u8>) -> Arc<dyn TokenIssuer> {
    let Logins { issuer, audience, .. } = settings.clone();
    Arc::new(JwtIssuer::new(JwtConfig { secret, issuer, audience }))
}

fn chat_policy(settings: &Settings) -> ChatPolicy {
    let mut policy = ChatPolicy::default();
    policy.lease = settings.chat.lease;
    policy.patience = PATIENCE;
    policy.ai_timeout = settings.ai.timeout;
    policy.max_message = settings.chat.max_message;
    policy.max_answer = settings.chat.max_answer;
    policy.max_running = settings.chat.max_running;
    policy.queue_wait = settings.chat.queue_wait;
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

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore_redis::RedisConfig;

    /// The core tells after its patience, which is a law of its own, and the rest is for a busy machine.
    #[test]
    fn a_request_for_a_store_that_fails_is_refused_well_within_a_second() {
        let patience = chat_policy(&Settings::from_pairs([]).unwrap()).patience;
        assert!(patience + Duration::from_millis(200) <= Duration::from_secs(1), "{patience:?}");
        let call = RedisConfig::new("").call_timeout;
        assert!(call < patience, "one call of {call:?} leaves time for another one");
    }
}

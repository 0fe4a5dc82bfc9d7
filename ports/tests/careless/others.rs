//! Throttles, tokens, users, AIs and runtimes.

use async_trait::async_trait;
use chatcore_ports::chatcore::error::BackendError;
use chatcore_ports::chatcore::id::UserId;
use chatcore_ports::chatcore::policy::{Left, Quota};
use chatcore_ports::chatcore::port::{
    AiChunk, AiError, AiGateway, Claims, Credentials, Held, Prompt, Runtime, Taken, Throttle, Ticket, TokenError,
    TokenIssuer, User, UserDirectory,
};
use chatcore_ports::conformance::{
    AiHarness, Law, RuntimeHarness, ThrottleHarness, TokenHarness, UsersHarness, ai_gateway, broken, runtime, throttle,
    token_issuer, user_directory,
};
use chatcore_ports::memory::{MemoryAi, MemoryThrottle, MemoryTokens, MemoryUsers};
use chatcore_ports::tokio::TokioRuntime;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a careless adapter does wrong; each port has its own reading of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// One more than the limit; a token within a minute of its end; a user by the beginning of the password.
    Lenient,
    /// Nothing is given back; an upstream call goes on; a task ends with its caller.
    Forgetful,
    /// A refusal costs, and so does a look; any key's token; an unknown name is answered at once; a text behind the end; a sleep is too
    /// short.
    Hasty,
}

#[derive(Debug, Clone)]
struct Careless<T>(T, Bug);

#[async_trait]
impl Throttle for Careless<MemoryThrottle> {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        match self.1 {
            Bug::Lenient => self.0.take(key, &Quota { limit: quota.limit + 1, ..*quota }).await,
            Bug::Forgetful => self.0.take(key, quota).await,
            Bug::Hasty => {
                let taken = self.0.take(key, quota).await?;
                // A refused take pushes the window on.
                Ok(if let Taken::Wait(_) = taken {
                    self.0.take(key, &Quota { limit: 1000, ..*quota }).await?;
                    taken
                } else {
                    taken
                })
            }
        }
    }

    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError> {
        match self.1 {
            Bug::Lenient => self.0.hold(key, quota, time / 2).await,
            Bug::Forgetful => self.0.hold(key, quota, time * 100).await,
            Bug::Hasty => Ok(match self.0.hold(key, quota, time).await? {
                Held::Wait { time, .. } => Held::Wait { time, undecided: false },
                granted => granted,
            }),
        }
    }

    async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError> {
        if self.1 == Bug::Forgetful { Ok(true) } else { self.0.confirm(key, ticket).await }
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        if self.1 == Bug::Forgetful { Ok(()) } else { self.0.give_back(key, ticket).await }
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        match self.1 {
            Bug::Lenient => self.0.remaining(key, &Quota { limit: quota.limit + 1, ..*quota }).await,
            Bug::Forgetful => self.0.remaining(key, quota).await,
            Bug::Hasty => Ok(match self.take(key, quota).await? {
                Taken::Granted { left, .. } => left,
                Taken::Wait(reset) => Left { remaining: 0, reset },
            }),
        }
    }
}

impl TokenIssuer for Careless<MemoryTokens> {
    fn issue(&self, claims: &Claims) -> Result<String, BackendError> {
        self.0.issue(claims)
    }

    fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, TokenError> {
        match self.1 {
            Bug::Lenient => self.0.verify(token, now - Duration::from_secs(60)),
            Bug::Forgetful => self.0.verify(token.trim(), now),
            Bug::Hasty => self.0.verify(token, now).or_else(|_| MemoryTokens::new("two").verify(token, now)),
        }
    }
}

#[async_trait]
impl UserDirectory for Careless<MemoryUsers> {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<User>, BackendError> {
        let Credentials { name, password } = credentials;
        let (name, password) = match self.1 {
            Bug::Lenient => (name.clone(), password.chars().take(8).collect()),
            Bug::Forgetful => (name.trim().to_owned(), password.clone()),
            Bug::Hasty => {
                let hash = Duration::from_millis(if name == "testuser" { 20 } else { 0 });
                TokioRuntime::current().sleep(hash).await;
                (name.clone(), password.clone())
            }
        };
        self.0.authenticate(&Credentials { name, password }).await
    }
}

impl AiGateway for Careless<Arc<AtomicUsize>> {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let (running, text) = (self.0.clone(), Ok(AiChunk::Text("more".into())));
        match self.1 {
            // It takes whatever comes for an answer.
            Bug::Lenient => MemoryAi::saying(["<html>"]).answer(prompt),
            Bug::Forgetful => stream::once(async move {
                running.fetch_add(1, Ordering::SeqCst);
                std::future::pending().await
            })
            .boxed(),
            Bug::Hasty => MemoryAi::echo().answer(prompt).chain(stream::iter([text])).boxed(),
        }
    }
}

impl Runtime for Careless<TokioRuntime> {
    fn now(&self) -> OffsetDateTime {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(if self.1 == Bug::Hasty { time / 2 } else { time })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        if self.1 != Bug::Forgetful {
            self.0.spawn(task);
        }
    }

    fn new_id(&self) -> Uuid {
        if self.1 == Bug::Lenient { Uuid::from_u128(7) } else { self.0.new_id() }
    }
}

/// Every bug breaks the law that stands at its place.
fn each_breaks<H, F: Future<Output = H>>(laws: &[Law<H>], make: impl Fn(Bug) -> F + Sync, expected: [&str; 3]) {
    for (bug, law) in [Bug::Lenient, Bug::Forgetful, Bug::Hasty].into_iter().zip(expected) {
        let broken: Vec<_> = broken(laws, || make(bug)).iter().map(|broken| broken.law).collect();
        assert!(broken.contains(&law), "{bug:?} was to break {law}, and broke {broken:?}");
    }
}

#[test]
fn a_careless_throttle_breaks_a_law() {
    let make = |bug| async move {
        let throttle = Arc::new(Careless(MemoryThrottle::new(Arc::new(TokioRuntime::current())), bug));
        ThrottleHarness::new(throttle.clone(), throttle)
    };
    let (never, given_back) = ("never_more_than_the_limit_in_any_window", "a_take_that_was_given_back_does_not_count");
    let (takes, others) = throttle::LAWS.split_at(2);
    each_breaks(takes, make, [never, given_back, never]);
    for law in others {
        each_breaks(std::slice::from_ref(law), make, [law.name; 3]);
    }
}

#[test]
fn a_careless_issuer_breaks_a_law() {
    let make = |bug| async move {
        let issuer = Arc::new(Careless(MemoryTokens::new("one"), bug));
        TokenHarness { issuer, stranger: Arc::new(MemoryTokens::new("two")) }
    };
    let altered = "an_altered_token_is_invalid";
    each_breaks(token_issuer::LAWS, make, ["an_expired_token_is_expired", altered, altered]);
}

#[test]
fn a_careless_directory_breaks_a_law() {
    let make = |bug| async move {
        let user = User { id: UserId::parse("user_123").unwrap(), name: "testuser".into() };
        let users = MemoryUsers::default().with(user.id.clone(), "testuser", "testpass");
        UsersHarness { directory: Arc::new(Careless(users, bug)), user, password: "testpass".into() }
    };
    each_breaks(user_directory::LAWS, make, ["the_right_password_gives_the_user"; 3]);
}

#[test]
fn a_careless_ai_breaks_a_law() {
    let make = |bug| async move {
        let calls = Arc::new(AtomicUsize::new(0));
        let ai = Arc::new(Careless(calls.clone(), bug));
        match bug {
            Bug::Lenient => AiHarness::new(ai.clone()).malformed("a page of HTML", ai),
            Bug::Forgetful => {
                AiHarness::new(Arc::new(MemoryAi::echo())).hanging(ai, move || calls.load(Ordering::SeqCst))
            }
            Bug::Hasty => AiHarness::new(ai),
        }
    };
    let laws = [
        "a_malformed_answer_is_an_error",
        "a_dropped_stream_stops_the_upstream_call",
        "an_answer_is_text_and_one_done",
    ];
    each_breaks(ai_gateway::LAWS, make, laws);
}

#[test]
fn a_careless_runtime_breaks_a_law() {
    let make = |bug| async move { RuntimeHarness::new(Arc::new(Careless(TokioRuntime::current(), bug))) };
    let laws = ["an_id_is_random_and_new", "a_task_runs_to_its_end", "a_sleep_is_done_when_its_time_is_over"];
    each_breaks(runtime::LAWS, make, laws);
}

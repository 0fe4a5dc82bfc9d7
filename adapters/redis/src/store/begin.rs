//! `begin_turn`: one script, and the window read right behind it.

use super::script;
use crate::Redis;
use crate::error::unreadable;
use crate::keys::Partition;
use crate::record::{message_of, messages_of};
use crate::script::{Call, Script};
use crate::value::{Read, first, fixed, items, micros, number, parsed, span, worded};
use chatcore::id::{Fence, SessionId};
use chatcore::message::Message;
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::turn::{Began, NewTurn, Refusal, Replayed, Started, Target, Turn, TurnId};
use deadpool_redis::redis::{Cmd, Value, cmd};
use std::time::Duration;

static BEGIN: Script = script!("begin", window);
static HOME: Script = script!("home", window);
static GIVE_BACK: Script = script!("give_back");

/// Limit and window for a question that no quota counts.
const NO_QUOTA: (i64, i64) = (-1, 0);

/// What comes before each try to give back.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];

/// What the quota of an adopted session's owner says.
enum Taken {
    /// Nothing was to be taken.
    Free,
    /// One was taken.
    One(Left),
    /// None is left.
    Wait(Duration),
}

/// A begin, and what is added to it where the owner has adopted sessions.
struct Asked<'a> {
    new: &'a NewTurn,
    session: SessionId,
    /// The quota is counted in this slot.
    counts: bool,
    /// What a quota counted elsewhere said.
    throttled: Duration,
    /// How many sessions the owner has in other slots is known exactly.
    exact: bool,
}

impl Redis {
    pub(super) async fn begin(&self, new: &NewTurn) -> Read<Began> {
        let keys = &self.inner.keys;
        let home = keys.home(&new.owner);
        match new.target {
            Target::New => {
                let session = keys.session_id(self.inner.runtime.new_id(), home);
                self.begin_new(new, session, home).await
            }
            Target::Existing(session) if keys.of_session(&session) == home => {
                let asked = Asked { new, session, counts: true, throttled: Duration::ZERO, exact: true };
                self.ask(&asked).await.and_then(|answer| began(answer, None))
            }
            Target::Existing(session) => self.begin_adopted(new, session, home).await,
        }
    }

    /// Opens a session. Only where the owner has adopted some, and as many as one may have, are those counted first.
    async fn begin_new(&self, new: &NewTurn, session: SessionId, home: Partition) -> Read<Began> {
        let asked = Asked { new, session, counts: true, throttled: Duration::ZERO, exact: false };
        let answer = self.ask(&asked).await?;
        if answer.word != "COUNT" {
            return began(answer, None);
        }
        self.count_again(&new.owner, home, items(first(answer.rest))?).await?;
        began(self.ask(&Asked { exact: true, ..asked }).await?, None)
    }

    /// A session in another slot than its owner's quota. What was taken for a question that was not stored then, or may not have
    /// been, is given back: where this attempt is tried again it is taken again, and where nobody knows, nobody pays.
    async fn begin_adopted(&self, new: &NewTurn, session: SessionId, home: Partition) -> Read<Began> {
        // A later try of the same attempt has a greater number.
        let tried = micros(self.inner.runtime.elapsed()) + 1;
        let taken = self.take(new, home, tried).await.inspect_err(|_| self.give_back_later(new, home, tried))?;
        let throttled = if let Taken::Wait(wait) = &taken { *wait } else { Duration::ZERO };
        let asked = self.ask(&Asked { new, session, counts: false, throttled, exact: true }).await;
        let Taken::One(left) = taken else { return began(asked?, None) };
        let answer = asked.inspect_err(|_| self.give_back_later(new, home, tried))?;
        if answer.is_new()? {
            return began(answer, Some(left));
        }
        if self.say(&self.giving_back(new, home, tried)).await.is_err() {
            self.give_back_later(new, home, tried);
        }
        began(answer, None)
    }

    fn giving_back(&self, new: &NewTurn, home: Partition, tried: i64) -> Call {
        let keys = [format!("q:{}", new.owner), format!("a:{}", new.attempt)];
        self.at(home, &GIVE_BACK, &keys).arg(new.owner.to_string()).arg(new.attempt.to_string()).arg(tried)
    }

    /// Whoever waits is told meanwhile, for the node of the quota may be silent. Where all tries fail the quota is a little
    /// stricter for a while, and nothing worse.
    fn give_back_later(&self, new: &NewTurn, home: Partition, tried: i64) {
        let (redis, call) = (self.clone(), self.giving_back(new, home, tried));
        self.inner.runtime.spawn(Box::pin(async move {
            for pause in PAUSES {
                redis.inner.runtime.sleep(pause).await;
                match redis.say(&call).await {
                    Ok(_) => return,
                    Err(error) => {
                        tracing::debug!(%error, source = %error.source, "a question was not given back to its quota")
                    }
                }
            }
        }));
    }

    async fn take(&self, new: &NewTurn, home: Partition, tried: i64) -> Read<Taken> {
        let (limit, window) = quota(new);
        let call = self
            .at(home, &HOME, &[format!("h:{}", new.owner), format!("q:{}", new.owner), format!("a:{}", new.attempt)])
            .arg(new.owner.to_string())
            .arg(limit)
            .arg(window)
            .arg(micros(new.ttl))
            .arg(new.attempt.to_string())
            .arg(tried);
        let (word, rest) = self.say(&call).await?;
        let mut rest = rest.into_iter();
        let mut next = || rest.next().unwrap_or_default();
        match word.as_str() {
            "FREE" => Ok(Taken::Free),
            "THROTTLED" => span(next()).map(Taken::Wait),
            "TAKEN" => Ok(Taken::One(Left { remaining: number(next())?, reset: span(next())? })),
            other => Err(unreadable(other)),
        }
    }

    pub(super) async fn left_of(&self, owner: &Owner, quota: &Quota) -> Read<Left> {
        let home = self.inner.keys.slot(self.inner.keys.home(owner));
        self.left_in(format!("{home}q:{owner}"), quota).await
    }

    async fn ask(&self, asked: &Asked<'_>) -> Read<Answer> {
        let (new, session) = (asked.new, asked.session);
        let limits = &self.inner.limits;
        let (limit, window) = if asked.counts { quota(new) } else { NO_QUOTA };
        let is_new = new.target == Target::New;
        let owner = &new.owner;
        let mut others: Vec<String> = ["u", "e", "h", "q"].map(|kind| format!("{kind}:{owner}")).into();
        others.extend(["t".to_owned(), "ox".to_owned(), format!("k:{owner} {}", new.key)]);
        let call = self
            .at_session(&session, &BEGIN, "smil", &others)
            .arg(new.owner.to_string())
            .arg(session.to_string())
            .arg(u8::from(is_new))
            .arg(new.key.as_str())
            .arg(format!("{:x}", new.body_hash))
            .arg(new.message.to_string())
            .arg(new.message.as_uuid().as_bytes().as_slice())
            .arg(new.text.as_str())
            .arg(&[micros(new.lease), micros(new.ttl)])
            .arg(&[limits.session_messages, limits.owner_sessions])
            .arg(limit)
            .arg(window)
            .arg(new.attempt.to_string())
            .arg(new.request_id.as_ref().map(|request| request.as_str()).unwrap_or_default())
            .arg(micros(asked.throttled))
            .arg(u8::from(asked.exact))
            .arg(self.followers());
        let call = self.log_args(call);
        // The first question of a session has nothing before it.
        let then: Vec<Cmd> =
            (!is_new && new.window > 0).then(|| self.window(&session, new.window)).into_iter().collect();
        let mut answers = self.inner.client.call_then(&call, &then).await?.into_iter();
        let (word, rest) = worded(answers.next().unwrap_or_default())?;
        let window = answers.next().map(messages_of).transpose()?;
        Ok(Answer { word, rest, window: window.unwrap_or_default() })
    }

    /// The newest messages, the question among them. While its lease holds nobody writes behind it.
    fn window(&self, session: &SessionId, window: usize) -> Cmd {
        let mut command = cmd("LRANGE");
        let most = i64::try_from(window.saturating_add(1)).unwrap_or(i64::MAX);
        command.arg(self.inner.keys.session('m', session)).arg(-most).arg(-1);
        command
    }
}

/// What the script said, and the newest messages, oldest first.
struct Answer {
    word: String,
    rest: Vec<Value>,
    window: Vec<Message>,
}

impl Answer {
    /// Whether this attempt stored a question that was not there before, now or when its answer was lost.
    fn is_new(&self) -> Read<bool> {
        let resumed = || self.rest.get(4).cloned().map_or(Ok(1), number::<u8>);
        Ok(self.word == "STARTED" && resumed()? == 0)
    }
}

fn quota(new: &NewTurn) -> (i64, i64) {
    new.quota.map_or(NO_QUOTA, |quota| (i64::from(quota.limit), micros(quota.window)))
}

/// What the script said, in the words of the port.
fn began(answer: Answer, taken: Option<Left>) -> Read<Began> {
    let Answer { word, rest, window } = answer;
    let mut rest = rest.into_iter();
    let mut next = || rest.next().unwrap_or_default();
    Ok(match word.as_str() {
        "STARTED" => {
            let (session, fence, seq) = (parsed(next())?, Fence(number(next())?), number(next())?);
            let turn = Turn { id: TurnId { session, message: parsed(next())? }, fence };
            let mut flag = || Ok(number::<u8>(next())? == 1);
            let (resumed, closed, counted) = (flag()?, flag()?, flag()?);
            let (remaining, reset) = (number::<i64>(next())?, span(next())?);
            let here = u32::try_from(remaining).ok().map(|remaining| Left { remaining, reset });
            let left = here.or(taken).filter(|_| counted);
            Began::Started(Started { turn, seq, window: before(seq, window), resumed, closed, left })
        }
        "REPLAYED" => {
            let session = parsed(next())?;
            Began::Replayed(Box::new(replayed(session, next())?))
        }
        "ATTACHED" | "BUSY" => {
            let id = TurnId { session: parsed(next())?, message: parsed(next())? };
            let (fence, seq, retry_after) = (Fence(number(next())?), number(next())?, span(next())?);
            match word.as_str() {
                "ATTACHED" => Began::Attached { turn: Turn { id, fence }, seq, retry_after },
                _ => Began::Refused(Refusal::Busy { turn: id, retry_after }),
            }
        }
        word => Began::Refused(refusal(word, next())?),
    })
}

fn before(seq: u64, window: Vec<Message>) -> Vec<Message> {
    window.into_iter().filter(|message| message.seq < seq).collect()
}

fn replayed(session: SessionId, records: Value) -> Read<Replayed> {
    let [question, answer] = fixed(records)?;
    let ((question, _), (answer, fence)) = (message_of(question)?, message_of(answer)?);
    let turn = Turn { id: TurnId { session, message: question.turn }, fence };
    Ok(Replayed { turn, question, answer })
}

fn refusal(word: &str, detail: Value) -> Read<Refusal> {
    Ok(match word {
        "NOT_FOUND" => Refusal::NotFound,
        "NOT_YOURS" => Refusal::NotYours,
        "KEY_REUSED" => Refusal::KeyReused,
        "SESSION_FULL" => Refusal::SessionFull,
        "TOO_MANY_SESSIONS" => Refusal::TooManySessions,
        "OVERLOADED" => Refusal::Overloaded,
        "THROTTLED" => Refusal::Throttled { retry_after: span(detail)? },
        other => return Err(unreadable(other)),
    })
}

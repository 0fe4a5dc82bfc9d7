//! Reading along: a turn while it is answered, a session while it goes on. And stopping a turn.
//!
//! The id of an event says which attempt at the answer a reader has, and how many bytes of its text: who names it goes on
//! behind it, on whatever server and as long as the session lives.

use super::query::{Mark, Query, SessionPath, TurnPath, last_event_id};
use crate::address::address;
use crate::auth::{Caller, good_for};
use crate::dto::{AnswerOut, MessageOut};
use crate::places::Place;
use crate::problem::{Kind, Problem};
use crate::sse::{self, Event};
use crate::state::{Stage, State};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chatcore::ChatError;
use chatcore::chat::{Begun, TurnEvent};
use chatcore::id::{MessageId, SessionId};
use chatcore::message::MessagesPage;
use chatcore::owner::Owner;
use chatcore::turn::{Cursor, Position, Stopping, TurnId};
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, PollNext, select, select_with_strategy, unfold};
use futures_util::{FutureExt, Stream, StreamExt};
use serde_json::json;
use std::time::Duration;

/// Streams that an owner may read along at once, at one server: each tab takes one.
const OF_OWNER: usize = 64;
/// After this time it is seen whose reader has hung up: they fail at the second heartbeat. Who is away without a word is given up
/// a minute later.
const SEEN: Duration = Duration::from_secs(20);

/// `GET /chat/session/{id}/turns/{message_id}/stream`
pub(super) async fn turn(
    Caller(owner): Caller,
    TurnPath(turn): TurnPath,
    query: Query,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, Problem> {
    let mark = last_event_id(&request, query, Mark::parse)?;
    let held = mark.map(|mark| mark.position);
    let from = held.unwrap_or_default();
    let places = places(&state, &owner, &request)?;
    let (begun, events) = state.chat.follow(owner.clone(), Cursor { turn, from }).await.map_err(of_turn)?;
    if mark.is_some_and(|mark| mark.is_end) {
        return Ok(HttpResponse::NoContent().finish());
    }
    read_along(&state, &owner, begun, holding(events, places), held).await
}

/// `GET /chat/session/{id}/stream`: the turn that runs, if one does; else the last one, for who comes back amid a turn.
pub(super) async fn live(
    Caller(owner): Caller,
    SessionPath(session): SessionPath,
    query: Query,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, Problem> {
    let mark = last_event_id(&request, query, Mark::parse)?;
    let places = places(&state, &owner, &request)?;
    let open = state.chat.session(&owner, &session).await?.open;
    let message = match (open, mark) {
        (None, Some(Mark { is_end: false, .. })) => last(&state, &owner, &session).await?,
        _ => open,
    };
    let Some(message) = message else { return Ok(HttpResponse::NoContent().finish()) };
    let turn = TurnId { session, message };
    let held = mark.map(|mark| mark.position);
    let from = held.unwrap_or_default();
    let (begun, events) = state.chat.follow(owner.clone(), Cursor { turn, from }).await.map_err(of_turn)?;
    // Who has read another turn, or another attempt, is told which this is, and that its text begins anew.
    let held = held.filter(|held| held.fence == begun.fence);
    read_along(&state, &owner, begun, holding(events, places), held).await
}

/// The turn of the session's last message.
async fn last(state: &State, owner: &Owner, session: &SessionId) -> Result<Option<MessageId>, Problem> {
    let page = MessagesPage { before: None, limit: 1 };
    Ok(state.chat.history(owner, session, &page).await?.pop().map(|message| message.turn))
}

/// `POST /chat/session/{id}/turns/{message_id}/stop`
pub(super) async fn stop(
    Caller(owner): Caller,
    TurnPath(turn): TurnPath,
    state: Data<State>,
) -> Result<HttpResponse, Problem> {
    let stopping = state.chat.stop(&owner, &turn).await.map_err(of_turn)?;
    let (mut response, status) = match stopping {
        Stopping::Requested => (HttpResponse::Accepted(), "stopping"),
        _ => (HttpResponse::Ok(), "ended"),
    };
    let TurnId { session, message } = turn;
    Ok(response.json(json!({ "message_id": message, "session_id": session, "status": status })))
}

/// `GET /chat/session/{id}/events`: messages as they are stored.
pub(super) async fn newer(
    Caller(owner): Caller,
    SessionPath(session): SessionPath,
    mut query: Query,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, Problem> {
    let after = query.after();
    let mut last = last_event_id(&request, query, |text| text.parse().ok())?.or(after).unwrap_or(0_u64);
    let places = places(&state, &owner, &request)?;
    let messages = state.chat.newer(owner, session, last).await?.map(|item| item.map_err(Problem::from));
    let messages = holding(messages, places);
    let stopped = stopped(&state, Stage::Stopping).map(|()| Problem::from(ChatError::Stopping { turn: None }));
    let expired = match good_for(&request)? {
        Some(time) => state.runtime.sleep(time).map(|()| Problem::new(Kind::TokenExpired)).into_stream().boxed(),
        None => stream::pending().boxed(),
    };
    let events = select(messages, select(stopped, expired).map(Err)).map(move |item| match item {
        Ok(message) => {
            last = message.seq;
            (Event::new("message", last.to_string(), &MessageOut::from(message)), false)
        }
        Err(problem) => (Event::new("error", last.to_string(), &problem), true),
    });
    Ok(sse::answer(until_last(events), &state))
}

/// Places for one more stream of this owner to this address.
///
/// # Errors
/// One of the two has as many as it may.
pub(super) fn places(state: &State, owner: &Owner, request: &HttpRequest) -> Result<[Place; 2], Problem> {
    let of_owner = state.streams.take(owner.to_string(), OF_OWNER);
    let of_address = state.streams.take(address(request, &state.trusted), state.share());
    let both = of_owner.zip(of_address).map(<[Place; 2]>::from);
    both.ok_or_else(|| Problem::new(Kind::TooManyStreams).with_retry(SEEN))
}

/// The same, and the places are held until it is dropped.
pub(super) fn holding<T>(stream: impl Stream<Item = T> + Send + 'static, places: [Place; 2]) -> BoxStream<'static, T> {
    stream.inspect(move |_| _ = &places).boxed()
}

/// A turn that is read along by somebody who did not ask: the question is looked up, and a server that stops sends its reader
/// to another one.
async fn read_along(
    state: &Data<State>,
    owner: &Owner,
    begun: Begun,
    events: BoxStream<'static, TurnEvent>,
    held: Option<Position>,
) -> Result<HttpResponse, Problem> {
    let page = MessagesPage { before: Some(begun.seq + 1), limit: 1 };
    let question = state.chat.history(owner, &begun.turn.session, &page).await.map_err(of_turn)?.pop();
    let question = question.ok_or_else(|| Problem::new(Kind::TurnNotFound))?.content;
    Ok(answer(state, question, begun, events, held))
}

/// The answer to a question, as it comes. What a stream has begun with before is not told again to who has `held` some of it.
pub(super) fn answer(
    state: &Data<State>,
    question: String,
    begun: Begun,
    events: BoxStream<'static, TurnEvent>,
    held: Option<Position>,
) -> HttpResponse {
    let mut told = Told::new(question, begun, held);
    let first = held.is_none().then(|| told.turn());
    // The turn of this server ends before the server does, unless another one has taken it up.
    let stage = if begun.found.is_own() { Stage::Drained } else { Stage::Stopping };
    let stopped = stopped(state, stage).map(|()| TurnEvent::Error(ChatError::Stopping { turn: None }));
    // What is known goes first: an end that has come is told.
    let events = select_with_strategy(events, stopped, |(): &mut ()| PollNext::Left);
    let events = until_last(events.filter_map(move |event| ready(told.event(event))));
    sse::answer(stream::iter(first).chain(events), state)
}

/// One item when the server has come so far.
fn stopped(state: &State, far: Stage) -> impl Stream<Item = ()> + use<> {
    let mut stage = state.stage.subscribe();
    async move { drop(stage.wait_for(|stage| *stage >= far).await) }.into_stream()
}

/// Ends behind the event that is the last.
fn until_last(events: impl Stream<Item = (Event, bool)> + 'static) -> impl Stream<Item = Event> {
    unfold(Some(events.boxed_local()), |events| async {
        let mut events = events?;
        let (event, is_last) = events.next().await?;
        Some((event, (!is_last).then_some(events)))
    })
}

/// What a reader of a turn has been told.
struct Told {
    question: String,
    begun: Begun,
    /// Where its reader stands.
    at: Position,
}

impl Told {
    fn new(question: String, begun: Begun, held: Option<Position>) -> Self {
        Self { question, begun, at: held.unwrap_or(Position { fence: begun.fence, offset: 0 }) }
    }

    /// The id of an event from which a reader can go on.
    fn id(&self) -> String {
        format!("{}-{}", self.at.fence.0, self.at.offset)
    }

    fn turn(&self) -> Event {
        let TurnId { session, message } = self.begun.turn;
        let turn = json!({ "message_id": message, "session_id": session, "seq": self.begun.seq });
        Event::new("turn", self.id(), &turn)
    }

    /// An event, and whether it is the last. `None` for what is not told.
    fn event(&mut self, event: TurnEvent) -> Option<(Event, bool)> {
        Some(match event {
            TurnEvent::Delta { text, at } => (self.goes_on("delta", at, &json!({ "text": text })), false),
            TurnEvent::Restart { fence } => (self.goes_on("restart", Position { fence, offset: 0 }, &json!({})), false),
            TurnEvent::Done(answer) => {
                let answered = self.begun.answered(answer);
                let id = format!("{}-end", self.at.fence.0);
                (Event::new("done", id, &AnswerOut::new(&self.question, &answered)), true)
            }
            TurnEvent::Error(error) => (self.breaks_off(Problem::from(error)), true),
            _ => return None,
        })
    }

    fn goes_on(&mut self, name: &'static str, at: Position, data: &serde_json::Value) -> Event {
        self.at = at;
        Event::new(name, self.id(), data)
    }

    fn breaks_off(&self, problem: Problem) -> Event {
        Event::new("error", self.id(), &problem.with_turn(Some(self.begun.turn)))
    }
}

/// Where a turn is asked for, the turn is what was not found.
fn of_turn(error: impl Into<Problem>) -> Problem {
    let problem = error.into();
    if problem.kind() == Kind::SessionNotFound { Problem::new(Kind::TurnNotFound) } else { problem }
}

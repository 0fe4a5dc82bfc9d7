//! Saying something.

use super::stream;
use crate::address::address;
use crate::around::Id;
use crate::auth::{device, named};
use crate::body::{Body, FromMembers};
use crate::dto::{AnswerOut, MessageIn};
use crate::idempotency;
use crate::measured;
use crate::members::Members;
use crate::problem::{Kind, Place, Problem};
use crate::rate_limit::Limits;
use crate::sse;
use crate::state::State;
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use chatcore::chat::{Answered, Begun, Found, SendMessage, TurnEvent};
use chatcore::guests::GuestError;
use chatcore::id::UserId;
use chatcore::owner::Owner;
use chatcore::policy::Left;
use chatcore::turn::Target;
use chatcore::{ChatError, ChatService};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `POST /chat/message`
pub(super) async fn message(request: HttpRequest, payload: web::Payload, state: Data<State>) -> HttpResponse {
    let mut limits = Limits::new(state.chat.quota());
    let answered = answer(&request, payload.into_inner(), &state, &mut limits).await;
    let mut response = answered.unwrap_or_else(|problem| problem.error_response());
    limits.look(&state, || address(&request, &state.trusted)).await;
    limits.write(response.headers_mut());
    response
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
    limits: &mut Limits,
) -> Result<HttpResponse, Problem> {
    let (owner, body) = said(request, payload, state, limits).await?;
    limits.are_of(&owner, state);
    let key = idempotency::key(request.headers(), body.client_message_id)?;
    check_user(&owner, body.user_id.as_ref())?;
    let request_id = Id::of(request);
    let target = body.session_id.map_or(Target::New, Target::Existing);
    let on_busy = body.on_busy.unwrap_or(state.on_busy);
    let gate = state.guests.as_ref().filter(|_| owner.device_id().is_some());
    let text = body.message.clone();
    let reader = owner.clone();
    let message = SendMessage { owner, target, key, text, request_id, on_busy, only_known: false };
    let (chat, in_pieces) = (state.chat.clone(), sse::is_wanted(request));
    let ask = move |message| ask(chat, message, in_pieces);
    let asked = match gate {
        None => ask(message).await.map_err(GuestError::from),
        Some(gate) => {
            let (left, asked) = gate.ask(&address(request, &state.trusted), message, ask).await;
            limits.address(left);
            asked
        }
    };
    let asked = match asked {
        Ok((_, taken)) => taken.said().await.map_err(GuestError::from),
        Err(error) => Err(error),
    };
    measured::message(asked.as_ref().map(|(found, _)| *found));
    match &asked {
        Ok((_, said)) => limits.told(Ok(said.left())),
        Err(GuestError::Chat(error)) => limits.told(Err(error)),
        Err(GuestError::Backend(_)) => limits.are_not_known(),
        Err(_) => {}
    }
    let (found, said) = asked?;
    let mut response = match said {
        Said::Whole(answered) => HttpResponse::Ok().json(AnswerOut::new(&body.message, &answered)),
        Said::InPieces(begun, events) if begun.found == Found::Running => {
            // It was not begun by this message, but is read along.
            let events = stream::holding(events, stream::places(state, &reader, request)?);
            stream::answer(state, body.message, begun, events, None)
        }
        Said::InPieces(begun, events) => stream::answer(state, body.message, begun, events, None),
    };
    if found == Found::Answer {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// A question that was taken, or had been taken before.
enum Asked {
    Whole(BoxFuture<'static, Result<Answered, ChatError>>),
    InPieces(Begun, BoxStream<'static, TurnEvent>),
}

impl Asked {
    /// What is said to it, and what the question found.
    async fn said(self) -> Result<(Found, Said), ChatError> {
        match self {
            Self::Whole(answer) => answer.await.map(|answered| (answered.found(), Said::Whole(answered))),
            Self::InPieces(begun, events) => Ok((begun.found, Said::InPieces(begun, events))),
        }
    }
}

/// An answer to a question that was taken, or had been taken before.
enum Said {
    Whole(Answered),
    InPieces(Begun, BoxStream<'static, TurnEvent>),
}

impl Said {
    /// What is left of the owner's quota, where this question took of it.
    fn left(&self) -> Option<Left> {
        match self {
            Self::Whole(answered) => answered.left,
            Self::InPieces(begun, _) => begun.left,
        }
    }
}

/// Asks for the whole answer or for a stream of it, and comes back as soon as it is known what becomes of the question.
async fn ask(chat: ChatService, message: SendMessage, in_pieces: bool) -> Result<(Found, Asked), ChatError> {
    if in_pieces {
        let (begun, events) = chat.stream(message).await?;
        return Ok((begun.found, Asked::InPieces(begun, events)));
    }
    let (begun, answer) = chat.begin(message).await?;
    Ok((begun.found, Asked::Whole(answer)))
}

/// Who says what. Without a token and without a device in a header, the body has to name one before anything else of it
/// matters.
async fn said(
    request: &HttpRequest,
    mut payload: Payload,
    state: &State,
    limits: &mut Limits,
) -> Result<(Owner, MessageIn), Problem> {
    let nobody = || Problem::new(Kind::NotAuthenticated);
    let named = named(request)?;
    named.iter().for_each(|owner| limits.are_of(owner, state));
    let members = Body::<Members>::from_request(request, &mut payload).await.map(|body| body.0);
    if named.is_none() {
        let of_body = members.as_ref().ok().and_then(|members| members.peek("device_id")).ok_or_else(nobody)?;
        // Its quotas are told whatever else is wrong.
        let guest = of_body.as_str().and_then(|text| device(text.to_owned()).ok()).map(Owner::Guest);
        guest.iter().for_each(|owner| limits.are_of(owner, state));
    }
    let body = MessageIn::from_members(members?)?;
    if let (Some(Owner::Guest(device)), Some(of_body)) = (&named, &body.device_id)
        && device != of_body
    {
        let pointer = Place::Pointer("#/device_id".into());
        return Err(Problem::fault(pointer, "must be the same as the header X-Device-Id, or be left out"));
    }
    let guest = || body.device_id.clone().map(Owner::Guest);
    let owner = named.or_else(guest).ok_or_else(nobody)?;
    Ok((owner, body))
}

/// A user id in the body is the caller's, or a mistake.
fn check_user(owner: &Owner, claimed: Option<&UserId>) -> Result<(), Problem> {
    let same = claimed.is_none_or(|claimed| owner.user_id() == Some(claimed));
    same.then_some(()).ok_or_else(|| Problem::new(Kind::UserIdMismatch))
}

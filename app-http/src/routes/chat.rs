//! Saying something.

use super::stream;
use crate::address::address;
use crate::around::Id;
use crate::auth::named;
use crate::body::{Body, FromMembers};
use crate::dto::{AnswerOut, MessageIn};
use crate::idempotency;
use crate::measured;
use crate::members::Members;
use crate::problem::{Kind, Place, Problem};
use crate::rate_limit::Limits;
use crate::sse;
use crate::startup::State;
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use chatcore::ChatError;
use chatcore::chat::{Found, SendMessage};
use chatcore::id::{RequestId, UserId};
use chatcore::owner::Owner;
use chatcore::policy::Left;
use chatcore::turn::Target;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `POST /chat/message`
pub(super) async fn message(request: HttpRequest, payload: web::Payload, state: Data<State>) -> HttpResponse {
    let mut limits = Limits::new(state.chat.quota());
    let answered = answer(&request, payload.into_inner(), &state, &mut limits).await;
    let mut response = answered.unwrap_or_else(|problem| problem.error_response());
    limits.write(response.headers_mut());
    response
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    state: &Data<State>,
    limits: &mut Limits,
) -> Result<HttpResponse, Problem> {
    let (owner, body) = said(request, payload).await?;
    let key = idempotency::key(request.headers(), body.client_message_id)?;
    check_user(&owner, body.user_id.as_ref())?;
    let gate = state.guests.as_ref().filter(|_| owner.device_id().is_some());
    let address = gate.map(|_| address(request, &state.trusted)).unwrap_or_default();
    if let Some(gate) = gate {
        limits.guests(gate.quota(), gate.enter(&address).await)?;
    }
    let request_id = request.extensions().get::<Id>().and_then(|id| RequestId::parse(id.0.clone()).ok());
    let target = body.session_id.map_or(Target::New, Target::Existing);
    let (asker, text) = (owner.clone(), body.message.clone());
    let on_busy = body.on_busy.unwrap_or(state.on_busy);
    let message = SendMessage { owner, target, key, text, request_id, on_busy };
    let asked = ask(request, state, message, body.message).await;
    let told = asked.as_ref().map(|asked| asked.found);
    if let Some(gate) = gate.filter(|_| is_nothing_new(told)) {
        gate.give_back(&address).await;
    }
    measured::message(told);
    limits.owner(state, &asker, asked.as_ref().map(|asked| asked.left)).await;
    let Asked { mut response, found, .. } = asked?;
    if found == Found::Answer {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// A question that was taken, or had been taken before.
struct Asked {
    response: HttpResponse,
    found: Found,
    left: Option<Left>,
}

/// Asks, and answers with the whole answer or with a stream of it, as the client wishes.
async fn ask(
    request: &HttpRequest,
    state: &Data<State>,
    message: SendMessage,
    question: String,
) -> Result<Asked, ChatError> {
    if sse::is_wanted(request) {
        let (begun, events) = state.chat.stream(message).await?;
        let response = stream::answer(state, question, begun, events, None);
        return Ok(Asked { response, found: begun.found, left: begun.left });
    }
    let answered = state.chat.send(message).await?;
    let found = if answered.replayed { Found::Answer } else { Found::Nobody };
    Ok(Asked { response: HttpResponse::Ok().json(AnswerOut::new(&question, &answered)), found, left: answered.left })
}

/// Who says what. Without a token and without a device in a header, the body has to name one before anything else of it
/// matters.
async fn said(request: &HttpRequest, mut payload: Payload) -> Result<(Owner, MessageIn), Problem> {
    let nobody = || Problem::new(Kind::NotAuthenticated);
    let named = named(request)?;
    let members = Body::<Members>::from_request(request, &mut payload).await.map(|body| body.0);
    if named.is_none() && !members.as_ref().is_ok_and(|members| members.has("device_id")) {
        return Err(nobody());
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

/// Whether no question was stored: it was refused, or had been stored before.
fn is_nothing_new(told: Result<Found, &ChatError>) -> bool {
    use ChatError::{Invalid, Overloaded, Refused, Running};
    match told {
        Ok(found) => found != Found::Nobody,
        Err(error) => matches!(error, Invalid(_) | Refused(_) | Running { .. } | Overloaded),
    }
}

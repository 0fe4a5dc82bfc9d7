//! Saying something.

use crate::around::Id;
use crate::auth::Caller;
use crate::body::Body;
use crate::dto::{AnswerOut, MessageIn};
use crate::idempotency;
use crate::problem::{Kind, Problem};
use crate::startup::State;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use chatcore::chat::SendMessage;
use chatcore::id::{RequestId, UserId};
use chatcore::owner::Owner;
use chatcore::turn::Target;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `POST /chat/message`
pub(super) async fn message(
    Caller(owner): Caller,
    Body(body): Body<MessageIn>,
    state: Data<State>,
    request: HttpRequest,
    request_id: ReqData<Id>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency::key(request.headers(), body.client_message_id)?;
    check_user(&owner, body.user_id.as_ref())?;
    let target = body.session_id.map_or(Target::New, Target::Existing);
    let (text, request_id) = (body.message.clone(), RequestId::parse(request_id.into_inner().0).ok());
    let answered = state.chat.send(SendMessage { owner, target, key, text, request_id }).await?;
    let mut response = HttpResponse::Ok().json(AnswerOut::new(&body.message, &answered));
    if answered.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// A user id in the body is the caller's, or a mistake.
fn check_user(owner: &Owner, claimed: Option<&UserId>) -> Result<(), Problem> {
    let same = claimed.is_none_or(|claimed| owner.user_id() == Some(claimed));
    same.then_some(()).ok_or_else(|| Problem::new(Kind::UserIdMismatch))
}

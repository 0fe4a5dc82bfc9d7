//! Looking at sessions, and deleting them.

use super::query::{Query, SessionPath, cursor_text};
use crate::around::Id;
use crate::auth::Caller;
use crate::dto::{MessageOut, SessionOut};
use crate::problem::Problem;
use crate::state::State;
use actix_web::http::header::LINK;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chatcore::message::MessagesPage;
use chatcore::session::{Session, SessionsCursor, SessionsPage};
use serde_json::json;

/// How many of its newest messages a session shows.
const NEWEST: usize = 20;

/// `GET /chat/session/{id}`
pub(super) async fn show(
    Caller(owner): Caller,
    SessionPath(id): SessionPath,
    state: Data<State>,
) -> Result<HttpResponse, Problem> {
    let session = state.chat.session(&owner, &id).await?;
    // Messages that came since the session was looked at stay out, so that both tell of the same moment.
    let page = MessagesPage { before: Some(session.message_count + 1), limit: NEWEST };
    let messages = state.chat.history(&owner, &id, &page).await?;
    Ok(HttpResponse::Ok().json(SessionOut::with_messages(&session, messages)))
}

/// `GET /chat/session/{id}/messages`
pub(super) async fn messages(
    Caller(owner): Caller,
    SessionPath(id): SessionPath,
    mut query: Query,
    state: Data<State>,
) -> Result<HttpResponse, Problem> {
    let page = MessagesPage { before: query.before(), limit: query.limit() };
    query.finish()?;
    let messages = state.chat.history(&owner, &id, &page).await?;
    Ok(HttpResponse::Ok().json(messages.into_iter().map(MessageOut::from).collect::<Vec<_>>()))
}

/// `GET /chat/sessions`
pub(super) async fn list(Caller(owner): Caller, mut query: Query, state: Data<State>) -> Result<HttpResponse, Problem> {
    let (after, limit) = (query.cursor(), query.limit());
    query.finish()?;
    // One more than asked for tells whether there is another page.
    let mut sessions = state.chat.sessions(&owner, &SessionsPage { after, limit: limit + 1 }).await?;
    let more = sessions.len() > limit;
    sessions.truncate(limit);
    let mut response = HttpResponse::Ok();
    if let Some(last) = sessions.last().filter(|_| more) {
        response.insert_header((LINK, next_page(last, limit)));
    }
    Ok(response.json(sessions.iter().map(SessionOut::from).collect::<Vec<_>>()))
}

/// `DELETE /chat/session/{id}`
pub(super) async fn delete(
    Caller(owner): Caller,
    SessionPath(id): SessionPath,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, Problem> {
    state.chat.delete(&owner, &id, Id::of(&request)).await?;
    Ok(HttpResponse::Ok().json(json!({ "message": "Session deleted successfully" })))
}

fn next_page(last: &Session, limit: usize) -> String {
    format!("</chat/sessions?limit={limit}&cursor={}>; rel=\"next\"", cursor_text(&SessionsCursor::from(last)))
}

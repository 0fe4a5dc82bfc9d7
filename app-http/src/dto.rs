//! What comes in and goes out, member by member: the contract of the API.

use crate::auth::device;
use crate::body::FromMembers;
use crate::members::Members;
use crate::openapi::schemas::{End, Product, Role, Status, Time, TokenType};
use crate::problem::Problem;
use chatcore::chat::{Answered, OnBusy};
use chatcore::error::Invalid;
use chatcore::id::{DeviceId, Key, MessageId, SessionId, UserId};
use chatcore::message::{Message, Products};
use chatcore::port::Credentials;
use chatcore::session::Session;
use chatcore::stamp::rfc3339;
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// The longest user name, in bytes.
pub(crate) const MAX_NAME: usize = 256;
/// The longest password, in bytes.
pub(crate) const MAX_PASSWORD: usize = 1024;

/// The body of `POST /auth/login`.
#[derive(Debug)]
pub struct LoginIn {
    /// Who, and the password.
    pub credentials: Credentials,
    /// The guest who it was so far: whose sessions become the user's, as many as one may have.
    pub device_id: Option<DeviceId>,
}

impl FromMembers for LoginIn {
    /// Nearly twice what it takes where each letter is written as `\u0041`: anybody may send one.
    const MAX_BODY: usize = 16 * 1024;

    fn from_members(mut members: Members) -> Result<Self, Problem> {
        let mut text = |name, max| {
            let text = members.text(name)?;
            if text.is_empty() || text.len() > max {
                members.fault(name, format!("must be 1 to {max} bytes long"));
            }
            Some(text)
        };
        let (name, password) = (text("username", MAX_NAME), text("password", MAX_PASSWORD));
        let device_id = members.optional("device_id", device);
        let credentials = name.zip(password).map(|(name, password)| Credentials { name, password });
        members.finish(credentials.map(|credentials| Self { credentials, device_id }))
    }
}

/// The body of `POST /chat/message`.
#[derive(Debug)]
pub struct MessageIn {
    /// What is said.
    pub message: String,
    /// Who says it, if told; must be the caller.
    pub user_id: Option<UserId>,
    /// Which guest, where there is no token.
    pub device_id: Option<DeviceId>,
    /// Where; `None` opens a session.
    pub session_id: Option<SessionId>,
    /// The idempotency key, unless a header gives it.
    pub client_message_id: Option<Key>,
    /// What to do while another message of the session is being answered, if told.
    pub on_busy: Option<OnBusy>,
}

/// What to do while another message of a session is being answered, as clients and settings say it.
///
/// # Errors
/// Another word.
pub fn on_busy(text: String) -> Result<OnBusy, Invalid> {
    match text.as_str() {
        "reject" => Ok(OnBusy::Reject),
        "cancel" => Ok(OnBusy::Cancel),
        "wait" => Ok(OnBusy::Wait),
        _ => Err(Invalid { what: "on_busy", rule: "reject, cancel or wait" }),
    }
}

impl FromMembers for MessageIn {
    fn from_members(mut members: Members) -> Result<Self, Problem> {
        let message = members.text("message");
        let user_id = members.optional("user_id", UserId::parse);
        let device_id = members.optional("device_id", device);
        // Clients of the FastAPI system may send an empty one with the first message.
        let session_id = members.optional("session_id", |text| match text.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some),
        });
        let client_message_id = members.optional("client_message_id", Key::parse);
        let on_busy = members.optional("on_busy", on_busy);
        let session_id = session_id.flatten();
        let of = |message| Self { message, user_id, device_id, session_id, client_message_id, on_busy };
        members.finish(message.map(of))
    }
}

/// The answer of `POST /auth/login`. `Debug` does not show the token.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenOut {
    /// The token, for the header `Authorization: Bearer`.
    pub access_token: String,
    /// Always `bearer`.
    #[schema(value_type = TokenType)]
    pub token_type: &'static str,
    /// How long it is good for, in seconds.
    pub expires_in: u64,
}

impl fmt::Debug for TokenOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenOut").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// The answer of `POST /chat/message`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Answer)]
pub struct AnswerOut<'a> {
    /// The question's id: the `id` of that message in the history.
    #[schema(value_type = String, format = "uuid")]
    message_id: MessageId,
    /// The session, for the next message.
    #[schema(value_type = String, format = "uuid")]
    session_id: SessionId,
    /// What was said.
    user_message: &'a str,
    /// What the AI said, or what stands in for it.
    ai_response: &'a str,
    /// What the AI found.
    #[schema(value_type = Vec<Product>)]
    products: &'a Products,
    /// What the AI took the message for.
    #[schema(required)]
    intent: Option<&'a str>,
    /// When the answer was stored.
    #[schema(value_type = Time)]
    timestamp: String,
    /// How the turn ended.
    #[schema(value_type = End)]
    status: &'static str,
    /// How sure the AI is.
    #[schema(required)]
    confidence: Option<f64>,
    /// The question's place in its session.
    #[schema(minimum = 1)]
    message_seq: u64,
}

impl<'a> AnswerOut<'a> {
    /// The answer to this message.
    #[must_use]
    pub fn new(user_message: &'a str, answered: &'a Answered) -> Self {
        let Answered { turn, seq, answer, .. } = answered;
        Self {
            message_id: turn.message,
            session_id: turn.session,
            user_message,
            ai_response: &answer.content,
            products: &answer.reply.products,
            intent: answer.reply.intent.as_deref(),
            timestamp: rfc3339(answer.at),
            status: answer.status.as_str(),
            confidence: answer.reply.confidence,
            message_seq: *seq,
        }
    }
}

/// A message of a history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageOut {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: MessageId,
    /// Its place in the session: 1, 2, 3 without gaps.
    #[schema(minimum = 1)]
    seq: u64,
    /// Who said it.
    #[schema(value_type = Role)]
    role: &'static str,
    /// What was said.
    content: String,
    /// What the AI found.
    #[schema(value_type = Vec<Product>)]
    products: Products,
    /// What the AI took the message for.
    #[schema(required)]
    intent: Option<String>,
    /// How sure the AI is.
    #[schema(required)]
    confidence: Option<f64>,
    /// `accepted` for a question; for an answer, how its turn ended.
    #[schema(value_type = Status)]
    status: &'static str,
    /// An answer's question, by its `seq`.
    #[schema(required, minimum = 1)]
    reply_to: Option<u64>,
    /// When it was stored.
    #[schema(value_type = Time)]
    timestamp: String,
}

impl From<Message> for MessageOut {
    fn from(message: Message) -> Self {
        Self {
            id: message.id(),
            seq: message.seq,
            role: message.role.as_str(),
            content: message.content,
            products: message.reply.products,
            intent: message.reply.intent,
            confidence: message.reply.confidence,
            status: message.status.as_str(),
            reply_to: message.reply_to,
            timestamp: rfc3339(message.at),
        }
    }
}

/// A session, perhaps with its newest messages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionOut {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    session_id: SessionId,
    /// Whose it is; `null` for a guest, whose device stands beside it.
    #[schema(required)]
    user_id: Option<String>,
    /// The guest's device; absent for a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    device_id: Option<String>,
    /// When it was opened.
    #[schema(value_type = Time)]
    created_at: String,
    /// How many messages it holds, answers included.
    message_count: u64,
    /// When its newest question was taken, or taken up again where its server had died. Its time to live counts from here.
    #[schema(value_type = Time)]
    last_activity: String,
    /// Where one session is shown; `SessionWithMessages` in the API's document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    messages: Option<Vec<MessageOut>>,
}

impl SessionOut {
    /// The session with these messages.
    #[must_use]
    pub fn with_messages(session: &Session, messages: Vec<Message>) -> Self {
        Self { messages: Some(messages.into_iter().map(MessageOut::from).collect()), ..Self::from(session) }
    }
}

impl From<&Session> for SessionOut {
    fn from(session: &Session) -> Self {
        Self {
            session_id: session.id,
            user_id: session.owner.user_id().map(ToString::to_string),
            device_id: session.owner.device_id().map(ToString::to_string),
            created_at: rfc3339(session.created_at),
            message_count: session.message_count,
            last_activity: rfc3339(session.last_activity),
            messages: None,
        }
    }
}

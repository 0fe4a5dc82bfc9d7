//! Lists in pages: sessions and messages.

use crate::conformance::StoreHarness;
use crate::conformance::chat::{Chat, completed};
use chatcore::id::SessionId;
use chatcore::message::{Message, MessagesPage, Role, Status};
use chatcore::session::{Session, SessionsCursor, SessionsPage};
use chatcore::stamp::{from_micros, micros};
use chatcore::turn::Target;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

/// Many sessions of the same instant, walked in pages of every size; a question moves its session to the top.
pub async fn sessions_are_listed_newest_first(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let questions: Vec<_> = (0..30).map(|number| chat.question(Target::New, &format!("k{number}"))).collect();
    let started = join_all(questions.iter().map(|question| chat.start(question))).await;
    let living: BTreeSet<SessionId> = started.iter().map(|started| started.turn.id.session).collect();
    let all = newest_first(&elsewhere, 100).await;
    assert_eq!(
        all.iter().map(|session| session.id).collect::<BTreeSet<_>>(),
        living,
        "a session is missing or foreign"
    );
    for limit in [1, 7, 29, 30, 31] {
        assert_eq!(newest_first(&elsewhere, limit).await, all, "the same list in pages of {limit}");
    }
    let (oldest, turn) =
        (&all[29], started.iter().map(|started| started.turn).find(|turn| turn.id.session == all[29].id));
    chat.stored(&turn.expect("its turn"), &completed("done")).await;
    assert_eq!(newest_first(&chat, 100).await[29].id, oldest.id, "an answer is no activity");
    harness.wait(Duration::from_millis(5)).await;
    let again = chat.ask(Target::Existing(oldest.id), "again").await;
    moved_up(&newest_first(&elsewhere, 3).await, oldest, again.turn.id.message);
    a_page_behind_the_end(&chat, &all).await;
}

async fn newest_first(chat: &Chat, limit: usize) -> Vec<Session> {
    let all = chat.sessions(limit).await;
    let order = |session: &Session| (session.last_activity, session.id);
    assert!(all.is_sorted_by(|a, b| order(a) > order(b)), "by last activity and then by id, both descending: {all:?}");
    all
}

fn moved_up(all: &[Session], before: &Session, open: chatcore::id::MessageId) {
    let top = &all[0];
    assert_eq!((all.len(), top.id), (30, before.id), "a question moves its session to the top");
    assert_eq!((top.message_count, top.open), (3, Some(open)), "{top:?}");
    assert!(top.created_at == before.created_at && top.last_activity > before.last_activity, "{top:?}");
    let stamped = |session: &Session| from_micros(micros(session.last_activity)) == session.last_activity;
    assert!(all.iter().all(stamped), "a time is whole microseconds, so that it is a cursor exactly");
}

async fn a_page_behind_the_end(chat: &Chat, all: &[Session]) {
    let last = chat.sessions(100).await.pop().map(|session| SessionsCursor::from(&session));
    let page = SessionsPage { after: last, limit: 10 };
    assert_eq!(
        chat.store.sessions(&chat.owner, &page).await.expect("sessions answers"),
        [],
        "behind the last of {}",
        all.len()
    );
    assert_eq!(Chat::new(&chat.store, "nobody").sessions(10).await, [], "an owner without sessions");
}

/// The newest messages before a place, oldest first.
pub async fn a_history_is_read_in_pages(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let mut target = Target::New;
    for number in 0..4 {
        let turn = chat.talk(target, &format!("k{number}")).await.0;
        target = Target::Existing(turn.id.session);
    }
    let started = chat.ask(target, "open").await;
    let session = started.turn.id.session;
    let all = chat.at(&open.elsewhere).history(session).await;
    assert!(all.iter().map(|message| message.seq).eq(1..=9), "the whole history: {all:?}");
    assert_eq!(started.window, all[..8], "the window is what came before the question");
    assert_eq!(page(&chat, session, None, 3).await, all[6..], "the newest three");
    for (before, limit, from, to) in [(7, 3, 4, 6), (4, 3, 1, 3), (1, 3, 1, 0), (2, 3, 1, 1), (99, 2, 8, 9)] {
        let page = page(&chat, session, Some(before), limit).await;
        assert_eq!(page, all[from - 1..to], "{limit} before {before}");
    }
    whole(&all[0], &all[1]);
}

async fn page(chat: &Chat, session: SessionId, before: Option<u64>, limit: usize) -> Vec<Message> {
    let page = MessagesPage { before, limit };
    chat.store.messages(&chat.owner, &session, &page).await.expect("the history is there")
}

/// Nothing of a message is lost on its way through the store.
fn whole(question: &Message, stored: &Message) {
    let sent = completed("It is good. Tốt.");
    assert_eq!((&stored.content, &stored.reply, stored.status), (&sent.content, &sent.reply, Status::Completed));
    assert_eq!((stored.turn, stored.reply_to), (question.turn, Some(1)), "an answer names its question");
    assert_eq!((stored.role, question.role), (Role::Assistant, Role::User), "who speaks");
    assert_eq!((question.status, question.reply_to), (Status::Accepted, None), "{question:?}");
    assert_eq!(question.content, "What about k0? Có gì không?");
    assert!(
        question.at <= stored.at && from_micros(micros(stored.at)) == stored.at,
        "{:?} {:?}",
        question.at,
        stored.at
    );
}

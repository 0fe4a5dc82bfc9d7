//! Reading a turn while it runs.

use crate::conformance::chat::{Chat, LONG, Reader, answer, completed};
use crate::conformance::{OpenStore, StoreHarness};
use chatcore::error::AccessError;
use chatcore::id::SessionId;
use chatcore::message::{Message, NewerPage, Status};
use chatcore::turn::{Cursor, Position, Target, Turn};
use futures_util::future::{Either, join_all, select};
use std::pin::pin;
use std::time::Duration;

/// Letters of one to four bytes.
const TEXT: &str = "aé漢🙂b, xin chào! ố 🎉 z";
/// What the answer has behind the last live text.
const REST: &str = " và hết 🙂.";

/// From every byte offset, at both processes at once: while the turn runs, ahead of its text, and after it has ended.
pub async fn follow_gives_each_byte_once(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let turn = chat.ask(Target::New, "k").await.turn;
    let readers = readers(&open, &chat, &turn);
    let whole = format!("{TEXT}{REST}");
    let write = async {
        for (offset, letter) in TEXT.char_indices() {
            harness.wait(Duration::from_millis(2)).await;
            chat.held(&turn, offset, &letter.to_string(), LONG).await;
        }
        harness.wait(Duration::from_millis(2)).await;
        chat.stored(&turn, &completed(&whole)).await
    };
    let (stored, read) = tokio::join!(write, join_all(readers.into_iter().map(to_the_end)));
    read.iter().for_each(|read| as_stored(read, &stored, "while the turn runs"));
    let after = join_all(self::readers(&open, &chat, &turn).into_iter().map(to_the_end)).await;
    after.iter().for_each(|read| as_stored(read, &stored, "after the turn has ended"));
}

/// A reader at every offset of the whole answer, and one who knows nothing yet, at each process.
fn readers(open: &OpenStore, chat: &Chat, turn: &Turn) -> Vec<(usize, Reader)> {
    let whole = format!("{TEXT}{REST}");
    let at = |store| {
        let (chat, whole) = (chat.at(store), whole.clone());
        let from = move |offset| (offset, Reader::who_read(&chat, turn, &whole.as_bytes()[..offset]));
        (0..=format!("{TEXT}{REST}").len()).map(from)
    };
    let fresh = [&open.store, &open.elsewhere].map(|store| (0, Reader::new(&chat.at(store), turn.id)));
    at(&open.store).chain(at(&open.elsewhere)).chain(fresh).collect()
}

async fn to_the_end((offset, reader): (usize, Reader)) -> (usize, Reader, Message) {
    let reading = tokio::spawn(reader.read_to_end()).await;
    let (reader, end) = reading.unwrap_or_else(|error| panic!("a reader from byte {offset}: {error}"));
    (offset, reader, end)
}

fn as_stored((offset, reader, end): &(usize, Reader, Message), stored: &Message, when: &str) {
    assert_eq!(end, stored, "the end, from byte {offset} {when}");
    let letter = stored.content.is_char_boundary(*offset);
    assert_eq!(reader.restarts, usize::from(!letter), "restarts from byte {offset} {when}");
}

/// It waits while there is nothing, ahead of the text too, comes back as soon as there is something, from another
/// process as well, and ends with nothing when its time is over.
pub async fn follow_waits_for_more(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let turn = chat.ask(Target::New, "k").await.turn;
    nothing_yet(harness, &elsewhere, &turn, 0).await;
    let fresh = elsewhere.follow(turn.id, Position::default(), Duration::ZERO).await.to;
    assert_eq!(fresh, Position { fence: turn.fence, offset: 0 }, "who knows nothing yet learns which attempt runs");
    let (reader, _) = while_waiting(harness, &elsewhere, &turn, b"", chat.held(&turn, 0, "abc", LONG)).await;
    assert_eq!((reader.text.as_slice(), reader.restarts), (b"abc".as_slice(), 0), "the text that it waited for");
    nothing_yet(harness, &elsewhere, &turn, 3).await;
    for far in [5, usize::MAX] {
        nothing_yet(harness, &elsewhere, &turn, far).await;
    }
    let (reader, _) = while_waiting(harness, &elsewhere, &turn, b"abcde", chat.held(&turn, 3, "defg", LONG)).await;
    assert_eq!((reader.text.as_slice(), reader.restarts), (b"abcdefg".as_slice(), 0), "a reader who was ahead");
    let whole = completed("abcdefg");
    let (reader, end) = while_waiting(harness, &elsewhere, &turn, b"abcdefg", chat.stored(&turn, &whole)).await;
    assert!(end.is_some() && reader.restarts == 0, "an end without more text: {reader:?}");
    the_end_is_there_at_once(&elsewhere, &turn).await;
    ends_with_its_session(harness, &chat, &elsewhere).await;
    ends_without_text(harness, &chat, &elsewhere).await;
}

/// The call is not over before its time, and then it answers with nothing.
async fn nothing_yet(harness: &StoreHarness, chat: &Chat, turn: &Turn, offset: usize) {
    let from = Position { fence: turn.fence, offset };
    let long = pin!(chat.follow(turn.id, from, LONG));
    let waited = matches!(select(long, pin!(harness.wait(Duration::from_millis(60)))).await, Either::Right(_));
    assert!(waited, "follow from {offset} did not wait: there is nothing behind it");
    for wait in [0, 20].map(Duration::from_millis) {
        let nothing = chat.follow(turn.id, from, wait).await;
        assert!(nothing.text.is_empty() && !nothing.restarted && nothing.end.is_none(), "after {wait:?}: {nothing:?}");
        assert_eq!((nothing.to, nothing.seq), (from, 1), "the reader stands where it stood");
    }
}

/// A reader who has read this much waits, for longer than any law may take, while something happens.
async fn while_waiting<T>(
    harness: &StoreHarness,
    chat: &Chat,
    turn: &Turn,
    read: &[u8],
    happens: impl Future<Output = T>,
) -> (Reader, Option<Message>) {
    let mut reader = Reader::who_read(chat, turn, read);
    let happens = async {
        harness.wait(Duration::from_millis(20)).await;
        happens.await
    };
    let (end, _) = tokio::join!(reader.read(LONG), happens);
    (reader, end)
}

async fn the_end_is_there_at_once(chat: &Chat, turn: &Turn) {
    for wait in [Duration::ZERO, LONG] {
        let end = chat.follow(turn.id, Position { fence: turn.fence, offset: 7 }, wait).await;
        assert!(end.end.is_some() && end.text.is_empty(), "a turn that has ended: {end:?}");
    }
}

async fn ends_with_its_session(harness: &StoreHarness, chat: &Chat, elsewhere: &Chat) {
    let turn = chat.ask(Target::New, "deleted").await.turn;
    let cursor = Cursor { turn: turn.id, from: Position { fence: turn.fence, offset: 0 } };
    let delete = async {
        harness.wait(Duration::from_millis(20)).await;
        chat.store.delete(&chat.owner, &turn.id.session, None).await
    };
    let (followed, _) = tokio::join!(elsewhere.store.follow(&chat.owner, &cursor, LONG), delete);
    assert!(matches!(followed, Err(AccessError::NotFound)), "the session was deleted meanwhile: {followed:?}");
}

/// A reader of the history at each process, who begins anywhere: questions and answers come as soon as they are stored, each
/// once and in order; a deleted session ends the wait.
pub async fn each_newer_message_comes_once(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let (turn, _) = chat.talk(Target::New, "k0").await;
    let session = turn.id.session;
    let talk = async {
        for number in 1..4 {
            let turn = chat.ask(Target::Existing(session), &format!("k{number}")).await.turn;
            harness.wait(Duration::from_millis(5)).await;
            chat.stored(&turn, &completed("It is good.")).await;
            harness.wait(Duration::from_millis(5)).await;
        }
    };
    let places = [0, 1, 2, 5, 7].into_iter().flat_map(|after| [(&chat, after, 1), (&elsewhere, after, 100)]);
    let readers = places.map(|(chat, after, limit)| newer_until(chat, session, after, limit, 8));
    let (read, ()) = tokio::join!(join_all(readers), talk);
    let history = chat.history(session).await;
    for (after, messages) in read {
        assert_eq!(messages, history[after..], "what came after {after}");
    }
    nothing_newer(harness, &elsewhere, session).await;
    let delete = async {
        harness.wait(Duration::from_millis(20)).await;
        chat.store.delete(&chat.owner, &session, None).await
    };
    let page = NewerPage { after: 8, limit: 1 };
    let (newer, _) = tokio::join!(elsewhere.store.newer(&chat.owner, &session, &page, LONG), delete);
    assert!(matches!(newer, Err(AccessError::NotFound)), "the session was deleted meanwhile: {newer:?}");
}

/// What comes after a place, until this one is there.
async fn newer_until(chat: &Chat, session: SessionId, after: u64, limit: usize, last: u64) -> (usize, Vec<Message>) {
    let mut read: Vec<Message> = Vec::new();
    loop {
        let place = read.last().map_or(after, |message| message.seq);
        if place == last {
            return (usize::try_from(after).unwrap_or(usize::MAX), read);
        }
        let page = NewerPage { after: place, limit };
        let more = chat.store.newer(&chat.owner, &session, &page, LONG).await.expect("newer answers");
        assert!((1..=limit).contains(&more.len()), "{} messages where 1 to {limit} were asked for", more.len());
        read.extend(more);
    }
}

/// The call is not over before its time, and then it answers with nothing; also far beyond the history.
async fn nothing_newer(harness: &StoreHarness, chat: &Chat, session: SessionId) {
    let newer = |after, wait| async move {
        chat.store.newer(&chat.owner, &session, &NewerPage { after, limit: 10 }, wait).await.expect("newer answers")
    };
    let long = pin!(newer(8, LONG));
    let waited = matches!(select(long, pin!(harness.wait(Duration::from_millis(60)))).await, Either::Right(_));
    assert!(waited, "newer did not wait: there is nothing behind the last message");
    for after in [8, 9, u64::MAX] {
        for wait in [0, 20].map(Duration::from_millis) {
            assert_eq!(newer(after, wait).await, [], "after {after}, in {wait:?}");
        }
    }
}

async fn ends_without_text(harness: &StoreHarness, chat: &Chat, elsewhere: &Chat) {
    let turn = chat.ask(Target::New, "silent").await.turn;
    let cancel = answer(Status::Cancelled, "");
    let (reader, end) = while_waiting(harness, elsewhere, &turn, b"", chat.stored(&turn, &cancel)).await;
    assert!(reader.text.is_empty() && end.is_some(), "an answer without text is an end: {reader:?}");
}

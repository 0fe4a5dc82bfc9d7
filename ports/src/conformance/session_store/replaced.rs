//! Reading a turn whose text was replaced.

use crate::conformance::StoreHarness;
use crate::conformance::chat::{Chat, LONG, Reader, SHORT, answer, completed};
use chatcore::id::Fence;
use chatcore::message::{Message, Status};
use chatcore::turn::{Position, Target, Turn};
use std::time::Duration;

/// By another attempt, by a text of another beginning, by a shorter text; and nowhere else.
pub async fn follow_restarts_where_the_text_was_replaced(harness: &StoreHarness) {
    let open = harness.open().await;
    let chats = [Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann")];
    by_another_attempt(harness, &chats).await;
    by_another_text(&chats).await;
    by_a_shorter_text(harness, &chats).await;
    inside_a_character(&chats).await;
    only_there(&chats).await;
}

/// One call of a reader who has read this; answers whether it was restarted, and what it has now.
async fn reads(chats: &[Chat; 2], turn: &Turn, read: &str) -> (bool, String) {
    let mut both = Vec::new();
    for chat in chats {
        let mut reader = Reader::who_read(chat, turn, read.as_bytes());
        reader.read(Duration::ZERO).await;
        both.push((reader.restarts > 0, String::from_utf8_lossy(&reader.text).into_owned()));
    }
    assert_eq!(both[0], both[1], "two processes read two texts");
    both.remove(0)
}

async fn by_another_attempt(harness: &StoreHarness, [chat, elsewhere]: &[Chat; 2]) {
    let old = chat.ask_briefly(Target::New, "resumed").await.turn;
    chat.held(&old, 0, "the first attempt", SHORT).await;
    let mut waiting = Reader::who_read(elsewhere, &old, b"the first attempt");
    harness.pass(SHORT).await;
    let (resumed, _) = tokio::join!(chat.ask(Target::New, "resumed"), waiting.read(LONG));
    assert_eq!((waiting.restarts, waiting.text.len()), (1, 0), "a reader who waits is told that its text is void");
    let chats = [chat.clone(), elsewhere.clone()];
    chat.held(&resumed.turn, 0, "the second", LONG).await;
    for read in ["the first attempt", "the", "the second"] {
        assert_eq!(reads(&chats, &old, read).await, (true, "the second".into()), "of the old attempt: {read:?}");
    }
    assert_eq!(reads(&chats, &resumed.turn, "the").await, (false, "the second".into()), "of the new attempt");
    chat.stored(&resumed.turn, &completed("the second attempt")).await;
    assert_eq!(reads(&chats, &old, "the first attempt").await, (true, "the second attempt".into()), "after the end");
    assert_eq!(reads(&chats, &resumed.turn, "the second").await, (false, "the second attempt".into()), "after the end");
}

async fn by_another_text(chats: &[Chat; 2]) {
    let turn = chats[0].ask(Target::New, "fallback").await.turn;
    chats[0].held(&turn, 0, "I think", LONG).await;
    chats[0].stored(&turn, &answer(Status::Fallback, "Sorry, try again later.")).await;
    for read in ["I think", "I", "I think that"] {
        let expected = (true, "Sorry, try again later.".to_owned());
        assert_eq!(reads(chats, &turn, read).await, expected, "{read:?} is not the beginning of the answer");
    }
}

/// Its server showed more than it kept, and died.
async fn by_a_shorter_text(harness: &StoreHarness, chats: &[Chat; 2]) {
    let turn = chats[0].ask_briefly(Target::New, "shorter").await.turn;
    chats[0].held(&turn, 0, "kept", SHORT).await;
    harness.pass(SHORT).await;
    assert_eq!(chats[0].store.close_orphans(Duration::ZERO, 10).await.expect("close_orphans answers").closed, 1);
    assert_eq!(reads(chats, &turn, "kept, shown").await, (true, "kept".into()), "beyond the text of an ended turn");
    assert_eq!(reads(chats, &turn, "ke").await, (false, "kept".into()), "a reader within the text of a closed turn");
    let cut = chats[0].ask(Target::New, "cut").await.turn;
    chats[0].held(&cut, 0, "a long text", LONG).await;
    chats[0].stored(&cut, &answer(Status::Cancelled, "a long")).await;
    assert_eq!(reads(chats, &cut, "a long text").await, (true, "a long".into()), "beyond the text of a cancelled turn");
}

async fn inside_a_character(chats: &[Chat; 2]) {
    let turn = chats[0].ask(Target::New, "inside").await.turn;
    chats[0].held(&turn, 0, "a漢b", LONG).await;
    for ended in [false, true] {
        for offset in [2, 3] {
            let from = Position { fence: turn.fence, offset };
            let followed = chats[1].follow(turn.id, from, Duration::ZERO).await;
            assert!(followed.restarted && followed.text == "a漢b", "inside a character, ended: {ended}: {followed:?}");
        }
        chats[0].finish(&turn, &completed("a漢b")).await;
    }
}

/// A reader at the start, one who is ahead of live text that the answer goes beyond, and one of an unknown attempt.
async fn only_there(chats: &[Chat; 2]) {
    let turn = chats[0].ask(Target::New, "ahead").await.turn;
    chats[0].held(&turn, 0, "live", LONG).await;
    chats[0].stored(&turn, &completed("live, shown, and stored")).await;
    let whole = "live, shown, and stored".to_owned();
    assert_eq!(
        reads(chats, &turn, "live, shown").await,
        (false, whole.clone()),
        "ahead of live text, not of the answer"
    );
    assert_eq!(reads(chats, &turn, &whole).await, (false, whole.clone()), "at the end of the answer");
    let first = chats[0].follow(turn.id, Position::default(), Duration::ZERO).await;
    assert!(!first.restarted && first.text == whole, "a reader who has nothing is not restarted: {first:?}");
    let unknown = Turn { fence: Fence(turn.fence.0 + 7), ..turn };
    assert_eq!(reads(chats, &unknown, "live").await, (true, whole), "a fence that nobody has");
}

/// Whatever way a turn ends, its followers, its end, its history and its replay say the same.
pub async fn the_text_followed_is_the_text_stored(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    for (key, live, end) in [
        ("completed", "Có hai", answer(Status::Completed, "Có hai mẫu.")),
        ("in-one-piece", "", answer(Status::Completed, "Có hai mẫu.")),
        ("fallback", "", answer(Status::Fallback, "Xin lỗi.")),
        ("fallback-over-text", "Có", answer(Status::Fallback, "Xin lỗi.")),
        ("failed", "Có hai", answer(Status::Failed, "Có hai")),
        ("cancelled-early", "Có hai", answer(Status::Cancelled, "Có")),
        ("empty", "", answer(Status::Failed, "")),
    ] {
        let turn = chat.ask(Target::New, key).await.turn;
        let followers = followers(&chat, &elsewhere, &turn);
        chat.held(&turn, 0, live, LONG).await;
        harness.wait(Duration::from_millis(5)).await;
        let stored = chat.stored(&turn, &end).await;
        assert_eq!(stored.content, end.content, "{key}");
        all_say(&elsewhere, &turn, key, &stored, followers).await;
    }
    orphan(harness, &chat, &elsewhere).await;
}

type Followers = Vec<tokio::task::JoinHandle<(Reader, Message)>>;

fn followers(chat: &Chat, elsewhere: &Chat, turn: &Turn) -> Followers {
    [chat, elsewhere].map(|chat| tokio::spawn(Reader::new(chat, turn.id).read_to_end())).into()
}

async fn all_say(chat: &Chat, turn: &Turn, key: &str, stored: &Message, followers: Followers) {
    for follower in followers {
        let (_, end) = follower.await.unwrap_or_else(|error| panic!("a follower of {key}: {error}"));
        assert_eq!(end, *stored, "the end that a follower of {key} saw");
    }
    let (_, end) = Reader::new(chat, turn.id).read_to_end().await;
    assert_eq!(end, *stored, "the end of {key} for a late follower");
    assert_eq!(chat.history(turn.id.session).await[1], *stored, "the history of {key}");
    let replayed = chat.replay(&chat.question(Target::New, key)).await;
    assert_eq!(replayed.answer, *stored, "the replay of {key}");
    let at_the_end = Position { fence: replayed.turn.fence, offset: stored.content.len() };
    let more = chat.follow(turn.id, at_the_end, Duration::ZERO).await;
    assert!(!more.restarted && more.text.is_empty(), "{key} has the fence that its answer continues: {more:?}");
}

/// Closed with its live text by another key.
async fn orphan(harness: &StoreHarness, chat: &Chat, elsewhere: &Chat) {
    let turn = chat.ask_briefly(Target::New, "orphan").await.turn;
    chat.held(&turn, 0, "Có ha", SHORT).await;
    let followers = followers(chat, elsewhere, &turn);
    harness.pass(SHORT).await;
    elsewhere.ask(Target::Existing(turn.id.session), "other").await;
    let stored = chat.history(turn.id.session).await[1].clone();
    assert_eq!(stored.content, "Có ha");
    all_say(elsewhere, &turn, "orphan", &stored, followers).await;
}

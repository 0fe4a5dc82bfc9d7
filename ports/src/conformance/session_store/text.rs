//! Live text: where a piece lands.

use crate::conformance::StoreHarness;
use crate::conformance::chat::{Chat, LONG, Reader, completed};
use chatcore::turn::{Target, Turn};
use std::time::Duration;

/// Pieces that are repeated, overlap, come late or leave a gap: the text is that of one writer who wrote each byte
/// once.
pub async fn extend_writes_at_an_offset(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let turn = chat.ask(Target::New, "k").await.turn;
    for (offset, text, length, why) in [
        (0, "", 0, "nothing yet"),
        (3, "def", 0, "a piece beyond the text is not kept"),
        (0, "ab", 2, "the first piece"),
        (0, "ab", 2, "a repeated piece is not doubled"),
        (5, "x", 2, "a piece beyond the text is not kept"),
        (2, "cđé", 7, "the next piece, of letters with two bytes"),
        (0, "ab", 7, "a piece that comes late takes nothing away"),
        (2, "cđé", 7, "a repeated piece is not doubled"),
        (2, "cđé漢", 10, "a piece that overlaps is kept where it is new"),
        (10, "", 10, "an empty piece renews the lease alone"),
        (99, "", 10, "an empty piece beyond the text tells the length"),
        (0, "abcđé漢🙂!", 15, "a piece from the start is kept where it is new"),
    ] {
        assert_eq!(chat.held(&turn, offset, text, LONG).await, length, "{why}: {text:?} at {offset}");
    }
    reads(&chat, &turn, "abcđé漢🙂!").await;
    reads(&chat.at(&open.elsewhere), &turn, "abcđé漢🙂!").await;
    in_any_order(&[chat.clone(), chat.at(&open.elsewhere)]).await;
    chat.stored(&turn, &completed("abcđé漢🙂!")).await;
}

async fn reads(chat: &Chat, turn: &Turn, text: &str) {
    let mut reader = Reader::new(chat, turn.id);
    assert!(reader.read(Duration::ZERO).await.is_none(), "the turn runs");
    assert_eq!(String::from_utf8_lossy(&reader.text), text, "the live text");
}

/// Every call is made three times, at two processes, and nobody waits for an answer but to go on from where it says.
async fn in_any_order(chats: &[Chat; 2]) {
    let text: String = (0..60).map(|number| format!("{number:02}é ")).collect();
    let turn = chats[0].ask(Target::New, "any-order").await.turn;
    let write = |index: usize| {
        let (chat, text) = (chats[index % 2].clone(), text.clone());
        tokio::spawn(async move {
            let (mut length, step) = (0, [5, 15, 25][index % 3]);
            while length < text.len() {
                // All letters stand in groups of five bytes, so that no step ends inside one.
                let end = (length + step).min(text.len());
                length = chat.held(&turn, length, &text[length..end], LONG).await;
            }
        })
    };
    let writers: Vec<_> = (0..6).map(write).collect();
    for writer in writers {
        writer.await.expect("extend_turn does not panic");
    }
    reads(&chats[0], &turn, &text).await;
}

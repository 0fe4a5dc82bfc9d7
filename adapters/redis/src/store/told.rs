//! Live text as it is told to readers: a turn, its fence, the owner, the question's place, the offset and the text, each in a line.
//! Whatever else is told on a session's channel only says that there is something to look for.

use chatcore::id::Fence;
use chatcore::owner::Owner;
use chatcore::turn::{Cursor, Followed, Position};

/// A piece of live text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    turn: &'a str,
    fence: Fence,
    owner: &'a str,
    seq: u64,
    offset: usize,
    text: &'a str,
}

/// Reads a message; `None` for one that is no piece.
pub(super) fn piece(message: &[u8]) -> Option<Piece<'_>> {
    let mut words = std::str::from_utf8(message).ok()?.splitn(6, '\n');
    let mut next = || words.next();
    let (turn, fence, owner) = (next()?, Fence(next()?.parse().ok()?), next()?);
    let (seq, offset) = (next()?.parse().ok()?, next()?.parse().ok()?);
    Some(Piece { turn, fence, owner, seq, offset, text: next()? })
}

/// What a reader finds in pieces that came after one another: what is behind its place, without a gap. `None` where it has to
/// look, as at another attempt's text, or where the session is another owner's by now.
pub(super) fn followed(pieces: &[Piece<'_>], owner: &Owner, cursor: &Cursor) -> Option<Followed> {
    let (turn, owner) = (cursor.turn.message.to_string(), owner.to_string());
    let Position { fence, mut offset } = cursor.from;
    let (mut text, mut seq) = (String::new(), 0);
    for piece in pieces {
        let is_of_turn = piece.turn == turn && piece.fence == fence && piece.owner == owner;
        if !is_of_turn || piece.offset > offset {
            return None;
        }
        seq = piece.seq;
        // A piece that was repeated, or that the reader holds already.
        let held = offset - piece.offset;
        if held < piece.text.len() {
            let new = piece.text.get(held..)?;
            text.push_str(new);
            offset += new.len();
        }
    }
    Some(Followed { seq, restarted: false, text, to: Position { fence, offset }, end: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::turn::TurnId;

    const TURN: &str = "0190b5a0-0000-7000-8000-000000000001";

    fn message(owner: &str, fence: u64, offset: usize, text: &str) -> String {
        format!("{TURN}\n{fence}\n{owner}\n3\n{offset}\n{text}")
    }

    /// What ann, who holds this much of the seventh attempt, makes of these messages.
    fn told(offset: usize, messages: &[String]) -> Option<(String, usize)> {
        let turn = TurnId { session: TURN.parse().unwrap(), message: TURN.parse().unwrap() };
        let cursor = Cursor { turn, from: Position { fence: Fence(7), offset } };
        let pieces: Option<Vec<_>> = messages.iter().map(|message| piece(message.as_bytes())).collect();
        let found = followed(&pieces?, &"user:ann b".parse().unwrap(), &cursor)?;
        assert_eq!((found.seq, found.restarted, found.end), (3, false, None));
        Some((found.text, found.to.offset))
    }

    #[test]
    fn pieces_are_joined_where_nothing_is_between_them() {
        let ann = |offset, text| message("user:ann b", 7, offset, text);
        let both = [ann(4, "tai\nng"), ann(10, "he dưới")];
        let all = |text: &str, to| Some((text.to_owned(), to));
        assert_eq!(told(4, &both), all("tai\nnghe dưới", 20));
        assert_eq!(told(8, &both), all("nghe dưới", 20), "some of it is held already");
        assert_eq!(told(4, &[both[0].clone(), both[0].clone()]), all("tai\nng", 10), "one was repeated");
        assert_eq!(told(30, &both), all("", 30), "the reader is ahead");
        assert_eq!(told(3, &both), None, "something is missing");
        assert_eq!(told(4, &[both[0].clone(), ann(11, "e")]), None, "something is missing between them");
        assert_eq!(told(15, &both), None, "inside of a letter");
        assert_eq!(told(4, &[both[0].clone(), "1".into()]), None, "there is something to look for");
        assert_eq!(told(4, &[message("user:ann b", 8, 4, "x")]), None, "another attempt");
        assert_eq!(told(4, &[message("user:tom", 7, 4, "x")]), None, "another owner");
        assert_eq!(told(4, &[ann(4, "x").replace("0001\n", "0002\n")]), None, "another turn");
    }
}

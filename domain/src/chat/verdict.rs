//! How a turn ends: pure rules, no waiting.

use crate::message::{AiReply, Answer, Message, Role, Status};

/// What stopped the work on a turn.
#[derive(Debug)]
pub(super) enum Halt {
    /// The AI came to its end.
    Done(AiReply),
    /// The AI failed, took too long or said too much.
    Broken,
    /// The owner asked.
    Stopped,
    /// This process stops.
    Drained,
    /// Another attempt has the turn.
    Fenced,
    /// The session was deleted.
    Gone,
}

/// What is to be done with the turn.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// This is its terminal answer.
    Store(Answer),
    /// Nothing was said yet: it stays open, so that its key can ask again elsewhere.
    LeaveOpen,
    /// Somebody else ends it, or has.
    NotOurs,
    /// There is nothing left to end.
    Gone,
}

pub(super) fn verdict(halt: Halt, text: String, fallback: &str) -> Verdict {
    let empty = text.is_empty();
    let (status, content, reply) = match halt {
        Halt::Fenced => return Verdict::NotOurs,
        Halt::Gone => return Verdict::Gone,
        Halt::Drained if empty => return Verdict::LeaveOpen,
        Halt::Stopped => (Status::Cancelled, text, AiReply::default()),
        Halt::Done(reply) if !empty || !reply.products.is_empty() => (Status::Completed, text, reply),
        Halt::Broken | Halt::Drained if !empty => (Status::Failed, text, AiReply::default()),
        // No text and no product: an intent alone answers nobody.
        Halt::Done(_) | Halt::Broken | Halt::Drained => (Status::Fallback, fallback.to_owned(), AiReply::default()),
    };
    Verdict::Store(Answer { status, content, reply })
}

/// The messages that an AI may see: completed answers, each behind its question.
pub(super) fn usable(window: Vec<Message>) -> Vec<Message> {
    let completed: Vec<u64> = window
        .iter()
        .filter(|message| message.status == Status::Completed)
        .filter_map(|answer| answer.reply_to)
        .filter(|question| window.iter().any(|message| message.seq == *question))
        .collect();
    let of_pair = |message: &Message| match message.role {
        Role::User => completed.contains(&message.seq),
        Role::Assistant => message.reply_to.is_some_and(|question| completed.contains(&question)),
    };
    window.into_iter().filter(of_pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageId;
    use time::OffsetDateTime;
    use uuid::Uuid;

    const ALL: [Status; 4] = [Status::Completed, Status::Fallback, Status::Failed, Status::Cancelled];

    /// A window whose answers have these statuses.
    fn window(statuses: &[Status]) -> Vec<Message> {
        let at = OffsetDateTime::UNIX_EPOCH;
        let pair = |(index, status): (usize, &Status)| {
            let (turn, seq) = (MessageId::from(Uuid::from_u128(index as u128)), 2 * index as u64 + 1);
            let answer = Answer { status: *status, content: "a".into(), reply: AiReply::default() };
            [Message::question(turn, seq, "q".into(), at), Message::answer(turn, seq + 1, seq, answer, at)]
        };
        statuses.iter().enumerate().flat_map(pair).collect()
    }

    #[test]
    fn an_ai_sees_completed_answers_with_their_questions() {
        let seqs = |window| usable(window).iter().map(|message| message.seq).collect::<Vec<_>>();
        assert_eq!(seqs(window(&ALL)), [1, 2]);
        assert_eq!(seqs(window(&[Status::Failed, Status::Completed])), [3, 4]);
        assert_eq!(seqs(window(&[Status::Completed])[1..].to_vec()), [0; 0], "a question outside the window");
    }

    #[test]
    fn what_was_said_is_kept_and_silence_is_filled() {
        let of = |halt, text: &str| match verdict(halt, text.into(), "sorry") {
            Verdict::Store(answer) => Some((answer.status, answer.content)),
            _ => None,
        };
        assert_eq!(of(Halt::Done(AiReply::default()), "hi"), Some((Status::Completed, "hi".into())));
        assert_eq!(of(Halt::Done(AiReply::default()), ""), Some((Status::Fallback, "sorry".into())));
        assert_eq!(of(Halt::Broken, ""), Some((Status::Fallback, "sorry".into())));
        assert_eq!(of(Halt::Broken, "hi"), Some((Status::Failed, "hi".into())));
        assert_eq!(of(Halt::Stopped, ""), Some((Status::Cancelled, String::new())));
        assert_eq!(of(Halt::Drained, "hi"), Some((Status::Failed, "hi".into())));
        assert_eq!(verdict(Halt::Drained, String::new(), "sorry"), Verdict::LeaveOpen);
        assert_eq!(verdict(Halt::Fenced, "hi".into(), "sorry"), Verdict::NotOurs);
        assert_eq!(verdict(Halt::Gone, "hi".into(), "sorry"), Verdict::Gone);
    }
}

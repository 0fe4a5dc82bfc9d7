//! What the holder of a right writes: a text of its own, with characters of one to four bytes.

use crate::op::Words;
use chatcore::message::{AiReply, Products};
use chatcore::turn::Piece;

/// How often the characters come again.
const ROUNDS: usize = 40;

/// The text of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Stream(String);

impl Stream {
    /// A text whose first letter no other of the last 26 has.
    pub(crate) fn new(number: usize) -> Self {
        let first = ('a'..='z').cycle().nth(number).unwrap_or_default();
        Self([first, 'é', '日', ' ', '𝄞'].repeat(ROUNDS).into_iter().collect())
    }

    /// A piece of so many characters, which begins so many characters from the end of what is kept.
    pub(crate) fn piece(&self, kept: usize, skip: i8, length: usize) -> Piece {
        let start = self.place(kept, skip);
        let offset = self.bytes(start);
        Piece { offset, text: self.0[offset..self.bytes(start + length)].to_owned() }
    }

    /// The answer of one who has shown what is kept.
    pub(crate) fn answer(&self, kept: usize, words: Words) -> String {
        match words {
            Words::Shown => self.0[..kept].to_owned(),
            Words::Than(more) => self.0[..self.bytes(self.place(kept, more))].to_owned(),
            Words::Other => "Thử lại sau.".into(),
        }
    }

    /// So many characters after this byte.
    fn place(&self, kept: usize, skip: i8) -> usize {
        self.0[..kept].chars().count().saturating_add_signed(skip.into())
    }

    /// How many bytes so many characters have.
    fn bytes(&self, characters: usize) -> usize {
        self.0.char_indices().nth(characters).map_or(self.0.len(), |(offset, _)| offset)
    }
}

/// What comes beside the text of an answer.
pub(crate) fn beside(products: bool) -> AiReply {
    if !products {
        return AiReply::default();
    }
    let products = Products::from_json(r#"[{"name":"Điện thoại","price":29500000.10}]"#).expect("products");
    AiReply { products, intent: Some("buy".into()), confidence: Some(0.1) }
}

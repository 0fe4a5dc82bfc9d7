//! Where the head of a request ends, and where its body does (RFC 9112, 2.1 and 6), as the framework sees it. Nothing else is read of
//! them, and nothing is refused: what is wrong with them the framework finds.

/// Goes through a head, whatever pieces it comes in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Head {
    /// Nothing has come yet but empty lines, which may stand before it.
    #[default]
    None,
    /// In a line that is not empty.
    Line,
    /// At the beginning of a line that follows such a one.
    Begin,
    /// There, behind a carriage return.
    Return,
}

impl Head {
    /// Whether some of it has come, and not all.
    pub(crate) fn is_begun(self) -> bool {
        !matches!(self, Self::None)
    }

    /// How much of these bytes belongs to it, if it ends there. Then the next one may come.
    pub(crate) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            *self = match (*self, byte) {
                (Self::Begin | Self::Return, b'\n') => {
                    *self = Self::None;
                    return Some(at + 1);
                }
                (Self::None, b'\r' | b'\n') => Self::None,
                (Self::Line, b'\n') => Self::Begin,
                (Self::Begin, b'\r') => Self::Return,
                _ => Self::Line,
            };
        }
        None
    }
}

/// Goes through a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    /// So many bytes are still to come.
    Bytes(u64),
    /// In the line with the size of a chunk, of which so much is read.
    Size {
        /// The size so far.
        size: u64,
        /// Whether its digits are over.
        read: bool,
    },
    /// In a chunk, of which so many bytes are still to come, with the end of its line.
    Chunk(u64),
    /// Behind the last chunk, at the beginning of a line.
    Begin,
    /// In such a line, which is not empty.
    Trailer,
    /// Behind a carriage return in it, or, if that is all of it, in the last one.
    Return {
        /// Whether that is all.
        last: bool,
    },
}

impl Body {
    /// Of the length that is told, or in chunks.
    pub(crate) fn new(length: Option<u64>) -> Self {
        length.map_or(Self::Size { size: 0, read: false }, Self::Bytes)
    }

    /// Whether all of it has come.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Bytes(0))
    }

    /// How much of these bytes belongs to it.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_over() {
            let left = (bytes.len() - at) as u64;
            let taken = match self {
                Self::Bytes(more) | Self::Chunk(more) => left.min(*more),
                _ => 1,
            };
            *self = self.after(bytes[at], taken);
            at += usize::try_from(taken).unwrap_or(usize::MAX);
        }
        at
    }

    /// What comes after so many bytes, of which this is the first.
    fn after(self, byte: u8, taken: u64) -> Self {
        match (self, byte) {
            (Self::Bytes(more), _) => Self::Bytes(more - taken),
            (Self::Chunk(more), _) if more > taken => Self::Chunk(more - taken),
            (Self::Chunk(_), _) => Self::Size { size: 0, read: false },
            (Self::Size { size: 0, .. }, b'\n') => Self::Begin,
            (Self::Size { size, .. }, b'\n') => Self::Chunk(size.saturating_add(2)),
            (Self::Size { size, read: false }, byte) => match (byte as char).to_digit(16) {
                Some(digit) => Self::Size { size: size.saturating_mul(16).saturating_add(digit.into()), read: false },
                None => Self::Size { size, read: true },
            },
            (size @ Self::Size { .. }, _) => size,
            (Self::Begin, b'\r') => Self::Return { last: true },
            (Self::Begin, _) => Self::Trailer,
            (Self::Trailer, b'\r') => Self::Return { last: false },
            (Self::Trailer, _) => Self::Trailer,
            (Self::Return { last: true }, _) => Self::Bytes(0),
            (Self::Return { last: false }, _) => Self::Begin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece, and byte by byte.
    fn ends(begin: Body, bytes: &[u8]) -> [usize; 2] {
        let (mut whole, mut each) = (begin, begin);
        [whole.take(bytes), bytes.iter().take_while(|byte| each.take(&[**byte]) == 1).count()]
    }

    #[test]
    fn a_body_ends_where_it_says() {
        for (body, end) in [
            ("0\r\n\r\nGET", 5),
            ("000;a=b\r\n\r\nGET", 11),
            ("3\r\n\n\n\n\r\n0\r\n\r\nGET", 13),
            ("2 \r\n\r\n\r\n0\r\n\r\nGET", 13),
            ("A\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\nGET", 20),
            ("0\r\nX: y\r\n\r\nGET", 11),
            // Line feeds in a trailer are part of it.
            ("0\r\n\n\r\n\r\nGET", 8),
            ("0\r\nX: y\n\n\r\n\r\nGET", 13),
            ("ffffffffffffffffffff\r\n0\r\n\r\nGET", 30),
        ] {
            assert_eq!(ends(Body::new(None), body.as_bytes()), [end; 2], "{body:?}");
        }
        for length in [0, 3, 5] {
            assert_eq!(ends(Body::new(Some(length)), b"\r\n\r\nx"), [length as usize; 2]);
        }
    }

    #[test]
    fn a_head_ends_with_the_first_empty_line_behind_another() {
        for (bytes, end) in [
            ("GET / HTTP/1.1\r\n\r\n{", Some(18)),
            ("GET / HTTP/1.1\n\n{", Some(16)),
            ("GET / HTTP/1.1\n\r\n{", Some(17)),
            ("\r\n\n\r\nGET / HTTP/1.1\r\nX: y\r\n\r\n\r\n", Some(29)),
            ("GET / HTTP/1.1\r\nX: y\r\n", None),
            ("\r\n\r\n\r\n", None),
        ] {
            let (mut whole, mut each) = (Head::default(), Head::default());
            assert_eq!(whole.end(bytes.as_bytes()), end, "{bytes:?}");
            let end_of_each = bytes.bytes().position(|byte| each.end(&[byte]).is_some());
            assert_eq!(end_of_each.map(|at| at + 1), end, "{bytes:?}, byte by byte");
        }
    }
}

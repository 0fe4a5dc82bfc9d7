//! Text without its marks: lower case, ASCII letters, split into words.

/// The words of a text, folded: lower case, without diacritics. Digits and letters that touch are one word, and so are a
/// number's digits with dots and commas between them. `<`, `>`, `~` and `-` are words of their own, and `,` is one for all
/// marks that part a sentence.
pub(crate) fn words(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().flat_map(char::to_lowercase).filter_map(fold).collect();
    let (mut words, mut word) = (Vec::new(), String::new());
    for (place, letter) in letters.iter().enumerate() {
        let between_digits = || {
            let digit = |place: Option<usize>| place.and_then(|at| letters.get(at)).is_some_and(char::is_ascii_digit);
            digit(place.checked_sub(1)) && digit(Some(place + 1))
        };
        match letter {
            'a'..='z' | '0'..='9' => word.push(*letter),
            '.' | ',' if between_digits() => word.push(*letter),
            _ => {
                words.push(std::mem::take(&mut word));
                match letter {
                    '<' | '>' | '~' | '-' => words.push(letter.to_string()),
                    ',' | ';' | '/' | '&' | '.' | '?' | '!' => words.push(",".into()),
                    _ => {}
                }
            }
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a text has a letter that English has not and Vietnamese has.
pub(crate) fn has_vietnamese_letters(text: &str) -> bool {
    text.chars()
        .flat_map(char::to_lowercase)
        .any(|letter| !letter.is_ascii() && fold(letter).is_none_or(|it| it.is_ascii_lowercase()))
}

/// A letter without its marks; `None` for a mark that stands alone, as decomposed text has them; a space for what is no
/// letter of ours.
fn fold(letter: char) -> Option<char> {
    let folded = match letter {
        ' '..='~' => letter,
        '\u{300}'..='\u{36f}' => return None,
        'à' | 'á' | 'ả' | 'ã' | 'ạ' | 'ă' | 'ằ' | 'ắ' | 'ẳ' | 'ẵ' | 'ặ' | 'â' | 'ầ' | 'ấ' | 'ẩ' | 'ẫ' | 'ậ' => {
            'a'
        }
        'è' | 'é' | 'ẻ' | 'ẽ' | 'ẹ' | 'ê' | 'ề' | 'ế' | 'ể' | 'ễ' | 'ệ' => 'e',
        'ì' | 'í' | 'ỉ' | 'ĩ' | 'ị' => 'i',
        'ò' | 'ó' | 'ỏ' | 'õ' | 'ọ' | 'ô' | 'ồ' | 'ố' | 'ổ' | 'ỗ' | 'ộ' | 'ơ' | 'ờ' | 'ớ' | 'ở' | 'ỡ' | 'ợ' => {
            'o'
        }
        'ù' | 'ú' | 'ủ' | 'ũ' | 'ụ' | 'ư' | 'ừ' | 'ứ' | 'ử' | 'ữ' | 'ự' => 'u',
        'ỳ' | 'ý' | 'ỷ' | 'ỹ' | 'ỵ' => 'y',
        'đ' => 'd',
        '–' | '—' | '−' => '-',
        '≤' => '<',
        '≥' => '>',
        '≈' => '~',
        _ => ' ',
    };
    Some(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_marks_and_keep_their_numbers() {
        for (text, expected) in [
            ("Tìm iPhone 15 giá dưới 30 triệu!", "tim|iphone|15|gia|duoi|30|trieu|,"),
            ("Ti\u{300}m đie\u{323}\u{302}n thoại", "tim|dien|thoai"),
            ("ĐẮT NHẤT: 30.000.000đ, hay 1,5tr.", "dat|nhat|30.000.000d|,|hay|1,5tr|,"),
            ("15–20tr (~18tr) <20tr", "15|-|20tr|~|18tr|<|20tr"),
            ("WH-1000XM5 🎧 名前 ß", "wh|-|1000xm5"),
            ("", ""),
            (" \t\n\u{0} ", ""),
        ] {
            assert_eq!(words(text).join("|"), expected, "{text}");
        }
    }

    #[test]
    fn only_letters_of_vietnamese_speak_for_it() {
        for (text, expected) in
            [("rẻ", true), ("re\u{309}", true), ("Đ", true), ("cheap 🎧 – ok", false), ("re", false)]
        {
            assert_eq!(has_vietnamese_letters(text), expected, "{text}");
        }
    }
}
